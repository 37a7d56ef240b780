"""Every page of the console, each as a name and how to get there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from playwright.sync_api import Page

from tests.e2e.browsing import open_server

Way = Callable[[Page], None]


def at(path: str) -> Way:
    """Return the way to an address."""
    return lambda page: void(page.goto(path))


def void(_: object) -> None:
    """Forget what a call returned."""


def first_of(model: str, query: str = "") -> Way:
    """Return the way to the page of the first row of a list."""

    def go(page: Page) -> None:
        page.goto(f"/admin/servers/{model}/{query}")
        page.click("#result_list tbody tr:first-child th a")
        page.wait_for_load_state()

    return go


def server(name: str) -> Way:
    """Return the way to a server's page."""
    return lambda page: open_server(page, name)


def form(name: str, slug: str) -> Way:
    """Return the way to the form of an action on a server."""

    def go(page: Page) -> None:
        open_server(page, name)
        page.goto(page.url.replace("/change/", f"/do/{slug}/"))

    return go


def bulk(query: str, slug: str) -> Way:
    """Return the way to the form of an action on all servers that a query finds."""

    def go(page: Page) -> None:
        page.goto(f"/admin/servers/server/?q={query}")
        page.check("#action-toggle")
        page.select_option("select[name=action]", slug)
        page.click("button[name=index]")
        page.wait_for_selector("#acting")

    return go


def bulk_outcome(page: Page) -> None:
    """Go to the outcome of an action on a few servers."""
    bulk("web", "lock")(page)
    page.click(".submit-row button")
    page.wait_for_selector("#outcomes")


def running(page: Page) -> None:
    """Go to the page of a live migration that is on its way."""
    open_server(page, "web-2")
    if page.locator("a#do-live-migration").count():
        page.click("a#do-live-migration")
        page.click("#submit")
    else:
        page.click("#live .now a")
    page.wait_for_selector("#events-title")
    page.wait_for_timeout(4500)


def server_running(page: Page) -> None:
    """Go to the page of a server that is being moved."""
    running(page)
    open_server(page, "web-2")


def credential_made(page: Page) -> None:
    """Go to the page that shows the secret of a new application credential."""
    page.goto("/admin/servers/applicationcredential/add/")
    page.fill("#id_name", f"robot {uuid4()}")
    page.check("input[name=roles][value=reader]")
    page.click("input[name=_save]")
    page.wait_for_selector("#clouds-title")


def history_of(model: str) -> Way:
    """Return the way to who changed the first row of a list."""

    def go(page: Page) -> None:
        first_of(model)(page)
        page.goto(page.url.replace("/change/", "/history/"))

    return go


def server_history(page: Page) -> None:
    """Go to the history of a server."""
    open_server(page, "web-1")
    page.click(".history-link a")
    page.wait_for_selector("#trail")


def record(page: Page) -> None:
    """Go to the page of the newest record about a host."""
    page.goto("/admin/servers/auditrecord/?object_type=host")
    page.click("#trail tbody tr:first-child th a")
    page.wait_for_selector("#changed")


def deleted(page: Page) -> None:
    """Go to the page of an aggregate that there is no more, which says where its history is."""
    page.goto("/admin/servers/aggregate/add/")
    page.fill("#id_name", f"short-lived {uuid4()}")
    page.click("input[name=_continue]")
    page.wait_for_selector("a.deletelink")
    gone = page.url
    page.click("a.deletelink")
    page.click("input[type=submit][value^=Yes]")
    page.wait_for_load_state()
    page.goto(gone)
    page.wait_for_selector(".errornote")


def restoring(page: Page) -> None:
    """Go to the form that makes a new server of a backup."""
    page.goto("/admin/servers/image/?status__exact=active")
    page.click("#result_list tbody tr:first-child th a")
    page.click("a:has-text('Restore as a new server')")
    page.wait_for_selector("#submit")


def waiting(page: Page) -> None:
    """Go to the page of the action that waits for a judgement."""
    page.goto("/admin/judgement/")
    page.click("#waiting tbody tr:first-child td a:not(.act-button)")
    page.wait_for_selector("#waits")


def judging(page: Page) -> None:
    """Go to its evidence and the ways out."""
    waiting(page)
    page.click("#judge")
    page.wait_for_selector("#ways-title")


def judging_refused(page: Page) -> None:
    """Go there with a judgement that was refused."""
    judging(page)
    page.fill("#id_succeeded-reason", "I have seen it on its new host.")
    page.click("#way-succeeded button")
    page.wait_for_selector("#refusal")


def deletion(page: Page) -> None:
    """Go to the question whether a project is to be deleted."""
    first_of("project")(page)
    page.click("a.deletelink")
    page.wait_for_load_state()


LISTS = (
    *("server", "host", "image", "actionrecord", "migration", "worker", "user", "project", "membership"),
    *("applicationcredential", "token", "domain", "flavor", "servergroup", "aggregate", "storagepool"),
    *("allocation", "auditrecord"),
)

ROWS = ("membership", "domain", "flavor", "servergroup", "storagepool", "allocation")
FORMS = (
    "create-backup",
    "inject-network-info",
    "live-migration",
    "lock",
    "migrate",
    "pause",
    "reset-network",
)

PAGES: dict[str, Way] = {
    "overview": at("/admin/"),
    **{f"list-{model}": at(f"/admin/servers/{model}/") for model in LISTS},
    "server": server("web-1"),
    "server-locked": server("cart-2"),
    "server-to-confirm": server("worker-2"),
    **{f"form-{slug}": form("web-1", slug) for slug in (*FORMS, "reset-state", "change-password", "unlock")},
    "form-unpause": form("worker-4", "unpause"),
    "form-confirm-resize": form("worker-2", "confirm-resize"),
    "form-revert-resize": form("worker-2", "revert-resize"),
    "form-refused": form("worker-3", "live-migration"),
    "bulk-form": bulk("worker", "live-migration"),
    "bulk-outcome": bulk_outcome,
    "action": first_of("actionrecord", "?action=live-migration"),
    "action-failed": first_of("actionrecord", "?status__exact=failed"),
    "action-backup": first_of("actionrecord", "?action=create-backup"),
    "action-running": running,
    "server-running": server_running,
    "waiting": at("/admin/judgement/"),
    "action-waiting": waiting,
    "action-judge": judging,
    "action-judge-refused": judging_refused,
    "migration": first_of("migration"),
    "host": first_of("host"),
    "host-discover": at("/admin/servers/host/discover/"),
    "host-history": at("/admin/servers/host/1/history/"),
    "image": first_of("image"),
    "image-restore": restoring,
    "user": first_of("user"),
    "project": first_of("project"),
    "project-deletion": deletion,
    "membership-add": at("/admin/servers/membership/add/"),
    "aggregate-add": at("/admin/servers/aggregate/add/"),
    "user-add": at("/admin/servers/user/add/"),
    "credential-add": at("/admin/servers/applicationcredential/add/"),
    "credential-made": credential_made,
    **{f"row-{model}": first_of(model) for model in ROWS},
    "user-history": history_of("user"),
    "server-history": server_history,
    "record": record,
    "trail-filtered": at("/admin/servers/auditrecord/?who=nobody&object_id=7&since=2026-01-01T00:00"),
    "trail-not-read": at("/admin/servers/auditrecord/?since=yesterday"),
    "deleted": deleted,
    "policy": at("/admin/policy/"),
    "not-found": at("/admin/servers/host/0/change/"),
    "password-change": at("/admin/password_change/"),
}
"""As an operator sees them."""
