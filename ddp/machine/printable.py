"""Makes text safe for a terminal: ids, column names, file names and messages may hold anything."""

CUT = "..."  # stands for the characters that a text lost


def printable(text: object) -> str:
    r"""The text with an escape, such as \x1b, for each character that moves a cursor or is unseen.

    Line ends stay.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in shown
    )


def cut(text: str, most: int) -> str:
    """The text in at most `most` characters: without its middle, where it is too long."""
    if len(text) <= most:
        return text
    kept = max(most - len(CUT), 0)
    return (text[: (kept + 1) // 2] + CUT + text[len(text) - kept // 2 :])[:most]
