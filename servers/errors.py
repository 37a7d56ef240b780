"""Every fault that Gantry knows, as one tree.

    Fault
    ├── LeaseLost · Cancelled · Later   what the engine tells itself
    ├── Refusal                      the request is not accepted; nothing was written
    │   ├── Invalid                  the request itself is wrong
    │   │   ├── CannotForce · HostUnknown · SameHost · NotResized · VolumeBacked · MigrationStatusWrong
    │   │   └── MigrationMissing
    │   ├── Unauthenticated · TooManyFailedLogins · SignOnRefused
    │   ├── ServiceUnavailable       IdentityUnavailable · ImagesUnavailable · DatabaseUnavailable · LoginsBusy …
    │   ├── NotPermitted             policy, or a limit of what may be stored
    │   │   └── ImageMetadataLimit
    │   ├── Missing                  InstanceMissing · MigrationNotFound · ActionMissing · ImageMissing …
    │   ├── Conflict                 InstanceLocked · WrongState · NotReady · StaleRow · PlanChanged · NotWaiting …
    │   │   └── RequestUnderWay · ClaimLost · AnswerNotKept
    │   ├── KeyReused                an Idempotency-Key of another request
    │   └── Gone
    └── ActionFault                  an accepted action did not reach its end
        ├── NoValidHost · MaxRetriesExceeded · MigrationError · ResizeError · AllocationUpdateFailed · Judged …
        ├── PreCheckFault            a candidate is refused; the next one may do
        │   └── MigrationPreCheckError · DestinationSilent · GroupPolicyViolated · InvalidCPUInfo …
        ├── ImageStoreFault          ImageStoreUnavailable
        └── DriverFault              the hypervisor, or the guest behind it, said no
            ├── GuestNotFound · GuestOnTwoHosts · BelongsToAnother · MigrationAborted · MigrationFailed
            ├── BackupFailed · RestoreFailed · NotSupported
            ├── AgentUnavailable · AgentNotReady · AgentAnswerInvalid
            ├── HypervisorUnavailable
            └── HypervisorTimeout    no answer: the outcome is unknown

A class docstring is the default message, so each is a sentence for the person who reads it; `{name}` is
filled from the keyword arguments. `code` is a promise: never changed, never reused. HTTP is known in `api/`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar

MAX_MESSAGE_CHARS = 10_000
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no database keeps (NUL, half of a surrogate pair), and what a terminal would obey."""


def printable(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return the text such that every record can keep it, whoever has chosen it: no longer than `limit` characters."""
    return UNPRINTABLE.sub("\ufffd", text if len(text) <= limit else text[: limit - 1] + "…")


class Fault(Exception):
    """Something went wrong.

    The message is printable, whatever it quotes.
    """

    code: ClassVar[str] = "fault"
    retryable: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def __init__(self, message: str | None = None, **facts: Any) -> None:
        self.facts = facts
        self.message = printable(message if message is not None else self.template().format(**facts))
        super().__init__(self.message)

    @classmethod
    def template(cls) -> str:
        """Return the default message, with the names of its facts in braces."""
        return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]

    def __str__(self) -> str:
        return self.message


class LeaseLost(Fault):
    """Somebody else works on the action now; nothing more may be written."""


class Cancelled(Fault):
    """The action was asked to stop."""


class Later(Fault):
    """Not now: {reason}"""


# ---------------------------------------------------------------------------------------------- refusals


class Refusal(Fault):
    """The request is refused."""


class Invalid(Refusal):
    """The request is invalid."""


class InvalidParameters(Invalid):
    """{detail}"""


class CannotForce(Invalid):
    """Can't force to a non-provided destination"""


class HostUnknown(Invalid):
    """Compute host {host} could not be found."""


class SameHost(Invalid):
    """Cannot migrate to the host where the server exists."""


class NotResized(Invalid):
    """Instance has not been resized."""


class VolumeBacked(Invalid):
    """Backup is not supported for volume-backed instances."""


class ImageUnacceptable(Invalid):
    """Image {image} is unacceptable: {reason}"""


class MigrationStatusWrong(Invalid):
    """Migration {migration} state of instance {server} is {status}. Cannot {verb} while the migration is in this state."""


class MigrationMissing(Invalid):
    """Migration {migration} not found for instance {server}"""


class Unauthenticated(Refusal):
    """The request you have made requires authentication."""


class TooManyFailedLogins(Refusal):
    """There were too many failed logins; try again in {wait}.

    Facts: `retry_after_s`, whole seconds.
    """


class SignOnRefused(Refusal):
    """{reason}"""


class ServiceUnavailable(Refusal):
    """A service that is needed for the request does not answer; try again later."""


class IdentityUnavailable(ServiceUnavailable):
    """The identity service does not answer; try again later."""


class SignOnUnavailable(ServiceUnavailable):
    """The sign-on provider does not answer as it should; try again later. Whoever has a password here logs in with it."""


class ImagesUnavailable(ServiceUnavailable):
    """The image service cannot do it now; try again later. {reason}"""


class TooManyWaiting(ServiceUnavailable):
    """Too many requests wait for hosts or other services already; try again later."""


class DatabaseUnavailable(ServiceUnavailable):
    """The database cannot be used at this moment; try again later."""


class LoginsBusy(ServiceUnavailable):
    """Too many people log in at this moment; try again in a few seconds."""


class DeploymentDiffers(ServiceUnavailable):
    """This machine differs from the deployment, and stays out; ask another one. {reason}"""


class StrangeDatabase(Refusal):
    """This version can do nothing with the database. {reason}"""


class WrongSetting(Refusal):
    """A setting is wrong: {reason}"""


class NotPermitted(Refusal):
    """Policy doesn't allow {rule} to be performed."""


class ImageMetadataLimit(NotPermitted):
    """Image metadata limit exceeded"""


class Missing(Refusal):
    """The resource could not be found."""


class InstanceMissing(Missing):
    """Instance {server} could not be found."""


class MigrationNotFound(Missing):
    """Migration {migration} not found for instance {server}"""


class ImageMissing(Missing):
    """Image {image} could not be found."""


class ActionNotFound(Missing):
    """Action {action} could not be found."""


class Conflict(Refusal):
    """The request conflicts with what is going on."""


class InstanceLocked(Conflict):
    """Instance {server} is locked"""


class WrongState(Conflict):
    """Cannot '{verb}' instance {server} while it is in {attribute} {state}"""


class InvalidState(Conflict):
    """Instance {server} is in an invalid state for '{verb}'"""


class TrailChanged(Conflict):
    """The audit trail was changed, so nothing of it is archived: {problem}"""


class NotReady(Conflict):
    """Instance {server} is not ready"""


class ServiceDown(Conflict):
    """Service is unavailable at this time."""


class ActionUnresolved(Conflict):
    """Instance {server} has an unresolved action '{action}' ({request_id}): the hypervisor has not yet answered what became of it."""


class StaleRow(Conflict):
    """{model} {pk} was changed by somebody else; nothing was written."""


class PlanChanged(Conflict):
    """The fleet is not as it was when the plan was made; nothing was written. Look at the new plan."""


class GuestSeenTwice(Conflict):
    """Instance {server} is seen on {hosts}; nothing was changed. Decide which one is right and stop the other, or force its host down."""


class NotWaiting(Conflict):
    """Action {action} does not wait for a judgement: {state}"""


class IdempotencyKeyInvalid(Invalid):
    """An Idempotency-Key has 1 to {most} printable characters of ASCII."""


class KeyReused(Refusal):
    """This Idempotency-Key was used for another request; give every request a key of its own."""


class RequestUnderWay(Conflict):
    """The first request with this Idempotency-Key is still under way; repeat it later."""


class ClaimLost(Conflict):
    """The request took so long that its Idempotency-Key was given to a repeat; this one has changed nothing."""


class AnswerNotKept(Conflict):
    """The first request with this Idempotency-Key has made {made}; its answer held a secret, and is not kept."""


class NotKnown(Conflict):
    """Action {action} is of another version of Gantry, and this one can only close it."""


class HostAnswers(Conflict):
    """Host {host} answers, it is not dead."""


class HostsSilent(Conflict):
    """{hosts} may run instance {server} and did not answer just now. Force it down, or say with the judgement that it is dead."""


class CannotClose(Conflict):
    """The action cannot be closed as {outcome}: {reason}"""


class CannotUndo(Conflict):
    """The action cannot be undone: {reason}"""


class Gone(Refusal):
    """This resource is no longer available. No forwarding address is given."""


# ------------------------------------------------------------------------------------------ action faults


class ActionFault(Fault):
    """The action failed."""

    next_candidate: ClassVar[bool] = False
    """Whether another destination may still do."""

    user_error: ClassVar[bool] = False
    """Whether Nova counts the fault as the caller's (fault code 400) rather than its own (500)."""


class NoValidHost(ActionFault):
    """No valid host was found. {reason}"""


class MaxRetriesExceeded(ActionFault):
    """Exceeded maximum number of retries. {reason}"""


class ComputeServiceUnavailable(ActionFault):
    """Compute service of {host} is unavailable at this time."""

    user_error = True


class ComputeHostNotFound(ActionFault):
    """Compute host {host} could not be found."""


class ComputeResourcesUnavailable(ActionFault):
    """Insufficient compute resources: {reason}."""

    user_error = True


class InvalidPowerState(ActionFault):
    """Instance {server} in power_state {state}. Cannot live migrate while the instance is in this state."""


class InvalidLocalStorage(ActionFault):
    """{path} is not on local storage: {reason}"""


class InvalidSharedStorage(ActionFault):
    """{path} is not on shared storage: {reason}"""


class MigrationError(ActionFault):
    """Migration error: {reason}"""


class ResizeError(ActionFault):
    """Resize error: {reason}"""


class AllocationUpdateFailed(ActionFault):
    """Failed to update allocations for consumer {consumer_uuid}. Error: {error}"""


class Unforeseen(ActionFault):
    """{message}"""


class SecretsUnreadable(ActionFault):
    """What the action was given in secret cannot be read: SECRET_KEY is not the one with which it was accepted."""


class Judged(ActionFault):
    """{by} has closed it: {reason}"""


class PreCheckFault(ActionFault):
    """The destination cannot take the guest."""

    next_candidate = True


class MigrationPreCheckError(PreCheckFault):
    """Migration pre-check error: {reason}"""


class SourceCheckFailed(MigrationPreCheckError):
    """Error while check_can_live_migrate_source from {source} to host {host}: {error} {text}"""


class DestinationSilent(PreCheckFault):
    """Host {host} does not answer: {reason}"""


class GroupPolicyViolated(ComputeResourcesUnavailable, MigrationPreCheckError):
    """The server's group does not allow the host: {reason}

    Where a host is claimed it is like room that is lacking, and the next one is tried; of a live migration it is a
    failed check of the destination, as it is for Nova.
    """


class InvalidHypervisorType(PreCheckFault):
    """The supplied hypervisor type of is invalid."""

    user_error = True


class InvalidCPUInfo(PreCheckFault):
    """Unacceptable CPU info: {reason}"""

    user_error = True


class UnableToMigrateToSelf(PreCheckFault):
    """Unable to migrate instance ({instance_id}) to current host ({host})."""

    user_error = True


class DestinationHypervisorTooOld(PreCheckFault):
    """The instance requires a newer hypervisor version than has been provided."""

    user_error = True


class DriverFault(ActionFault):
    """{message}"""


class GuestNotFound(DriverFault):
    """Guest {guest} is not defined on host {host}."""


class GuestOnTwoHosts(DriverFault):
    """Guest {guest} is seen on {hosts}: nothing is started or stopped until a person has decided which one is right."""


class BelongsToAnother(DriverFault):
    """What host {host} has of guest {guest} belongs to {owner}, and not to {asked}: it is left alone."""


class MigrationAborted(DriverFault):
    """The migration was aborted; the guest stays on {host}."""


class MigrationFailed(DriverFault):
    """The migration failed and the guest stays on {host}: {reason}"""


class BackupFailed(DriverFault):
    """The backup failed: {reason}"""


class RestoreFailed(DriverFault):
    """The backup was not restored: {reason}"""


class DiskMoveRolledBack(DriverFault):
    """The disks were not moved, and the guest is as it was: {reason}"""


class AgentUnavailable(DriverFault):
    """Guest {guest} has no guest agent, so nothing can be changed inside it. Install qemu-guest-agent in the guest."""


class AgentNotReady(DriverFault):
    """The guest agent of {guest} does not answer yet."""

    retryable = True


class AgentAnswerInvalid(DriverFault):
    """The guest agent of {guest} answered something else than what {command} answers: {reason}."""


class NotSupported(DriverFault):
    """The driver of host {host} cannot {verb}."""


class HypervisorUnavailable(DriverFault):
    """Connection to the hypervisor is broken on host"""


class HypervisorTimeout(DriverFault):
    """Host {host} did not answer '{verb}' in {limit_s} s; what became of it is not known."""


class ImageStoreFault(ActionFault):
    """The image store refused: {reason}"""


class ImageStoreUnavailable(ImageStoreFault):
    """The image store does not answer: {reason}"""

    retryable = True


def fault_of(verdict: Mapping[str, Any]) -> ActionFault | None:
    """Return the fault that a record keeps as `code` and `text`; None where it keeps none."""
    if not verdict.get("code"):
        return None
    return _by_code(ActionFault).get(verdict["code"], Unforeseen)(message=verdict["text"])


def _by_code(fault: type[ActionFault]) -> dict[str, type[ActionFault]]:
    found = {fault.code: fault}
    for kind in fault.__subclasses__():
        found |= _by_code(kind)
    return found


NOVA_NAMES = {Unforeseen: "NovaException"}
"""Where our name for a fault is not Nova's; for texts that name Nova's class on the wire."""
