"""The errors that a user or a worker can meet.

The program prints a `UserError` as one message, without a stack trace, and ends with exit code 2.
"""

import traceback
from typing import Any, Self

from ddp.counting import in_round

MISSING = "???"  # Hydra writes this for a value that the user has not given


class UserError(ValueError):
    """A mistake in the input. The message says what is wrong, where, and what to do."""


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, out of range or in conflict with another."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        text = f"{value:g}" if isinstance(value, float) else str(value)
        # In the spelling of the command line.
        typed = {"None": "null", "True": "true", "False": "false"}.get(text, text)
        super().__init__(f"{key}: {allowed}" if value == MISSING else f"{key}={typed}: {allowed}")


class DirectoryTaken(ConfigError):
    """The directory of a run belongs to another run."""

    def __init__(self, directory: object, reason: str) -> None:
        super().__init__("run directory", directory, reason)


class DataError(UserError):
    """A rating file is missing or unreadable, or holds something that is not a rating."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or of another config, other ratings or another version."""


class AggregationError(RuntimeError):
    """States or weights cannot be averaged (NaN, zero total, wrong shape).

    `worker`: the worker that they belong to; None if they belong to several.
    """

    def __init__(self, message: str, worker: int | None = None) -> None:
        super().__init__(message)
        self.worker = worker

    @classmethod
    def not_finite(cls, worker: int) -> Self:
        """The error for a worker whose vector is not finite."""
        reason = "published a state with NaN or infinity; try a smaller trainer.lr"
        return cls(f"worker {worker} {reason}", worker)


class BackendError(RuntimeError):
    """A process or a shared memory segment that carries states has failed."""


class Stopped(Exception):
    """Ends a worker early because the run is being stopped. This is no error."""


class Diverged(ArithmeticError):
    """A worker's loss is not finite, or its state is larger than `max_norm`.

    The message says where, and what to try.
    """


class LateRows(TimeoutError):
    """Another worker has not passed its rows on in time."""


class WorkerError(RuntimeError):
    """A worker has failed, or has sent no message in time.

    | field       | meaning                                                                       |
    |-------------|-------------------------------------------------------------------------------|
    | `phase`     | the phase of its round (ddp/timing/paths.py), or "start"                      |
    | `exit_code` | the exit code of its process, or minus the signal that ended the process;     |
    |             | None: no process has ended                                                    |
    | `diverged`  | True: its training diverged, so a restart would end in the same way           |
    | `waited`    | True: the rows of another worker did not come in time                         |
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
        where = in_round(round_index)
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

    @classmethod
    def of(
        cls, error: BaseException, worker: int, round_index: int | None, phase: str
    ) -> "WorkerError":
        """The failure of a worker in which `error` was raised.

        The message shows the stack of `error`, except that of `Diverged`, which says what to do.
        """
        if isinstance(error, Diverged):
            return cls(worker, round_index, str(error), phase=phase, diverged=True)
        reason = f"{type(error).__name__}: {error}"
        stack = "".join(traceback.format_exception(error))
        waited = isinstance(error, LateRows)
        return cls(worker, round_index, reason, stack, phase, waited=waited)

    def __reduce__(self) -> tuple[Any, ...]:
        where = (self.worker, self.round_index, self.reason, self.remote_traceback, self.phase)
        return WorkerError, (*where, self.exit_code, self.diverged, self.waited)
