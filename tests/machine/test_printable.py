"""No character of a text moves a cursor, rings a bell or hides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.launch.exits import report_error
from ddp.machine.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ra\x1b[31mting", r"ra\x1b[31mting"),
        ("a\tb\rc\x07", r"a\tb\rc\x07"),
        ("4\xa0", r"4\xa0"),
        ("\x9b2J", r"\x9b2J"),  # the same as ESC [ on some terminals
        ("\u202egnp.exe", r"\u202egnp.exe"),  # would be read from the right
        ("\udcff", r"\udcff"),  # a byte of a file name that is no text
        ("first\nsecond", "first\nsecond"),
        ("Amélie 電影 [red]", "Amélie 電影 [red]"),
        ("", ""),
    ],
)
def test_what_nobody_can_see_is_escaped(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_any_text(text):
    shown = printable(text)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert printable(shown) == shown
    shown.encode()


def test_messages_and_their_notes_are_escaped(capsys):
    error = ValueError()
    error.add_note("look at \x1b]0;title\x07")
    assert report_error("a\x1b[2Jb\nc", 2, error) == 2
    assert capsys.readouterr().err == "error: a\\x1b[2Jb\nc\nlook at \\x1b]0;title\\x07\n"
