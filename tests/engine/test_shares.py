"""No class starves another, whatever the weights and whatever waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from servers.engine.execution.shares import Shares
from servers.states import WEIGHTED_CLASSES, QueueClass

WEIGHTS = st.fixed_dictionaries({name: st.integers(1, 50) for name in WEIGHTED_CLASSES})
BY_DEFAULT = {QueueClass.MOVES: 6, QueueClass.GENERAL: 3, QueueClass.BACKUPS: 1}
SOME = st.sets(st.sampled_from(WEIGHTED_CLASSES), min_size=1)


def take(shares: Shares, waiting: set[QueueClass]) -> QueueClass | None:
    """Take a turn as a process does when something waits in these classes alone."""
    taken = next((name for name in shares.order() if name in waiting), None)
    shares.take_turn(taken)
    return taken


def turns(shares: Shares, count: int, waiting: Sequence[QueueClass] = WEIGHTED_CLASSES) -> list[QueueClass]:
    return [name for _ in range(count) if (name := take(shares, set(waiting))) is not None]


@given(WEIGHTS, SOME, st.integers(1, 300))
def test_classes_that_always_wait_get_their_weights_part_of_the_turns(
    weights: dict[str, int], waiting: set[QueueClass], count: int
) -> None:
    taken = Counter(turns(Shares(weights), count, sorted(waiting)))
    whole = sum(weights[name] for name in waiting)
    for name in waiting:
        assert abs(taken[name] - count * weights[name] / whole) <= len(WEIGHTED_CLASSES)


@given(WEIGHTS, st.lists(st.sets(st.sampled_from(WEIGHTED_CLASSES)), max_size=60), SOME)
def test_no_class_waits_longer_than_its_share_whatever_waited_before(
    weights: dict[str, int], before: list[set[QueueClass]], waiting: set[QueueClass]
) -> None:
    shares = Shares(weights)
    for there in before:
        take(shares, there)
    for name in waiting:
        longest = sum(weights[other] / weights[name] + 2 for other in waiting)
        assert name in turns(shares, int(longest) + 1, sorted(waiting))


@given(WEIGHTS, st.integers(1, 200))
def test_class_in_which_nothing_waited_has_saved_no_turns_up(weights: dict[str, int], idle: int) -> None:
    shares = Shares(weights)
    turns(shares, idle, [QueueClass.GENERAL])
    others = weights[QueueClass.MOVES] + weights[QueueClass.BACKUPS]
    assert QueueClass.GENERAL in turns(shares, others // weights[QueueClass.GENERAL] + 3)


def test_moves_come_first_and_a_backup_after_nine_others() -> None:
    taken = turns(Shares(BY_DEFAULT), 10)
    assert taken[0] is QueueClass.MOVES
    assert taken.index(QueueClass.BACKUPS) == 9
    assert Counter(taken) == Counter({QueueClass(name): weight for name, weight in BY_DEFAULT.items()})


def test_move_after_many_backups_goes_before_the_next_one() -> None:
    shares = Shares(BY_DEFAULT)
    turns(shares, 1000, [QueueClass.BACKUPS])
    assert take(shares, set(WEIGHTED_CLASSES)) is QueueClass.MOVES


def test_process_takes_only_its_own_classes() -> None:
    assert set(turns(Shares(BY_DEFAULT, [QueueClass.CONTROL]), 5)) == set()
    assert set(turns(Shares(BY_DEFAULT, [QueueClass.MOVES, QueueClass.GENERAL]), 50)) == {
        QueueClass.MOVES,
        QueueClass.GENERAL,
    }
