"""Whatever schemathesis makes of the OpenAPI document, the answer is one that the document foresees.

`make fuzz` runs it: every boundary of every schema, and FUZZ_EXAMPLES random requests, 2,000 where it does not say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import CoverageScenario, TestPhase
from schemathesis.specs.openapi.checks import response_schema_conformance

from servers.api.compute.negotiation import HEADER, SERVICE
from servers.api.schema import actions
from servers.microversions import MINIMUM, NEWEST, Microversion
from tests.api.schema.stage import Stage
from tests.fuzz.rows import rows

pytestmark = pytest.mark.django_db

CONFIG = SchemathesisConfig.from_path(Path(__file__).with_name("schemathesis.toml"))
DOCUMENT = schemathesis.openapi.from_wsgi("/openapi.json", get_wsgi_application(), config=CONFIG)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
EACH = -(-EXAMPLES // DOCUMENT.statistic.operations.total)
TOKEN = "X-Auth-Token"
BODIES = [
    (body.since, Draft202012Validator(body.schema()))
    for action in (*actions.on_servers(), *actions.on_migrations())
    for body in actions.bodies(action)
]
"""Of the actions, with the first microversion that has each: OpenAPI cannot say "this body with that header"."""

IN_REQUEST = {
    action.wire_name: Microversion.parse(facts["answers-faults-below"])
    for action in actions.on_servers()
    if "answers-faults-below" in (facts := actions.facts(action))
}
"""The actions that older microversions carry out in the request: accepted and recorded, and then they may fail."""

schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")


@DOCUMENT.hook
def before_generate_path_parameters(context: Any, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make an address up one time in four; else it is left open, for what exists."""
    return st.sampled_from([True, True, True, False]).flatmap(
        lambda known: st.just({}) if known else strategy
    )


@DOCUMENT.hook
def filter_case(context: Any, case: schemathesis.Case) -> bool:
    """Leave out each operation in each microversion: tests/api/schema asks for all that change something."""
    phase = case.meta.phase
    listed = phase.name is TestPhase.COVERAGE and phase.data.scenario is CoverageScenario.ENUM_VALUE
    return not (listed and phase.data.parameter == HEADER)


def version_of(case: schemathesis.Case) -> Microversion:
    """Return the microversion that a request will be answered in, or the newest for one that is refused."""
    asked = str(case.headers.get(HEADER, f"{SERVICE} {MINIMUM}"))
    try:
        return Microversion.parse(asked.removeprefix(SERVICE).strip())
    except ValueError:
        return NEWEST


def speak(case: schemathesis.Case) -> None:
    """Ask for a microversion that has the body, where it is a good one of an action."""
    body = case.meta.components.get(ParameterLocation.BODY)
    if case.path.endswith("/action") and body is not None and body.mode is GenerationMode.POSITIVE:
        found = next((since for since, schema in BODIES if schema.is_valid(case.body)), MINIMUM)
        case.headers[HEADER] = f"{SERVICE} {found}"


def is_recorded(case: schemathesis.Case) -> bool:
    """Return whether a request leaves a record even though it is answered with a fault."""
    named = case.body if isinstance(case.body, dict) else {}
    return any(name in named and version_of(case) < until for name, until in IN_REQUEST.items())


def place(case: schemathesis.Case, stage: Stage) -> None:
    """Fill an address with ids that exist, but for what has been made up to be tried there."""
    known = stage.names(case.path, version_of(case))
    if case.path.endswith("/servers/{server_id}/action"):
        known["server_id"] = str(stage.idle.pk)
    tried = getattr(case.meta.phase.data, "parameter_location", None) is ParameterLocation.PATH
    made_up = case.path_parameters if tried or case.meta.phase.name is TestPhase.FUZZING else {}
    case.path_parameters = {**known, **made_up}


@DOCUMENT.parametrize()
@settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_foresees(
    case: schemathesis.Case, stage: Stage, untouched: list[Any]
) -> None:
    speak(case)
    place(case, stage)
    about_token = getattr(case.meta.phase.data, "parameter", None) == TOKEN
    headers = {} if about_token else {TOKEN: stage.admin.secret}
    with transaction.atomic():
        response = case.call(headers=headers)
        refused = response.status_code >= 400 and not is_recorded(case)
        changed = refused and rows() != untouched
        transaction.set_rollback(True)
    assert not changed, "a refusal has changed something"
    without_body = [] if response.content else [response_schema_conformance]
    with transaction.atomic():
        case.validate_response(
            response, headers=headers, transport_kwargs={"headers": headers}, excluded_checks=without_body
        )
        transaction.set_rollback(True)
