"""The errors a user sees. A `UserError` is printed as one message, without a stack trace, and ends
with exit code 2.
"""

from typing import Any

MISSING = "???"  # how Hydra writes a value that was not given


class UserError(ValueError):
    """A mistake in what we were given: the message says what, where and what to do."""


class ConfigError(UserError):
    """A configuration value is unknown, of the wrong type, out of range or in conflict with
    another.
    """

    def __init__(self, key: str, value: object, allowed: str) -> None:
        text = f"{value:g}" if isinstance(value, float) else str(value)
        # the way it is typed
        typed = {"None": "null", "True": "true", "False": "false"}.get(text, text)
        super().__init__(f"{key}: {allowed}" if value == MISSING else f"{key}={typed}: {allowed}")


class DataError(UserError):
    """A rating file is missing or unreadable, or holds something that is not a rating."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or of another config, other ratings or another version."""


class AggregationError(RuntimeError):
    """States or weights that must not be averaged (NaN, zero total, wrong shape). `worker`: whose,
    if it is one worker's.
    """

    def __init__(self, message: str, worker: int | None = None) -> None:
        super().__init__(message)
        self.worker = worker


class BackendError(RuntimeError):
    """What carries the states is gone: the manager's process died."""


class Stopped(Exception):  # not an error: the run ended before the worker did
    """Raised inside a worker that must end early because the run is being stopped."""


class Diverged(ArithmeticError):
    """A worker's loss is not finite, or its state is larger than `max_norm`. The message says
    where, and what to try.
    """


class LateRows(TimeoutError):
    """The rows that another worker holds have not come in time."""


class WorkerError(RuntimeError):
    """A worker failed or was not heard of in time.

    `phase`: of its round (ddp/timing/spans.py), or "start"; `exit_code`: of its process, a signal's
    number below zero, None if that is not how it ended; `diverged`: it would do the same again;
    `waited`: it has waited in vain for another worker's rows.
    """

    def __init__(
        self,
        worker: int,
        round_index: int | None,
        reason: str,
        remote_traceback: str = "",
        phase: str | None = None,
        exit_code: int | None = None,
        diverged: bool = False,
        waited: bool = False,
    ) -> None:
        where = "before its first round" if round_index is None else f"in round {round_index}"
        where += f" ({phase})" if phase and round_index is not None else ""
        super().__init__(
            f"worker {worker} {where}: {reason}"
            + (f"\n{remote_traceback}" if remote_traceback else "")
        )
        self.worker = worker
        self.round_index = round_index
        self.reason = reason
        self.remote_traceback = remote_traceback
        self.phase = phase
        self.exit_code = exit_code
        self.diverged = diverged
        self.waited = waited

    def __reduce__(self) -> tuple[Any, ...]:
        where = (self.worker, self.round_index, self.reason, self.remote_traceback, self.phase)
        return WorkerError, (*where, self.exit_code, self.diverged, self.waited)
