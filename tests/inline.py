"""What a Content-Security-Policy without `unsafe-inline` keeps a browser from doing, found in a page."""

from __future__ import annotations

from html.parser import HTMLParser

STRICT = {
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
}
"""What a policy says at least."""
DATA = {"application/json", "application/ld+json"}


class Inline(HTMLParser):
    """Collects inline scripts, styles and handlers, a line each."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type") not in DATA):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            evaluated = name.startswith(("on", "hx-on")) or (value or "").lstrip().startswith(
                ("javascript:", "js:")
            )
            if name == "style" or evaluated:
                self.found.append(f'<{tag} {name}="{value}">')


def inline(page: str) -> list[str]:
    """Return what is inline in a page."""
    parser = Inline()
    parser.feed(page)
    return parser.found
