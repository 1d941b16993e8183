"""Any file of pairs gives its pairs, or a DataError."""

import csv
import io
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang

from ddp.errors import DataError
from ddp.ratings.sources.pairs import read_pairs

PIECES = [
    text.encode()
    for text in (
        *(",", ";", "\t", "::", "|", " ", "\n", "\r", "\r\n", "\n\n", '"', '""', '"\n', ",,"),
        *("\0", "\x1f", "\ufeff", "\ufffd", "é", "user", "item", "userId,movieId\n", "1,1\n"),
        *("\x1f\x8b", "PK\x03\x04", "BZh", "\xfd7zXZ\0", "9" * 5000),
    )
]
# an id of a pair that any reader of CSV understands
ids = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufffd"), min_size=1, max_size=4)
rows = st.lists(
    st.tuples(ids, ids).filter(lambda pair: all(text.strip() for text in pair)),
    min_size=1,
    max_size=6,
)


def as_csv(pairs, header, end):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("user", "item")] * header + pairs)
    return text.getvalue().encode()


@fuzzed(0.5)
@given(
    content=damaged(
        st.builds(as_csv, rows, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"])), PIECES
    )
)
def test_any_bytes(tmp_path, content):
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with no_hang(), suppress(DataError):
        pairs = read_pairs(path)
        assert len(pairs.users) == len(pairs.items) == len(pairs.lines)
        assert pairs.lines == sorted({*pairs.lines})
        assert all(text.strip() for text in (*pairs.users, *pairs.items))


@fuzzed(0.5)
@given(pairs=rows, end=st.sampled_from(["\n", "\r\n"]))
def test_every_pair_of_a_valid_file_is_kept_as_it_is(tmp_path, pairs, end):
    path = tmp_path / "pairs.csv"
    path.write_bytes(as_csv(pairs, True, end))
    found = read_pairs(path)
    assert list(zip(found.users, found.items, strict=True)) == pairs
