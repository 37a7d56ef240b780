"""Times for people: absolute and relative, with the offset."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers import clock


def ago(moment: datetime) -> str:
    """Return how long ago, or in how long, a moment is."""
    past = clock.now() - moment
    if abs(past.total_seconds()) < 2:
        return "just now"
    if past.total_seconds() < 0:
        return f"in {_one_unit(-past)}"
    return f"{_one_unit(past)} ago"


def _one_unit(span: timedelta) -> str:
    seconds = span.total_seconds()
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return f"{int(seconds)} s"


def moment(when: datetime | None) -> SafeString | str:
    """Return a time in the viewer's zone with its offset, and how long ago it is."""
    if when is None:
        return "–"
    local = timezone.localtime(when)
    return format_html(
        '<time datetime="{}"><span class="absolute">{}</span> {} <span class="relative">{}</span></time>',
        when.isoformat(timespec="seconds"),
        f"{local:%Y-%m-%d %H:%M:%S}",
        f"{local:%z}",
        ago(when),
    )


def time_of_day(when: datetime | None) -> SafeString | str:
    """Return the time in the viewer's zone with its offset, where the day stands beside it."""
    if when is None:
        return "–"
    local = timezone.localtime(when)
    return format_html(
        '<time datetime="{}">{}</time>', when.isoformat(timespec="seconds"), f"{local:%H:%M:%S %z}"
    )
