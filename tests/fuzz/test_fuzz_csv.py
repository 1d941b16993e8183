"""data=csv gives, for any file and any options, the ratings of the file, or a DataError."""

import bz2
import gzip
import io
import lzma
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from csv_files import PIECES, files
from hypothesis import given
from hypothesis import strategies as st
from inputs import check_ratings, damaged, fuzzed, no_hang

from ddp.config.data import CsvData
from ddp.errors import UserError
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings
from ddp.ratings.sources.content import read_content
from ddp.ratings.sources.delimited import layout_of
from ddp.ratings.sources.ids import whole_number
from ddp.ratings.sources.recognise import recognise
from ddp.ratings.sources.records import ratings_of
from ddp.ratings.sources.times import to_seconds


def check_against_the_file(ratings: Ratings, path: Path, data: CsvData) -> None:
    """A slow second reader finds the same pairs in the same order, each where its last one is."""
    layout = layout_of(data)
    content, form = recognise(read_content(path, layout), layout)
    records = [record.fields for record in ratings_of(content, form)]
    times = [0] * len(records)
    if form.timestamp is not None:
        texts = [fields[form.timestamp] for fields in records]
        times = to_seconds(np.array(texts, dtype=object))[0].tolist()

    def id_of(text: str, ids: np.ndarray) -> int | str | None:
        return whole_number(text) if ids.dtype.kind == "i" else text.strip()

    last: dict[tuple, tuple] = {}  # pair -> time, row, rating
    left_out = 0
    for row, (fields, time) in enumerate(zip(records, times, strict=True)):
        text = fields[form.rating]
        rating = float(text.replace(",", ".") if form.decimal == "," else text)
        user = id_of(fields[form.user], ratings.user_ids)
        pair = (user, id_of(fields[form.item], ratings.item_ids))
        if np.float32(rating) in np.array(layout.not_rated, np.float32):
            left_out += 1
        elif pair in last:
            left_out += 1
            last[pair] = max(last[pair], (time, row, rating))
        else:
            last[pair] = (time, row, rating)
    ordered = sorted(last, key=lambda pair: last[pair][1])
    users, items = ratings.user_ids[ratings.users], ratings.item_ids[ratings.items]
    assert ordered == list(zip(users.tolist(), items.tolist(), strict=True))
    assert ratings.reading is not None
    assert sum(ratings.reading.left_out.values()) == left_out
    if data.duplicates != "mean":
        assert [np.float32(last[pair][2]) for pair in ordered] == ratings.ratings.tolist()
    check_that_no_line_is_lost(content, len(records) + form.header)


def check_that_no_line_is_lost(content, num_records: int) -> None:
    lines = [line for line in content.lines() if line.strip(" \t\r\n")]
    if not any(quote in line for line in lines for quote in "\"'"):
        assert num_records == len(lines)


def check_refusal(error: UserError, path: Path) -> None:
    """A refusal of what is in a file names the line; the others say what to do."""
    message = str(error)
    if message.startswith(str(path)):
        assert "cannot be read" not in message
        whole_file = (
            "is empty|has no ratings|packed|unpacked|holds .* (files|characters)|is not .*text"
        )
        assert re.match(rf"{path}:[0-9]+: .", message) or re.search(whole_file, message), message


@fuzzed(0.7)
@given(file=files())
def test_any_file_with_any_options(tmp_path, file):
    content, data = file
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    data = replace(data, path=str(path))
    with no_hang():
        try:
            ratings = load_ratings(data, seed=0)
        except UserError as error:
            check_refusal(error, path)
            return
        check_ratings(ratings)
        check_against_the_file(ratings, path, data)


@fuzzed(0.3)
@given(data=st.data())
def test_any_file_with_the_test_part(tmp_path, data):
    content, options = data.draw(files())
    path, test = tmp_path / "ratings.csv", tmp_path / "test.csv"
    path.write_bytes(content)
    test.write_bytes(data.draw(damaged(st.just(content), PIECES)))
    options = replace(options, path=str(path))
    with no_hang():
        try:
            alone = load_ratings(options, seed=0)
            ratings = load_ratings(options, seed=0, test_file=str(test))
        except UserError:
            return
        check_ratings(ratings)
        found = ratings.test_rows
        assert found.dtype == np.int64
        assert len(found) > 0
        assert (found[1:] > found[:-1]).all()
        assert found[0] >= 0
        assert found[-1] < len(ratings)
        assert len(alone) in (len(ratings), len(ratings) - len(found))


def _zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", content)
    return packed.getvalue()


@fuzzed(0.2)
@given(
    file=files(),
    pack=st.sampled_from([gzip.compress, bz2.compress, lzma.compress, _zipped]),
    data=st.data(),
)
def test_any_packed_file(tmp_path, file, pack, data):
    content, options = file
    path, plain = tmp_path / "packed", tmp_path / "plain"
    plain.write_bytes(content)
    packed = pack(content)
    path.write_bytes(data.draw(damaged(st.just(packed), PIECES)))
    with no_hang():
        try:
            ratings = load_ratings(replace(options, path=str(path)), seed=0)
        except UserError as error:
            check_refusal(error, path)
            return
        check_ratings(ratings)
        if path.read_bytes() == packed:
            same = load_ratings(replace(options, path=str(plain)), seed=0)
            assert np.array_equal(same.ratings, ratings.ratings)
