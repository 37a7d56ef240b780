"""Where the document is: as JSON, as YAML, and as a page to read."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularYAMLAPIView

from servers.api.schema.page import SchemaPage

urlpatterns = [
    path(".json", SpectacularJSONAPIView.as_view()),
    path(".yaml", SpectacularYAMLAPIView.as_view()),
    path("", SchemaPage.as_view()),
]
