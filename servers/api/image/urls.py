"""Addresses for Glance's clients, behind `/image`."""

from __future__ import annotations

from django.urls import path, re_path

from servers.api.image import views
from servers.api.image.door import NothingHere

urlpatterns = [
    re_path(r"^/?$", views.versions),
    path("/versions", views.versions),
    path("/v2/images", views.Images.as_view()),
    path("/v2/images/<str:image_id>", views.OneImage.as_view()),
    path("/v2/images/<str:image_id>/file", views.ImageFile.as_view()),
    path("/v2/images/<str:image_id>/tasks", views.ImageTasks.as_view()),
    path("/v2/images/<str:image_id>/members", views.ImageTasks.as_view()),
    path("/v2/schemas/<str:name>", views.Schema.as_view()),
    re_path(r"^/.*$", NothingHere.as_view()),
]
