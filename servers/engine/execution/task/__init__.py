"""One attempt at an action: `servers.actions.task`, implemented with models, drivers and the lease."""

from servers.engine.execution.task.working_task import WorkingTask

__all__ = ["WorkingTask"]
