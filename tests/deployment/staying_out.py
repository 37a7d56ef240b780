"""A process that has found that it differs."""

from __future__ import annotations

from servers.deployment.standing import STANDING, Difference, Work

REASON = "The policy of this machine is not the deployment's: it is another one."


def stay_out(of: Work) -> None:
    """Let this process stay out of some work, until the end of the test."""
    STANDING.settle(
        [Difference("policy", "The policy", REASON, "Give every machine the same policy file.", of)], None
    )
