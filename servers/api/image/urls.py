"""Addresses for Glance's clients, behind `/image`."""

from __future__ import annotations

from django.urls import path, re_path

from servers.api.image import views
from servers.api.image.discovery import Versions
from servers.api.image.door import NothingHere
from servers.api.image.download import ImageFile
from servers.api.image.schemas import Schema

urlpatterns = [
    re_path(r"^/?\Z", Versions.as_view()),
    path("/versions", Versions.as_view(code=200)),
    path("/v2/images", views.Images.as_view()),
    path("/v2/images/<str:image_id>", views.OneImage.as_view()),
    path("/v2/images/<str:image_id>/file", ImageFile.as_view()),
    path("/v2/images/<str:image_id>/tasks", views.ImageTasks.as_view()),
    path("/v2/images/<str:image_id>/members", views.ImageMembers.as_view()),
    path("/v2/schemas/<str:name>", Schema.as_view()),
    re_path(r"^/", NothingHere.as_view()),
]
