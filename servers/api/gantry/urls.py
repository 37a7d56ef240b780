"""The addresses that are Gantry's own."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path

from servers.api.gantry import actions, audit, deployment, health, workers
from servers.api.gantry.door import NothingHere

resources: list[URLPattern | URLResolver] = [
    path("actions", actions.ActionList.as_view()),
    path("actions/<str:action_id>", actions.ActionShow.as_view()),
    path("actions/<str:action_id>/judgement", actions.ActionJudgement.as_view()),
    path("audit", audit.AuditList.as_view()),
    path("audit/<str:record_id>", audit.AuditShow.as_view()),
    path("deployment", deployment.DeploymentShow.as_view()),
    path("health", health.HealthShow.as_view()),
    path("workers", workers.WorkerList.as_view()),
]

urlpatterns: list[URLPattern | URLResolver] = [*resources, re_path("", NothingHere.as_view())]
