"""What a run has found out is not lost to a full disk: what its directory does not take goes into a
temporary one.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ddp.results.run_result import RunResult


def save(result: RunResult, write: Callable[[Path], None]) -> None:
    """`write(result.output_dir)`; where that fails, the same elsewhere. Raises the OSError also
       then: its note says where.

    If another error has ended the run and is under way, that one is given the note, and goes on.
    """
    # else it is one of the caller's
    cause = sys.exc_info()[1] if result.status in ("failed", "interrupted") else None
    try:
        write(result.output_dir)
    except OSError as error:
        note = f"{_outcome(result)}; {_save_elsewhere(result, write)}"
        if cause is not None:
            cause.add_note(f"{error.filename}: {error.strerror}; {note}")
            return
        error.add_note(note)
        raise


def _outcome(result: RunResult) -> str:
    return f"test RMSE {result.test_rmse:.4f}" if result.last else "no round was finished"


def _save_elsewhere(result: RunResult, write: Callable[[Path], None]) -> str:
    """What became of it. All that a run cannot save comes together in one directory."""
    try:
        if result.elsewhere is None:
            result.elsewhere = Path(tempfile.mkdtemp(prefix="ddp-run-"))
        write(result.elsewhere)
    except OSError as error:
        if result.elsewhere is not None:
            with suppress(OSError):  # it holds something
                result.elsewhere.rmdir()
        return f"it could not be saved elsewhere either ({error})"
    return f"what the directory did not take is in {result.elsewhere}"
