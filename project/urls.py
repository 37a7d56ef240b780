"""Every address: the console, and the doors for Nova's, Keystone's and Glance's clients."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from servers.admin import console
from servers.api.gantry.metrics import Metrics
from servers.api.probes import healthz, readyz

handler500 = "project.errors.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", console.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", Metrics.as_view()),
    path("identity", include("servers.api.identity.urls")),
    path("image", include("servers.api.image.urls")),
    path("gantry/v1/", include("servers.api.gantry.urls")),
    path("openapi", include("servers.api.schema.urls")),
    path("", include("servers.api.compute.urls")),  # last: it answers what is nobody's
]
