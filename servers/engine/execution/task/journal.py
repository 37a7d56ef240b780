"""The journal of an attempt: which steps have begun, had an effect, are done or undone; the lease is proven beside it."""

from __future__ import annotations

from servers.actions.base import Step
from servers.actions.task import Change
from servers.engine.execution.task.attempt import Attempt
from servers.engine.records import changes
from servers.errors import ActionFault, LeaseLost


class Journal(Attempt):
    """What a later attempt goes by, written before it matters."""

    def begin_step(self, name: str) -> None:
        """Write to the journal that a step begins, before it has an effect."""
        self.beat()
        self.forget_facts()
        self.row.begin(name)
        self.write(steps=self.row.steps, step=name)
        self.step = self.running_step

    def finish_step(self, name: str) -> None:
        """Add to the journal that a step is done; written with the next step, the end, or the requeue."""
        self.row.finish(name)

    def prove(self) -> None:
        """Renew the lease, and write to the journal that the running step may have had an effect.

        To be called directly before each effect: the database decides, not what this process remembers.
        Raises LeaseLost.
        """
        if self.heartbeat is not None and self.heartbeat.is_lost:
            raise LeaseLost
        journal = {}
        if self._is_first_effect():
            self.row.mark(self.row.step, "effect")
            journal = {"steps": self.row.steps}
        self.renew(**journal)

    def _is_first_effect(self) -> bool:
        return bool(self.row.step) and not self.row.verdict and self.row.step not in self.row.effective

    def take_effect(self) -> None:
        """Write to the journal, in the caller's transaction, that the running step has an effect.

        Only for a step with `has_a_way_back`: undo and later attempts go by it.
        """
        step = self.running_step
        if step is not None and step.has_a_way_back and self._is_first_effect():
            self.row.mark(self.row.step, "effect")
            self.save(steps=self.row.steps)

    def record(self, change: Change) -> None:
        """Write `change` in one transaction, with the effect of the running step. Raises LeaseLost."""
        with self.fenced():
            self.take_effect()
            changes.apply(self.row, change)
        self.forget_facts()

    def begin_undo(self, step: Step) -> None:
        """Go over to the undo of a step, which finds the facts as they are then, and may use what the step takes."""
        self.forget_facts()
        self.step = step

    def decide(self, edge: str, fault: ActionFault | None = None) -> None:
        """Write how the action ends before anything is undone: the next attempt does not decide again."""
        self.fault = fault
        said = {"code": fault.code, "text": str(fault)} if fault is not None else {}
        self.write(verdict={"edge": edge, **said})

    def mark_undone(self, name: str) -> None:
        """Write to the journal that a step is undone."""
        self.row.mark(name, "undone")
        self.write(steps=self.row.steps)

    def not_undone(self, name: str, reason: str) -> None:
        """Write what could not be undone, and on which host, so that the reconciler removes it."""
        self.answer(not_undone=[*self.row.result.get("not_undone", []), f"{name}: {reason}"])
        moved = self.row.migration_id is not None
        self.write(left_on=self._migration().dest_compute if moved else self.source)

    def leave_behind(self, host: str, reason: str) -> None:
        """Write that something is left on `host`, and why, so that the reconciler removes it."""
        self.answer(left_behind=f"{host}: {reason}")
        self.write(left_on=host)
