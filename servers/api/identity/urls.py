"""Addresses for Keystone's clients, behind `/identity`."""

from __future__ import annotations

from django.urls import path, re_path

from servers.api.identity import discovery, tokens
from servers.api.identity.credentials import Credentials, OneCredential
from servers.api.identity.directory import Domains, Projects, RoleAssignments, Roles, Users

urlpatterns = [
    re_path(r"^/?\Z", discovery.Versions.as_view()),
    re_path(r"^/v3/?\Z", discovery.Version.as_view()),
    path("/v3/auth/tokens", tokens.Tokens.as_view()),
    path("/v3/auth/projects", tokens.OwnProjects.as_view()),
    path("/v3/auth/catalog", tokens.OwnCatalog.as_view()),
    path("/v3/auth/system", tokens.OwnSystem.as_view()),
    path("/v3/projects", Projects.as_view()),
    path("/v3/projects/<str:pk>", Projects.as_view()),
    path("/v3/users", Users.as_view()),
    path("/v3/users/<str:pk>", Users.as_view()),
    path("/v3/users/<str:user_id>/projects", tokens.OwnProjects.as_view()),
    path("/v3/users/<str:user_id>/application_credentials", Credentials.as_view()),
    path("/v3/users/<str:user_id>/application_credentials/<str:pk>", OneCredential.as_view()),
    path("/v3/domains", Domains.as_view()),
    path("/v3/domains/<str:pk>", Domains.as_view()),
    path("/v3/roles", Roles.as_view()),
    path("/v3/roles/<str:pk>", Roles.as_view()),
    path("/v3/role_assignments", RoleAssignments.as_view()),
    re_path(r"^/", discovery.Nothing.as_view()),
]
