"""What groups give is a list in which every row can be meant one way only; anything else ends the start."""

from __future__ import annotations

import pytest

from servers.logins.openid_settings import ROLES, Grant, grants_in, is_private
from servers.models import MembershipRole


def test_rows_name_a_project_or_the_system() -> None:
    text = """
    - {group: "cn=ops, o=example", role: admin, system: all}
    - {group: shop, role: member, project: shop}
    - {group: shop, role: reader, project: shop, domain: other}
    """
    assert grants_in(text) == (
        Grant("cn=ops, o=example", "admin"),
        Grant("shop", "member", "shop"),
        Grant("shop", "reader", "shop", "other"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "shop: member",
        "- shop",
        "- {group: shop, role: member}",
        "- {group: shop, role: member, system: yes}",
        "- {group: shop, role: member, system: some}",
        "- {group: shop, role: member, project: shop, system: all}",
        "- {group: shop, role: member, system: all, domain: other}",
        "- {group: shop, role: owner, project: shop}",
        "- {group: shop, project: shop}",
        "- {role: member, project: shop}",
        "- {group: '', role: member, project: shop}",
        "- {group: 7, role: member, project: shop}",
        "- {group: shop, role: member, project: shop, projcet: x}",
        "- {group: shop, role: member, project: [shop]}",
        "- {group: shop",
        "!!python/object/apply:os.system [true]",
    ],
)
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"row 1|must be a list|is no YAML"):
        grants_in(text)


def test_the_roles_are_those_that_there_are() -> None:
    assert set(ROLES) == set(MembershipRole.values)


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("https://login.example.org/realms/x", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080/o", True),
        ("http://[::1]:8080", True),
        ("http://login.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost.example.org", False),
        ("http://192.0.2.1", False),
        ("ftp://127.0.0.1", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://[", False),
        ("login.example.org", False),
        ("", False),
    ],
)
def test_an_address_is_https_or_this_machines_own(address: str, is_so: bool) -> None:
    assert is_private(address) is is_so
