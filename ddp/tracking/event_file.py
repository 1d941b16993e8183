"""TensorBoard's event file: the caller's thread appends to it.

TensorBoard's own writer appends in a thread of its own. On a full disk that thread dies with a
stack trace, leaves half a record, and closing the writer raises no error.
"""

import os
import secrets
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

from ddp.machine.files import naming
from ddp.tracking.records import record


class EventFile:
    """One file of whole records. The first `append` makes it."""

    def __init__(self, directory: Path) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        self.path = directory / f"{name}.{os.getpid()}.{secrets.token_hex(2)}"
        self._num_bytes = 0

    def append(self, events: Iterable[Event]) -> None:
        """Appends all of `events`, or none of them.

        Raises OSError, which names the file. The file then ends where it ended before.
        """
        first = (
            [] if self._num_bytes else [Event(wall_time=time.time(), file_version="brain.Event:2")]
        )
        records = b"".join(record(event.SerializeToString()) for event in (*first, *events))
        try:
            with naming(self.path), self.path.open("ab") as file:
                file.write(records)
        except OSError:
            self._cut()
            raise
        self._num_bytes += len(records)

    def _cut(self) -> None:
        """Cuts off the part of a record that a failed write has left."""
        with suppress(OSError):
            if self._num_bytes:
                os.truncate(self.path, self._num_bytes)
            else:
                self.path.unlink(missing_ok=True)


def forget(step: int) -> Event:
    """The record that makes TensorBoard ignore earlier records of this step and of later ones."""
    return Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START))


def event(summary: Summary, step: int = 0, walltime: float | None = None) -> Event:
    """The record of a summary. `walltime`: in seconds since the epoch; None means now."""
    return Event(
        wall_time=time.time() if walltime is None else walltime, step=step, summary=summary
    )
