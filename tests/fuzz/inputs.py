"""Common parts of the fuzz tests: number of inputs, time for one, and nearly valid files."""

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import contextmanager

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ddp.ratings.arrays import Ratings

NUM_INPUTS = int(os.environ.get("FUZZ_INPUTS", "40"))  # of each reader
INPUT_S = 60  # an input that takes longer counts as a hang


def fuzzed(share: float = 1.0) -> settings:
    """Makes a test run with this share of a reader's inputs.

    A short run is the same every time, a long one never.
    """
    return settings(
        max_examples=max(round(share * NUM_INPUTS), 10),
        derandomize="FUZZ_INPUTS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def no_hang():
    """Raises AssertionError in a reader that takes longer than INPUT_S."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"took longer than {INPUT_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, INPUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _recoded(encoding: str) -> Callable[[bytes, int, int, bytes], bytes]:
    return lambda content, start, length, piece: content.decode("utf-8", "replace").encode(
        encoding, "replace"
    )


# (content, where, how much, a piece to put in) -> content
ACCIDENTS = (
    lambda content, start, length, piece: content[:start],
    lambda content, start, length, piece: content[:start] + content[start + length :],
    lambda content, start, length, piece: content[:start] + piece + content[start:],
    lambda content, start, length, piece: content[:start] + piece + content[start + len(piece) :],
    lambda content, start, length, piece: content[: start + length] + content[start:],
    lambda content, start, length, piece: content[start:] + content[:start],
    lambda content, start, length, piece: content.replace(b"\n", b"\r\n"),
    lambda content, start, length, piece: content.replace(b"\n", b"\r"),
    lambda content, start, length, piece: b"\xef\xbb\xbf" + content,
    _recoded("utf-16"),
    _recoded("latin-1"),
)


def damaged(
    contents: st.SearchStrategy[bytes], pieces: Sequence[bytes]
) -> st.SearchStrategy[bytes]:
    """`contents` after up to three accidents, which may leave some of `pieces`; or random bytes."""
    piece = st.sampled_from(pieces) | st.binary(min_size=1, max_size=4)
    accident = st.tuples(
        st.sampled_from(ACCIDENTS), st.integers(0, 2**16), st.integers(1, 16), piece
    )

    def happen(content: bytes, accidents: list) -> bytes:
        for damage, start, length, piece in accidents:
            content = damage(content, start % (len(content) + 1), length, piece)
        return content

    return (
        contents
        | st.builds(happen, contents, st.lists(accident, max_size=3))
        | st.binary(max_size=64)
    )


def check_ratings(ratings: Ratings) -> None:
    """Checks the promises of `Ratings`."""
    num = len(ratings)
    assert num > 0
    for rows, dtype in (
        (ratings.users, np.int32),
        (ratings.items, np.int32),
        (ratings.ratings, np.float32),
    ):
        assert (rows.shape, rows.dtype) == ((num,), dtype)
    files, times = ratings.files, ratings.timestamps
    assert files is None or (files.shape, files.dtype) == ((num,), np.int16)
    assert times is None or (times.shape, times.dtype.kind in "if") == ((num,), True)
    assert times is None or np.isfinite(times).all()
    for rows, ids in ((ratings.users, ratings.user_ids), (ratings.items, ratings.item_ids)):
        assert ids.dtype == np.int64 or ids.dtype.kind == "U"
        assert (ids[1:] > ids[:-1]).all()
        assert np.array_equal(np.unique(rows), np.arange(len(ids)))
    assert len(np.unique(ratings.users.astype(np.int64) * ratings.num_items + ratings.items)) == num
    assert np.isfinite(ratings.ratings).all()
    with np.errstate(over="ignore"):
        assert np.float32(ratings.rating_min) <= ratings.ratings.min()
        assert ratings.ratings.max() <= np.float32(ratings.rating_max)
    assert ratings.titles is None or (ratings.titles.dtype.kind, ratings.titles.shape) == (
        "U",
        (ratings.num_items,),
    )
