"""Readers tell how far they are. They know nothing of the one who listens."""

import io
from typing import BinaryIO, Protocol

from ddp.machine.printable import printable

_PIECE = 1 << 20  # bytes from one telling to the next


class Tell(Protocol):
    """Is called while ratings are read, fetched or made, many times a second; it must be quick.

    `doing`: a phase in words. `done`, `total`: so many units of so many are done; total None: it
    is unknown. `unit`: "bytes" or "ratings".
    """

    def __call__(
        self, doing: str, done: int = 0, total: int | None = None, unit: str = "", /
    ) -> None: ...


def nobody(doing: str, done: int = 0, total: int | None = None, unit: str = "", /) -> None:
    """Hears nothing."""


class _Told(io.RawIOBase):
    def __init__(self, file: BinaryIO, doing: str, size: int, tell: Tell) -> None:
        self.file, self.doing, self.size, self.tell_of = file, doing, size, tell
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        number = self.file.readinto(buffer)  # type: ignore[attr-defined]
        self.done += number
        self.tell_of(self.doing, self.done, self.size, "bytes")
        return int(number)

    def close(self) -> None:
        self.file.close()
        super().close()


def told(file: BinaryIO, name: str, size: int, tell: Tell) -> io.BufferedReader:
    """The file, which tells how much of its `size` in bytes has been read. It closes `file`."""
    return io.BufferedReader(_Told(file, f"reading {printable(name)}", size, tell), _PIECE)
