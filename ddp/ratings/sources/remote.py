"""Descriptions of the sources of a public set; fetch.py reads the files from them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive: its name there, and its name in the folder of the set.

    `num_lines_skipped`: lines of a header, which the target leaves out.
    """

    name: str
    target: str
    required: bool = True
    num_lines_skipped: int = 0
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A zip at `url`.

    `fetch` writes `members` in this order. The last one marks a complete set.
    """

    url: str
    members: tuple[Member, ...]

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A Python wheel that holds the files, from the user's own package index.

    `fetch` reads it and never installs it.
    """

    requirement: str
    members: tuple[Member, ...]

    def __str__(self) -> str:
        return f"pip download {self.requirement}"


Source = Download | Wheel
