"""How states look: a word, a tone and an icon, the same on every page."""

from __future__ import annotations

from enum import StrEnum

from django.utils.html import format_html
from django.utils.safestring import SafeString

from servers.deployment.members import Participant
from servers.models import Host, Server
from servers.states import ActionStatus, ImageStatus, MigrationStatus, PowerState, TaskState


class Tone(StrEnum):
    """What a state means to the person who looks."""

    GOOD = "good"
    BUSY = "busy"
    WAITS = "waits"
    BAD = "bad"
    QUIET = "quiet"


ICONS = {Tone.GOOD: "✔", Tone.BUSY: "↻", Tone.WAITS: "◆", Tone.BAD: "✖", Tone.QUIET: "■"}

SERVER = {
    "ACTIVE": Tone.GOOD,
    "ERROR": Tone.BAD,
    "SHUTOFF": Tone.QUIET,
    "DELETED": Tone.QUIET,
    "SOFT_DELETED": Tone.QUIET,
    "SHELVED": Tone.QUIET,
    "SHELVED_OFFLOADED": Tone.QUIET,
    "PAUSED": Tone.WAITS,
    "SUSPENDED": Tone.WAITS,
    "RESCUE": Tone.WAITS,
    "VERIFY_RESIZE": Tone.WAITS,
}
"""By Nova's status; whatever is not here is on its way to something else."""

ACTION = {
    ActionStatus.QUEUED: Tone.WAITS,
    ActionStatus.RUNNING: Tone.BUSY,
    ActionStatus.UNKNOWN: Tone.WAITS,
    ActionStatus.SUCCEEDED: Tone.GOOD,
    ActionStatus.FAILED: Tone.BAD,
    ActionStatus.CANCELLED: Tone.QUIET,
}
MIGRATION = {
    **dict.fromkeys([MigrationStatus.COMPLETED, MigrationStatus.CONFIRMED, MigrationStatus.DONE], Tone.GOOD),
    **dict.fromkeys([MigrationStatus.FAILED, MigrationStatus.ERROR], Tone.BAD),
    **dict.fromkeys([MigrationStatus.REVERTED, MigrationStatus.CANCELLED], Tone.QUIET),
    **dict.fromkeys([MigrationStatus.ACCEPTED, MigrationStatus.QUEUED, MigrationStatus.FINISHED], Tone.WAITS),
}
IMAGE = {
    ImageStatus.ACTIVE: Tone.GOOD,
    ImageStatus.KILLED: Tone.BAD,
    ImageStatus.DELETED: Tone.QUIET,
}
POWER = {
    PowerState.RUNNING: Tone.GOOD,
    PowerState.CRASHED: Tone.BAD,
    PowerState.SHUTDOWN: Tone.QUIET,
    PowerState.NOSTATE: Tone.QUIET,
}


def badge(word: str, tone: Tone) -> SafeString:
    """Return a state as a word with colour and icon."""
    return format_html(
        '<span class="badge badge-{}"><span class="icon" aria-hidden="true">{}</span>{}</span>',
        tone.value,
        ICONS[tone],
        word,
    )


def server_badge(server: Server) -> SafeString:
    """Return the server's status, with its task where the status does not tell it."""
    status = server.status
    shown = badge(status, SERVER.get(status, Tone.BUSY))
    if server.task_state == TaskState.IDLE:
        return shown
    return format_html("{} {}", shown, badge(server.task_state, Tone.BUSY))


def power_badge(server: Server) -> SafeString:
    """Return what the hypervisor said of the guest."""
    power = PowerState(server.power_state)
    return badge(power.word, POWER.get(power, Tone.WAITS))


def lock_badge(server: Server) -> SafeString | str:
    """Return who has locked the server, or nothing."""
    if not server.locked_by:
        return ""
    return format_html(
        '<span class="badge badge-waits"><span class="icon" aria-hidden="true">▣</span>locked by {}</span>',
        server.locked_by,
    )


def action_badge(status: str) -> SafeString:
    return badge(status, ACTION[ActionStatus(status)])


def migration_badge(status: str) -> SafeString:
    return badge(status, MIGRATION.get(MigrationStatus(status), Tone.BUSY))


def image_badge(status: str) -> SafeString:
    return badge(status, IMAGE.get(ImageStatus(status), Tone.BUSY))


def result_badge(result: str) -> SafeString:
    """Return how an event ended, or that it goes on."""
    tones = {"Success": Tone.GOOD, "Error": Tone.BAD}
    return badge(result or "going on", tones.get(result, Tone.BUSY))


def worker_badge(is_alive: bool) -> SafeString:
    """Return whether a supervisor of workers was heard of lately."""
    return badge("working", Tone.GOOD) if is_alive else badge("silent", Tone.BAD)


def member_badge(member: Participant) -> SafeString:
    """Return whether a process agrees with the deployment."""
    return badge(member.state, Tone.GOOD if member.state == "agrees" else Tone.BAD)


def host_badges(host: Host) -> SafeString:
    """Return whether the host answers, and whether it takes servers."""
    if host.forced_down:
        state = badge("forced down", Tone.BAD)
    else:
        state = badge("up", Tone.GOOD) if host.is_up else badge("down", Tone.BAD)
    if host.maintenance:
        return format_html("{} {}", state, badge("maintenance", Tone.WAITS))
    return state if host.enabled else format_html("{} {}", state, badge("disabled", Tone.WAITS))
