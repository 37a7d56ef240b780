"""Whatever schemathesis makes of the OpenAPI document, the answer is one that the document foresees.

`make fuzz` runs it: every boundary of every schema, and FUZZ_EXAMPLES random requests, 2,000 where it does not say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from servers.api.compute.negotiation import HEADER, SERVICE
from servers.microversions import MINIMUM, NEWEST, Microversion
from tests.api.schema.stage import Stage
from tests.fuzz.rows import rows

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is installed by: make fuzz")
from project.wsgi import application  # noqa: E402
from schemathesis.config import SchemathesisConfig  # noqa: E402
from schemathesis.core.parameters import ParameterLocation  # noqa: E402
from schemathesis.generation.meta import CoverageScenario, TestPhase  # noqa: E402
from schemathesis.specs.openapi.checks import response_schema_conformance  # noqa: E402

pytestmark = pytest.mark.django_db

CONFIG = SchemathesisConfig.from_path(Path(__file__).with_name("schemathesis.toml"))
DOCUMENT = schemathesis.openapi.from_wsgi("/openapi.json", application, config=CONFIG)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
EACH = -(-EXAMPLES // DOCUMENT.statistic.operations.total)
TOKEN = "X-Auth-Token"

schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")


@DOCUMENT.hook
def before_generate_path_parameters(context: Any, strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make an address up one time in four; else it is left open, for what exists."""
    return st.sampled_from([True, True, True, False]).flatmap(lambda known: st.just({}) if known else strategy)


@DOCUMENT.hook
def filter_case(context: Any, case: schemathesis.Case) -> bool:
    """Leave out each operation in each microversion: tests/api/schema asks for all that change something."""
    phase = case.meta.phase
    return phase.name is not TestPhase.COVERAGE or (phase.data.parameter, phase.data.scenario) != (HEADER, CoverageScenario.ENUM_VALUE)


def version_of(case: schemathesis.Case) -> Microversion:
    """Return the microversion that a request will be answered in, or the newest for one that is refused."""
    asked = str(case.headers.get(HEADER, f"{SERVICE} {MINIMUM}"))
    try:
        return Microversion.parse(asked.removeprefix(SERVICE).strip())
    except ValueError:
        return NEWEST


def place(case: schemathesis.Case, stage: Stage) -> None:
    """Fill an address with ids that exist, but for what has been made up to be tried there."""
    known = stage.names(case.path, version_of(case))
    tried = getattr(case.meta.phase.data, "parameter_location", None) is ParameterLocation.PATH
    made_up = case.path_parameters if tried or case.meta.phase.name is TestPhase.FUZZING else {}
    case.path_parameters = {**known, **made_up}


@DOCUMENT.parametrize()
@settings(max_examples=EACH, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_foresees(case: schemathesis.Case, stage: Stage) -> None:
    place(case, stage)
    about_token = getattr(case.meta.phase.data, "parameter", None) == TOKEN
    headers = {} if about_token else {TOKEN: stage.admin.secret}
    with transaction.atomic():
        before = rows()
        response = case.call(headers=headers)
        after = rows()
        without_body = [] if response.content else [response_schema_conformance]
        case.validate_response(
            response, headers=headers, transport_kwargs={"headers": headers}, excluded_checks=without_body
        )
        transaction.set_rollback(True)
    assert response.status_code < 400 or after == before
