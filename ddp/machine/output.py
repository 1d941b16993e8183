"""Standard output and standard error that outlast their readers.

A closed pipe (`| head`), a terminal that is gone and a full disk end no run: its files are of use
without its output. After the first error the output goes to /dev/null, also that of libraries in C
and of processes that are started later.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any

NO_READER = (errno.EPIPE, errno.EIO)  # a closed pipe, and a terminal that is gone


class _Outlasting(io.FileIO):
    """A descriptor that takes everything that is written to it."""

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]  # as in FileIO
        try:
            return super().write(data)
        except OSError as error:
            _send_to_null(self.fileno())
            if error.errno not in NO_READER and self.fileno() == 1:
                reason = f"{error.strerror}; nothing more is written to it"
                print(f"warning: standard output: {reason}", file=sys.stderr)
            return memoryview(data).nbytes


def outlast_readers() -> None:
    """From now on no write to standard output or standard error raises an OSError.

    Where one of the three standard descriptors is closed, it becomes /dev/null, so that no file of
    ours gets its number.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _null("w" if descriptor else "r"))
        elif descriptor and isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # has no descriptor, or its reader is gone already
                if stream.fileno() == descriptor and not _outlasts(stream):
                    setattr(sys, name, _outlasting(stream))


def _outlasts(stream: io.TextIOWrapper) -> bool:
    return isinstance(getattr(stream.buffer, "raw", stream.buffer), _Outlasting)


def _outlasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream above an `_Outlasting`."""
    raw = _Outlasting(stream.fileno(), "w", closefd=False)
    with suppress(OSError):
        stream.flush()
    return io.TextIOWrapper(
        # python -u has no buffer, and neither has a copy of its stream
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _null(mode: str) -> io.TextIOWrapper:
    """/dev/null under the lowest free descriptor, for the processes of this one as well."""
    file = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115
    os.set_inheritable(file.fileno(), True)
    assert isinstance(file, io.TextIOWrapper)
    return file


def _send_to_null(descriptor: int) -> None:
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
