"""What is to be said of a Gantry that others can reach: Django's checks of a deployment, and ours."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register, run_checks

from servers.logins.addresses import parsed

NO_HTTPS = Warning(
    "PUBLIC_URL is not https: passwords, tokens and cookies go over the network as they are.",
    hint="Put a proxy in front that speaks TLS, and set PUBLIC_URL, BEHIND_PROXY and TRUSTED_PROXIES (SECURITY.md).",
    id="gantry.W001",
)
NO_PROXY = Warning(
    "PUBLIC_URL is https, which the web server does not speak, and BEHIND_PROXY is not set.",
    hint="Set BEHIND_PROXY and TRUSTED_PROXIES, so that https is known, and each client by its own address.",
    id="gantry.W002",
)
OPEN_FOLDER = Warning(
    "Others on this machine can look into the data folder.",
    hint="Give Gantry a DATA_DIR of its own, with mode 0700.",
    id="gantry.W003",
)


@register(Tags.security, deploy=True)
def check_deployment(**given: Any) -> list[CheckMessage]:
    """Return what is wrong with the way in from outside, and with the data folder."""
    https, folder = settings.PUBLIC_URL.startswith("https:"), Path(settings.DATA_DIR)
    is_open = folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077
    return [
        *([] if https else [NO_HTTPS]),
        *([NO_PROXY] if https and not settings.BEHIND_PROXY else []),
        *([OPEN_FOLDER] if is_open else []),
    ]


def is_reached_by_others(bind: str) -> bool:
    """Return whether anybody beyond this machine is meant to get in: by the address listened on, or PUBLIC_URL."""
    address = parsed(bind)
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    public = parsed(host)
    here = host == "localhost" or (public is not None and public.is_loopback)
    return not here or address is None or not address.is_loopback


def findings(bind: str) -> list[str]:
    """Return what `manage.py check --deploy` has to say of security, a sentence each; nothing where nobody else gets in."""
    if not is_reached_by_others(bind):
        return []
    found = run_checks(tags=[Tags.security], include_deployment_checks=True)
    return [f"{message.id}: {message.msg} {message.hint or ''}".rstrip() for message in found]


def warnings_of(bind: str) -> str:
    """Return the findings as the end of a greeting."""
    return "".join(f"\n  WARNING {' '.join(line.split())}\n" for line in findings(bind))
