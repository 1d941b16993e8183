"""Makes text safe for a terminal: ids, column names, file names and messages may hold anything."""


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
