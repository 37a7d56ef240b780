"""Contracts that every definition keeps, by looping over the registry: a new action is tested by being there."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest

from servers.actions import Action, registry
from servers.actions.base import Exclusivity, Parameter, Transition, step
from servers.actions.kinds import Boolean, BooleanOrAuto, Count, Name, Text
from servers.drivers.base import Ability
from servers.microversions import HISTORY, Microversion
from servers.policy import Role, Rule
from servers.states import TaskState, VmState

MISSION = {"createBackup", "injectNetworkInfo", "migrate", "os-migrateLive", "resetNetwork", "os-resetState"}
ACTIONS = list(registry.values())
VERSIONS = [Microversion.parse(v) for v in HISTORY]
every_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.slug)


def server(**facts: object) -> SimpleNamespace:
    defaults = {
        "uuid": UUID(int=1),
        "vm_state": VmState.ACTIVE,
        "task_state": TaskState.IDLE,
        "launched_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return SimpleNamespace(**defaults | facts)


def test_the_six_actions_of_the_mission_are_registered() -> None:
    assert {a.wire_name for a in ACTIONS} >= MISSION


@every_action
def test_definition_says_what_it_does_in_sentences(action: type[Action]) -> None:
    assert action.summary().endswith((".", ":")) or action.summary()[-1].isalpha()
    assert action.consequence.endswith(".")
    assert all(rule.description for rule in action.policy)
    assert all(p.help for p in action.parameters)


@every_action
def test_rows_of_one_parameter_never_overlap(action: type[Action]) -> None:
    for a, b in itertools.combinations(action.parameters, 2):
        if a.name == b.name:
            both = [v for v in VERSIONS if v.between(a.since, a.until) and v.between(b.since, b.until)]
            assert not both


@every_action
def test_exactly_one_body_shape_applies_at_every_version(action: type[Action]) -> None:
    for version in VERSIONS:
        assert sum(version.between(b.since, b.until) for b in action.bodies) == 1


@every_action
def test_exclusive_action_that_begins_at_once_has_an_edge(action: type[Action]) -> None:
    if action.exclusivity is Exclusivity.EXCLUSIVE and action.slug != "confirm-resize":
        assert action.transition.edge


@every_action
def test_wrong_vm_state_is_refused_with_novas_text(action: type[Action]) -> None:
    allowed = action.transition.allowed
    if allowed is None:
        return
    for state in set(VmState) - allowed:
        refusal = action.transition.refuses(server(vm_state=state), action.verb)
        text = f"Cannot '{action.verb}' instance {UUID(int=1)} while it is in vm_state {state}"
        assert str(refusal) == text


def test_second_action_is_refused_with_the_task_that_is_in_the_way() -> None:
    migrate = registry["migrate"]
    refusal = migrate.transition.refuses(server(task_state=TaskState.MIGRATING), migrate.verb)
    assert str(refusal) == f"Cannot 'migrate' instance {UUID(int=1)} while it is in task_state migrating"


def test_server_that_never_ran_is_refused() -> None:
    refusal = registry["migrate"].transition.refuses(server(launched_at=None), "migrate")
    assert str(refusal) == f"Instance {UUID(int=1)} is in an invalid state for 'migrate'"


def test_parameters_change_with_the_microversion() -> None:
    live = registry["live-migration"]

    def names(version: str) -> set[str]:
        return {p.name for p in live.parameters_at(Microversion.parse(version))}

    assert names("2.24") == {"host", "block_migration", "disk_over_commit"}
    assert names("2.25") == {"host", "block_migration"}
    assert names("2.34") == {"host", "block_migration", "force"}
    kinds = {type(p.kind) for p in live.parameters if p.name == "block_migration"}
    assert kinds == {Boolean, BooleanOrAuto}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Boolean(), "Yes", True),
        (Boolean(), "off", False),
        (Boolean(), True, True),
        (BooleanOrAuto(), "auto", None),
        (BooleanOrAuto(), "TRUE", True),
        (Count(), "7", 7),
        (Count(), 1.0, 1),
        (Name(), " nightly ", "nightly"),
    ],
)
def test_kinds_clean_what_the_wire_permits(kind: Boolean, value: object, expected: object) -> None:
    assert kind.clean(value) == expected


class Dozing(Ability):
    """An ability that no driver has."""

    attribute = "doze"
    sentence = "doze"


def declare(**body: object) -> type[Action]:
    facts = {
        "__doc__": "Do a thing.",
        "__module__": __name__,
        "wire_name": "toyThing",
        "record_name": "toyThing",
        "slug": "toy-thing",
        "policy": (Rule("toy:thing", Role.ADMIN, "do a thing"),),
        "transition": Transition(),
    }
    return type("ToyThing", (Action,), facts | body)


@pytest.mark.parametrize("fact", ["wire_name", "record_name", "slug", "policy", "transition"])
def test_definition_without_a_fact_is_refused_when_it_is_imported(fact: str) -> None:
    body = {k: v for k, v in {"__doc__": "Do.", "wire_name": "t", "record_name": "t", "slug": "t", "policy": (), "transition": Transition()}.items() if k != fact}  # fmt: skip
    with pytest.raises(TypeError, match=fact):
        type("Toy", (Action,), body)


def test_definition_without_docstring_is_refused() -> None:
    with pytest.raises(TypeError, match="docstring"):
        declare(__doc__="")


def test_taken_name_is_refused_and_its_holder_named() -> None:
    with pytest.raises(TypeError, match="Migrate"):
        declare(wire_name="migrate")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"transition": Transition(edge="begin_dozing")}, "ToyThing begins with begin_dozing, .*TASK_EDGES in servers/edges.py"),
        ({"edges": ("fall_asleep",)}, "ToyThing takes fall_asleep, .*servers/edges.py"),
        ({"doze": step(takes=Dozing)(lambda definition, task: None)}, "step doze of action ToyThing takes Dozing, .*servers/drivers/base.py"),
    ],
)  # fmt: skip
def test_word_that_does_not_exist_is_named_when_the_definition_is_imported(
    facts: dict[str, object], sentence: str
) -> None:
    with pytest.raises(TypeError, match=sentence):
        declare(**facts)


def test_steps_run_in_the_order_in_which_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.actions.base.registry", dict(registry))

    class Toy(Action):
        """Do two things."""

        wire_name = "toyTwo"
        record_name = "toyTwo"
        slug = "toy-two"
        policy = (Rule("toy:two", Role.ADMIN, "do two things"),)
        transition = Transition()
        parameters = (Parameter("text", Text(), "a text"),)

        @step
        def second_in_the_alphabet(self, task: object) -> None: ...

        @step(touches_guest=True)
        def first_in_the_alphabet(self, task: object) -> None: ...

    assert [s.name for s in Toy.steps] == ["second_in_the_alphabet", "first_in_the_alphabet"]
