"""What an action is: facts first, then steps in the order in which they run. Every door derives from it."""

from __future__ import annotations

import inspect
import re
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, overload
from uuid import UUID

from servers.actions.kinds import Kind
from servers.actions.task import AcceptContext, Change, FleetFacts, ServerFacts, Task
from servers.drivers.base import ABILITIES, Ability
from servers.edges import IMAGE_EDGES, MIGRATION_EDGES, TASK_EDGES, VM_EDGES
from servers.errors import ActionFault, Conflict, InvalidState, Refusal, WrongState
from servers.microversions import Microversion
from servers.policy import Rule, declare
from servers.states import QueueClass, TaskState, VmState


class Exclusivity(StrEnum):
    """How an action gets along with others on the same server."""

    EXCLUSIVE = "exclusive"
    """One at a time; refused while another one is going on."""
    QUEUED = "queued"
    """One at a time; accepted in any state, waits its turn."""
    CONTROL = "control"
    """A request to the exclusive action that is running."""
    IMMEDIATE = "immediate"
    """Done before the answer."""


class Answer(StrEnum):
    """What the caller gets."""

    ACCEPTED = "accepted"
    NO_CONTENT = "no content"
    IMAGE = "image"


class Shape(StrEnum):
    """What the value of an action's key has to be."""

    ANYTHING = "anything"
    OBJECT = "object"
    OBJECT_OR_NULL = "object or null"
    NULL = "null"


@dataclass(frozen=True)
class Body:
    """The shape of an action's value, in a range of microversions."""

    shape: Shape
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A named value of an action, in a range of microversions. Two rows of one name never overlap."""

    name: str
    kind: Kind
    help: str = ""
    since: str | None = None
    until: str | None = None
    required: bool = True
    default: Any = None
    in_path: bool = False
    """Whether REST takes it from the URL instead of the body."""

    @property
    def flag(self) -> str:
        """Return the command's option: block_migration and adminPass become --block-migration and --admin-pass."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", self.name).replace("_", "-")
        return f"--{words.lower()}"


@dataclass(frozen=True)
class Example:
    """The value of a request that is good at one microversion and those like it, as Nova's reference shows it."""

    version: str
    value: Any = None


class ServerState(Protocol):
    """The part of a server that decides whether an action is possible."""

    @property
    def uuid(self) -> UUID: ...
    @property
    def vm_state(self) -> str: ...
    @property
    def task_state(self) -> str: ...
    @property
    def launched_at(self) -> datetime | None: ...


@dataclass(frozen=True)
class Transition:
    """When an action is possible, and what the server's task state is meanwhile. None allows any state."""

    allowed: frozenset[VmState] | None = None
    task_states: frozenset[TaskState] | None = frozenset({TaskState.IDLE})
    needs_launched: bool = True
    edge: str | None = None
    """The edge of `task_state` that accepting takes."""

    def refuses(self, server: ServerState, verb: str) -> Conflict | None:
        """Return the refusal for a server in the wrong state, or None. vm_state comes first, as in Nova."""
        if self.allowed is not None and server.vm_state not in self.allowed:
            return WrongState(verb=verb, server=server.uuid, attribute="vm_state", state=server.vm_state)
        if self.task_states is not None and server.task_state not in self.task_states:
            if server.task_state == TaskState.IDLE:
                return InvalidState(verb=verb, server=server.uuid)
            return WrongState(verb=verb, server=server.uuid, attribute="task_state", state=server.task_state)
        if self.needs_launched and server.launched_at is None:
            return InvalidState(verb=verb, server=server.uuid)
        return None


ANY_STATE = Transition(allowed=None, task_states=None, needs_launched=False)
"""Possible always."""

StepFunction = Callable[[Any, Any], None]
"""A method of a definition. The type of its task says what the step may ask: `Task`, or one that promises more."""


@dataclass(eq=False)
class Step:
    """A part of an action that is recorded by name when it is done. It is idempotent, and may have an undo."""

    run: StepFunction
    in_request: str | None = None
    """Below this microversion the step runs in the request, and its fault is the answer."""
    touches_guest: bool = False
    """Whether a hypervisor that does not answer leaves the outcome unknown."""
    forward_only: bool = False
    """Whether nothing is undone any more once it has an effect, and nobody can cancel."""
    switch: bool = False
    """Whether no fault ends the action any more once it has an effect: it is brought to its end. Implies forward_only."""
    may_refuse: bool = False
    """Whether it may be refused before it has an effect, as a step that touches the guest may be anyway."""
    arrives: bool = False
    """Whether the guest may be defined, or run, at the migration's destination once it has an effect."""
    takes: tuple[type[Ability], ...] = ()
    """The abilities of hosts that it, or its undo, uses."""
    undo_with: StepFunction | None = None
    name: str = ""

    def __post_init__(self) -> None:
        self.forward_only = self.forward_only or self.switch

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def has_a_way_back(self) -> bool:
        """Whether it matters if the step had an effect: it can be undone, or it touches the guest, or is a switch."""
        return self.undo_with is not None or self.touches_guest or self.forward_only

    def is_behind(self, begun: Collection[str], effective: Collection[str]) -> bool:
        """Return whether the switch has happened, by the journal: for a step that cannot be refused when it begins."""
        return self.switch and self.name in (effective if self.touches_guest or self.may_refuse else begun)

    def waits(self, version: Microversion) -> bool:
        """Return whether the caller of a request in `version` waits for the step."""
        return self.in_request is not None and version < Microversion.parse(self.in_request)

    def undo(self, function: StepFunction) -> StepFunction:
        """Use `function` to undo the step. It is asked only when the step may have made something."""
        self.undo_with = function
        return function


@overload
def step(function: StepFunction) -> Step: ...
@overload
def step(
    *,
    in_request: str | None = None,
    touches_guest: bool = False,
    forward_only: bool = False,
    switch: bool = False,
    may_refuse: bool = False,
    arrives: bool = False,
    takes: type[Ability] | tuple[type[Ability], ...] = (),
) -> Callable[[StepFunction], Step]: ...
def step(
    function: StepFunction | None = None,
    *,
    in_request: str | None = None,
    touches_guest: bool = False,
    forward_only: bool = False,
    switch: bool = False,
    may_refuse: bool = False,
    arrives: bool = False,
    takes: type[Ability] | tuple[type[Ability], ...] = (),
) -> Step | Callable[[StepFunction], Step]:
    """Make a method a step of its action; steps run in the order in which they stand."""
    if function is not None:
        return Step(function)
    abilities = takes if isinstance(takes, tuple) else (takes,)
    return lambda f: Step(f, in_request, touches_guest, forward_only, switch, may_refuse, arrives, abilities)


@dataclass(frozen=True)
class Request:
    """What is asked of an action: cleaned parameters, and the microversion in which they came."""

    params: Mapping[str, Any]
    microversion: Microversion
    image_metadata_limit: int = 128


registry: dict[str, type[Action]] = {}
"""Every action that a server can be asked for, by its slug."""

creating_actions: dict[str, type[Action]] = {}
"""Those with which a server begins: no server can be asked for one."""

definitions: Mapping[str, type[Action]] = ChainMap(registry, creating_actions)
"""All of them: what the engine carries out."""


class Action:
    """Something that can be done to a server. A subclass is its whole definition and registers itself."""

    wire_name: ClassVar[str]
    """The key in Nova's request body, or "" where the request has none."""
    record_name: ClassVar[str]
    """The `action` of the instance action that it leaves."""
    slug: ClassVar[str]
    """Its name in commands and addresses."""
    verb: ClassVar[str] = ""
    """What it is called in the text of a conflict; the wire name where nothing else is said."""
    version: ClassVar[int] = 1
    """Raised when the steps change; a worker leaves alone what it does not know."""

    exclusivity: ClassVar[Exclusivity] = Exclusivity.EXCLUSIVE
    policy: ClassVar[tuple[Rule, ...]]
    transition: ClassVar[Transition]
    parameters: ClassVar[tuple[Parameter, ...]] = ()
    bodies: ClassVar[tuple[Body, ...]] = (Body(Shape.OBJECT),)
    since: ClassVar[str | None] = None
    """The microversion that brought it."""
    on_migration: ClassVar[bool] = False
    """Whether it acts on one migration of the server."""
    makes_server: ClassVar[bool] = False
    """Whether its server begins with it: nobody can ask that server for it, doors have a way of their own."""
    respects_lock: ClassVar[bool] = True
    looks_first: ClassVar[bool] = False
    """Whether hypervisors are asked, for two seconds at most, where the guest is. What they say is kept with the
    action; a guest that is seen on two hosts is refused."""
    answer: ClassVar[Answer] = Answer.ACCEPTED
    refusals: ClassVar[tuple[type[Refusal], ...]] = ()
    """With what a request for it may be refused, besides what the engine refuses of any action."""
    errors: ClassVar[tuple[type[ActionFault], ...]] = ()
    """Faults with which it may end, besides those that any action may meet."""
    edges: ClassVar[tuple[str, ...]] = ()
    """Edges that its steps and its ends take, of the server, the migration and the image; that of `transition` is known."""
    events: ClassVar[tuple[str, ...]] = ()
    """Names of the events that it may leave."""
    consequence: ClassVar[str] = ""
    """What it means for the guest, in one sentence; the docstring's first line where nothing else is said."""
    queue_class: ClassVar[QueueClass] = QueueClass.GENERAL
    """With which others it shares the workers; written into the record when it is accepted."""
    destructive: ClassVar[bool] = False
    """Whether it takes something away for good: the console's button is red."""
    examples: ClassVar[tuple[Example, ...]] = ()
    """For each shape of its body one at least; of an action without parameters there is one by itself."""
    without_agent: ClassVar[str] = ""
    """What becomes of it where no guest agent answers, in one sentence; empty where none is needed."""
    steps: ClassVar[tuple[Step, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__name__
        if not inspect.cleandoc(cls.__dict__.get("__doc__") or ""):
            raise TypeError(f"action {name} has no docstring: it is the button's help and the API's text")
        for fact in ("wire_name", "record_name", "slug", "policy", "transition"):
            if not hasattr(cls, fact):
                raise TypeError(f"action {name} does not say its {fact}")
        cls.verb = cls.__dict__.get("verb", cls.wire_name)
        if cls.wire_name and all(parameter.in_path for parameter in cls.parameters):
            cls.examples = (Example(cls.since or "2.1"),)
        cls.steps = tuple(value for value in cls.__dict__.values() if isinstance(value, Step))
        cls._check_words()
        for other in definitions.values():
            if other.slug == cls.slug or (cls.wire_name and other.wire_name == cls.wire_name):
                raise TypeError(f"action {name} takes a name of {other.__name__}")
        declare(cls.policy)
        (creating_actions if cls.makes_server else registry)[cls.slug] = cls

    @classmethod
    def _check_words(cls) -> None:
        """Raise TypeError for an edge or an ability that does not exist, with where it is missing."""
        edge = cls.transition.edge
        if edge is not None and edge not in {e.name for e in TASK_EDGES}:
            raise TypeError(
                f"action {cls.__name__} begins with {edge}, which is no edge of TASK_EDGES in servers/edges.py"
            )
        known = {e.name for edges in (VM_EDGES, TASK_EDGES, MIGRATION_EDGES, IMAGE_EDGES) for e in edges}
        for name in cls.edges:
            if name not in known:
                raise TypeError(f"action {cls.__name__} takes {name}, which is no edge of servers/edges.py")
        for step in cls.steps:
            for kind in step.takes:
                if kind not in ABILITIES.values():
                    raise TypeError(
                        f"step {step.name} of action {cls.__name__} takes {kind.__name__}, "
                        "which is no ability of servers/drivers/base.py"
                    )

    # ------------------------------------------------------------------------------- what doors ask

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the docstring."""
        return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]

    @classmethod
    def body(cls, version: Microversion) -> Shape:
        """Return the shape of the action's value at `version`."""
        return next(b.shape for b in cls.bodies if version.between(b.since, b.until))

    @classmethod
    def parameters_at(cls, version: Microversion) -> tuple[Parameter, ...]:
        """Return the parameters that `version` knows."""
        return tuple(p for p in cls.parameters if version.between(p.since, p.until))

    @classmethod
    def rules_for(cls, params: Mapping[str, Any]) -> list[Rule]:
        """Return the rules that must allow the action with these parameters."""
        return [rule for rule in cls.policy if rule.when is None or rule.when(params)]

    @classmethod
    def clean(cls, params: Mapping[str, Any], version: Microversion) -> dict[str, Any]:
        """Return the parameters in the form that steps work with; what was not given gets its default."""
        return {
            p.name: p.kind.clean(params[p.name]) if params.get(p.name) is not None else p.default
            for p in cls.parameters_at(version)
        }

    # ------------------------------------------------------- what a definition adds, where it must

    def check_route(self, fleet: FleetFacts) -> None:
        """Raise a Refusal where the deployment does not have the action at all; asked before everything else."""

    def check_request(self, request: Request) -> None:
        """Raise a Refusal for a request that is wrong whatever the server's state (Nova contract A.0, 12)."""

    def check_server(self, request: Request, server: ServerFacts, fleet: FleetFacts) -> None:
        """Raise a Refusal for a server in the right state that still cannot (Nova contract A.0, 16)."""

    def accept(self, accepting: AcceptContext) -> None:
        """Write what accepting means besides the record and the edge; inside its transaction."""

    def has_happened(self, task: Any) -> bool:
        """Return whether the hypervisors say that the switch has happened, though the journal does not yet.

        Asked before an action fails or is cancelled: it goes forward then. Raises DriverFault where they do not say it.
        """
        return False

    def finished(self, task: Task) -> Change:
        """Return what is written together with the action's success."""
        return Change()

    def failed(self, task: Task, fault: ActionFault) -> Change:
        """Return what is written together with the action's failure, when all steps are undone."""
        return Change()

    def cancelled(self, task: Task) -> Change:
        """Return what is written together with the action's cancellation, when all steps are undone."""
        return Change()


def known_steps(action: type[Action]) -> list[str]:
    """Return the names of the action's steps, in order."""
    return [s.name for s in action.steps]
