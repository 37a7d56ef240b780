"""A refusal as one JSON document, for `--json`; it needs no models, so it can be said before there are any."""

from __future__ import annotations

from typing import Any

from servers.errors import Fault
from servers.management.exit_codes import ExitCode


def of_fault(fault: Fault, exit_code: ExitCode) -> dict[str, Any]:
    """Return what stands for a request that was refused."""
    return {"error": {"code": fault.code, "text": str(fault)}, "exit_code": exit_code.value}
