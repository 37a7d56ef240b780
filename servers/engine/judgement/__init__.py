"""Actions whose outcome is unknown: the evidence, and what an operator decides."""
