"""A console whose text a test reads, and the screen that such a text leaves on a terminal."""

import io
import re

from rich.console import Console

ESCAPE = "\x1b"
_CODES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def a_console(*, terminal: bool, width: int = 120, height: int = 40) -> Console:
    """A console that shows texts as that of `make_console` does."""
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, height=height,
        _environ={"TERM": "xterm"}, markup=False, emoji=False, highlight=False,
    )  # fmt: skip


def shown_on(console: Console) -> str:
    return console.file.getvalue()


def on_screen(text: str) -> list[str]:
    """The lines that a terminal shows after this text, to that of the cursor or to the last one.

    The terminal is as wide and high as they need.
    """
    lines, row, column = [""], 0, 0
    for argument, code, move, plain in _CODES.findall(text):
        if code == "A":
            row = max(row - int(argument or 1), 0)
        elif code == "K":
            lines[row] = ""
        elif move == "\r":
            column = 0
        elif move:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif plain:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + plain + line[column + len(plain) :]
            column += len(plain)
    while len(lines) > row + 1 and not lines[-1]:
        lines.pop()
    return lines
