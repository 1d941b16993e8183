"""Messages and exit codes; ddp/launch/command.py has the table of the codes."""

import sys
import traceback

from ddp.errors import AggregationError, BackendError, UserError, WorkerError
from ddp.launch.hydra_errors import composition_message
from ddp.machine.files import FULL, TOO_MANY, describe
from ddp.machine.printable import printable

FAILED, USER_ERROR = 1, 2
INTERRUPTED = (129, 130, 143)


def explain(error: Exception) -> int:
    """Prints the error for the user, and gives the exit code."""
    code = FAILED
    if isinstance(error, UserError):
        message, code = str(error), USER_ERROR
    elif composition := composition_message(error):
        message, code = composition, USER_ERROR
    elif isinstance(error, WorkerError | AggregationError | BackendError):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = (
            f"out of memory: {error}; a smaller model.dim, fewer workers or less data need less"
        )
    elif isinstance(error, OSError) and (
        error.filename is not None or error.errno in (*FULL, *TOO_MANY)
    ):
        message = describe(error)
    else:
        print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        return code
    return report_error(message, code, error)


def report_error(message: str, code: int, error: BaseException | None = None) -> int:
    """Prints the message and the error's notes, and gives the exit code."""
    lines = [f"error: {message}", *getattr(error, "__notes__", ())]
    print(printable("\n".join(lines)), file=sys.stderr)
    return code
