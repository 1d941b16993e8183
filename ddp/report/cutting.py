"""Cuts long labels so that a reader still tells them apart."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

ELLIPSIS = "…"
PART = re.compile(r"[\w.]+|[^\w.]+")  # a word, or the signs between two words


def cut_apart(texts: Iterable[str], most: int) -> dict[str, str]:
    """Each text in at most `most` characters; texts that differ still differ.

    First the texts lose words that all of them share, no more than they have to. A text that is
    still too long loses its middle. If this would make two texts equal, all lose another place, the
    nearest to the middle. If no place will do, they get numbers.
    """
    whole = list(dict.fromkeys(texts))
    without = _without_shared(whole, most)
    for head in sorted(range(most), key=lambda head: abs(2 * head + 1 - most)):
        shorter = [_without_middle(text, head, most) for text in without]
        if len(set(shorter)) == len(whole):
            return dict(zip(whole, shorter, strict=True))
    return dict(zip(whole, _numbered(whole, most), strict=True))


def _without_shared(texts: Sequence[str], most: int) -> list[str]:
    """The texts without what all share, as far as they have to; all have the same words left."""
    rows = [PART.findall(text) for text in texts]
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return list(texts)
    shared = [len(set(column)) == 1 for column in zip(*rows, strict=True)]
    spans = [[*span] for same, span in groupby(range(len(shared)), shared.__getitem__) if same]
    lengths = {span[0]: sum(len(rows[0][place]) for place in span) - 1 for span in spans}
    while spans and (surplus := max(len("".join(row)) for row in rows) - most) > 0:
        enough = [span for span in spans if lengths[span[0]] >= surplus]
        span = min(enough or spans, key=lambda span: abs(lengths[span[0]] - surplus))
        spans.remove(span)
        for row in rows:
            row[span[0] : span[-1] + 1] = [ELLIPSIS, *[""] * (len(span) - 1)]
    return ["".join(row) for row in rows]


def _without_middle(text: str, head: int, most: int) -> str:
    """The first `head` characters and the last ones, in `most` characters together."""
    tail = most - head - len(ELLIPSIS)
    return text if len(text) <= most else text[:head] + ELLIPSIS + text[len(text) - tail :]


def _numbered(texts: Sequence[str], most: int) -> list[str]:
    marks = [f"{ELLIPSIS}{number}" for number in range(1, len(texts) + 1)]
    return [text[: most - len(mark)] + mark for text, mark in zip(texts, marks, strict=True)]
