"""Saves the files of a run elsewhere when its directory does not take them, as on a full disk."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Rescue:
    """Saves the files of one run in `directory`, or together in one temporary directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._elsewhere: Path | None = None

    def save(
        self, write: Callable[[Path], None], outcome: str, cause: BaseException | None
    ) -> None:
        """Calls `write` with the directory; if that fails, with the temporary one.

        Raises the OSError of the first failure even if the second call succeeds. A note on it gives
        the run's outcome and the place. `cause`: the error that has ended the run, which gets the
        note in its place, and goes on.
        """
        try:
            write(self.directory)
        except OSError as error:
            note = f"{outcome}; {self._save_elsewhere(write)}"
            if cause is None:
                error.add_note(note)
                raise
            cause.add_note(f"{error.filename}: {error.strerror}; {note}")

    def _save_elsewhere(self, write: Callable[[Path], None]) -> str:
        """Calls `write` with the temporary directory; returns a note for the user."""
        try:
            if self._elsewhere is None:
                self._elsewhere = Path(tempfile.mkdtemp(prefix="ddp-run-"))
            write(self._elsewhere)
        except OSError as error:
            if self._elsewhere is not None:
                with suppress(OSError):  # it holds something
                    self._elsewhere.rmdir()
            return f"it could not be saved elsewhere either ({error})"
        return f"what the directory did not take is in {self._elsewhere}"
