"""Places to wait in: as many as there are, one a thread, and each is given back."""

from __future__ import annotations

import threading

import pytest

from servers.errors import TooManyWaiting
from servers.waiting import Places


def in_another_thread(places: Places) -> list[bool]:
    """Return whether another thread finds a place."""
    found: list[bool] = []

    def look() -> None:
        with places.place_if_free() as held:
            found.append(held)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found


def test_there_are_any_number_until_somebody_says_how_many() -> None:
    places = Places()
    with places.place():
        assert in_another_thread(places) == [True]


def test_whoever_finds_none_is_refused_at_once() -> None:
    places = Places()
    places.limit(1)
    with places.place():
        assert in_another_thread(places) == [False]
    assert in_another_thread(places) == [True]
    places.limit(0)
    with pytest.raises(TooManyWaiting), places.place():
        pass


def test_a_thread_needs_one_however_often_it_asks() -> None:
    places = Places()
    places.limit(1)
    with places.place(), places.place(), places.place_if_free() as held:
        assert held
    assert in_another_thread(places) == [True]


def test_a_place_is_given_back_by_whoever_fails() -> None:
    places = Places()
    places.limit(1)
    with pytest.raises(ZeroDivisionError), places.place():
        _ = 1 / 0
    assert in_another_thread(places) == [True]


class Counting:
    """Threads of which one knows how many have stepped aside."""

    def __init__(self) -> None:
        self.aside: list[int] = [0]

    def step_aside(self) -> None:
        self.aside.append(self.aside[-1] + 1)

    def come_back(self) -> None:
        self.aside.append(self.aside[-1] - 1)


def test_whoever_waits_steps_aside_once_and_comes_back_also_when_he_fails() -> None:
    places, threads = Places(), Counting()
    places.limit(1, threads)
    with pytest.raises(ZeroDivisionError), places.place(), places.aside(), places.place():
        _ = 1 / 0
    assert threads.aside == [0, 1, 0]
    with places.aside():
        assert in_another_thread(places) == [True]  # it takes no place
    with places.place(), pytest.raises(AssertionError):
        assert in_another_thread(places) == [True]
    assert threads.aside[-1] == 0
