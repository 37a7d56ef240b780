"""Which class of actions comes next in a process: stride scheduling by the weights of QUEUE_WEIGHTS."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from servers.states import WEIGHTED_CLASSES, QueueClass


class Shares:
    """The turns of the weighted classes in one process.

    Each class has a time of its next turn, and a turn takes 1/weight: of classes that always have something
    waiting each gets its weight's part of the turns. One in which nothing waits gains no credit meanwhile.
    """

    def __init__(
        self, weights: Mapping[str, int], classes: Collection[QueueClass] = WEIGHTED_CLASSES
    ) -> None:
        self.strides = {name: Fraction(1, weights[name]) for name in WEIGHTED_CLASSES if name in classes}
        self.turns = dict(self.strides)

    def order(self) -> list[QueueClass]:
        """Return the classes, the one whose turn is next first; of equals the first of WEIGHTED_CLASSES."""
        return sorted(self.turns, key=self.turns.__getitem__)

    def take_turn(self, taken: QueueClass | None) -> None:
        """Write that an action of the class `taken` was begun, and that nothing waited in those before it.

        None: nothing waited in any class, so that all begin anew.
        """
        if taken is None:
            self.turns = dict(self.strides)
            return
        now = self.turns[taken]
        for name in self.order():
            if name is taken:
                break
            self.turns[name] = now + self.strides[name]
        self.turns[taken] = now + self.strides[taken]
