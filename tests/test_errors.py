"""What a fault says can be kept and shown, whoever has chosen the words in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import errors
from servers.errors import MAX_MESSAGE_CHARS, DriverFault, Fault, printable


@given(st.text(st.characters(), max_size=200))
def test_a_message_holds_nothing_that_a_database_refuses_or_a_terminal_obeys(text: str) -> None:
    said = str(DriverFault(message=text))
    said.encode()
    assert all(letter in "\n\t" or ord(letter) >= 32 for letter in said)
    assert len(said) == len(text)


def test_a_message_has_an_end() -> None:
    assert len(str(DriverFault(message="x" * 5_000_000))) == MAX_MESSAGE_CHARS


def test_plain_words_stay_as_they_are() -> None:
    text = "Größe: 5 GiB\n\tδοκιμή 😀"
    assert printable(text) == str(DriverFault(message=text)) == text


def test_what_a_fault_quotes_is_printable_as_well() -> None:
    assert str(errors.GuestNotFound(guest="a\0b", host="\x1b[2Jnode1")) == (
        "Guest a\ufffdb is not defined on host \ufffd[2Jnode1."
    )


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_no_text_is_longer_than_asked_for(limit: int) -> None:
    assert len(printable("x" * 100, limit)) == limit


def test_the_default_message_is_one_line() -> None:
    assert str(Fault()) == "Something went wrong."
