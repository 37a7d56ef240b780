"""`python -m tests.e2e.provider`: make the provider's database, its people and its one client, and answer."""

from __future__ import annotations

import os
from wsgiref.simple_server import make_server

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application


def main() -> None:
    django.setup()
    from django.contrib.auth.models import Group, User  # noqa: PLC0415 (Django is set up first)
    from oauth2_provider.models import Application  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    for person in os.environ["PROVIDER_PEOPLE"].split():
        name, _, groups = person.partition(":")
        user = User.objects.create_user(name, f"{name}@example.org", f"password of {name}")
        user.groups.set(
            Group.objects.get_or_create(name=group)[0] for group in filter(None, groups.split(","))
        )
    Application.objects.create(
        client_id=os.environ["PROVIDER_CLIENT"],
        client_secret=os.environ["PROVIDER_SECRET"],
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=os.environ["PROVIDER_RETURN"],
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )
    make_server("localhost", int(os.environ["PROVIDER_PORT"]), get_wsgi_application()).serve_forever()


if __name__ == "__main__":
    main()
