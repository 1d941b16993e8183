"""A console whose text a test reads."""

import io

from rich.console import Console

ESCAPE = "\x1b"


def a_console(*, terminal: bool, width: int = 120) -> Console:
    """A console that shows texts as that of `make_console` does."""
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, _environ={"TERM": "xterm"},
        markup=False, emoji=False, highlight=False,
    )  # fmt: skip


def shown_on(console: Console) -> str:
    return console.file.getvalue()
