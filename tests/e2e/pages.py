"""Every page of the console, each as a name and how to get there."""

from __future__ import annotations

from collections.abc import Callable

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


LISTS = (
    *("server", "host", "image", "actionrecord", "migration", "worker", "user", "project", "membership"),
    *("applicationcredential", "token", "domain", "flavor", "servergroup", "aggregate", "storagepool"),
    "allocation",
)

PAGES: dict[str, Way] = {
    "overview": at("/admin/"),
    **{f"list-{model}": at(f"/admin/servers/{model}/") for model in LISTS},
    "server": server("web-1"),
    "server-locked": server("cart-2"),
    "server-to-confirm": server("worker-2"),
    "form-live-migration": form("web-1", "live-migration"),
    "form-create-backup": form("web-1", "create-backup"),
    "form-reset-state": form("web-1", "reset-state"),
    "form-change-password": form("web-1", "change-password"),
    "form-refused": form("worker-3", "live-migration"),
    "bulk-form": bulk("worker", "live-migration"),
    "bulk-outcome": bulk_outcome,
    "action": first_of("actionrecord", "?action=live-migration"),
    "action-failed": first_of("actionrecord", "?status__exact=failed"),
    "action-backup": first_of("actionrecord", "?action=create-backup"),
    "action-running": running,
    "server-running": server_running,
    "migration": first_of("migration"),
    "host": first_of("host"),
    "host-discover": at("/admin/servers/host/discover/"),
    "host-history": at("/admin/servers/host/1/history/"),
    "image": first_of("image"),
    "user": first_of("user"),
    "project": first_of("project"),
    "membership-add": at("/admin/servers/membership/add/"),
    "policy": at("/admin/policy/"),
    "password-change": at("/admin/password_change/"),
}
"""As an operator sees them."""
