"""What a step may ask stands in its signature: a type check refuses the rest, and the engine keeps each promise."""

from __future__ import annotations

import inspect

import pytest

from servers.actions import task as tasks
from servers.engine.execution.task import WorkingTask

PROTOCOLS = [tasks.Task, tasks.AgentTask, tasks.PlacingTask, tasks.MovingTask, tasks.ImageTask]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_the_engine_keeps_what_a_task_promises(protocol: type) -> None:
    for name, promise in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        kept = inspect.signature(getattr(WorkingTask, name))
        assert list(kept.parameters) == list(inspect.signature(promise).parameters), name


def test_no_kind_of_task_promises_what_another_one_is_for() -> None:
    own = {protocol: set(vars(protocol)) & set(dir(WorkingTask)) for protocol in PROTOCOLS}
    names = [name for found in own.values() for name in found if not name.startswith("_")]
    assert len(names) == len(set(names))
