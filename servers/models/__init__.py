"""What is kept: identities, hosts, servers, migrations, allocations, images, actions."""

from servers.models.action import ActionEvent, ActionRecord, Worker
from servers.models.allocation import Allocation
from servers.models.audit import AuditLink, AuditRecord
from servers.models.deployment import DeploymentFact, Member
from servers.models.host import Aggregate, Host, StoragePool
from servers.models.idempotency import IdempotencyKey
from servers.models.identity import (
    ApplicationCredential,
    Domain,
    Membership,
    MembershipRole,
    Project,
    Token,
    User,
)
from servers.models.image import Image
from servers.models.login import KnownAddress, LoginFailures
from servers.models.migration import Migration
from servers.models.reconcile import Divergence, ReconcilePass
from servers.models.server import Flavor, NetworkInterface, Server, ServerDisk, ServerGroup
from servers.models.sign_on import FederatedIdentity, SecondFactor

__all__ = [
    "ActionEvent",
    "ActionRecord",
    "Aggregate",
    "Allocation",
    "ApplicationCredential",
    "AuditLink",
    "AuditRecord",
    "DeploymentFact",
    "Divergence",
    "Domain",
    "FederatedIdentity",
    "Flavor",
    "Host",
    "IdempotencyKey",
    "Image",
    "KnownAddress",
    "LoginFailures",
    "Member",
    "Membership",
    "MembershipRole",
    "Migration",
    "NetworkInterface",
    "Project",
    "ReconcilePass",
    "SecondFactor",
    "Server",
    "ServerDisk",
    "ServerGroup",
    "StoragePool",
    "Token",
    "User",
    "Worker",
]
