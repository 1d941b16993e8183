"""The MovieLens readers: ratings and titles in each set's format, and the archives of the sets."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from csv_files import ODD, PIECES, row, rows
from hypothesis import given
from hypothesis import strategies as st
from inputs import check_ratings, damaged, fuzzed, no_hang

from ddp.config.defaults import default_option
from ddp.errors import UserError
from ddp.ratings.sources.fetch import FAILURES, unpack
from ddp.ratings.sources.listings import read_titles
from ddp.ratings.sources.movielens import load
from ddp.ratings.sources.remote import Member
from ddp.ratings.sources.sets import SETS

FORMATS = ("ml100k", "ml1m", "ml_latest_small")
TITLES = [(name, titles) for name in FORMATS for titles in SETS[name].titles]
MEMBERS = (
    Member(name="set/titles", target="titles", required=False),
    Member(name="set/skipped", target="skipped", num_lines_skipped=1, required=False),
    Member(name="set/ratings", target="ratings"),
)
LIMIT_BYTES = 1 << 16


def _file(name: str, lines: list[list[str]]) -> bytes:
    layout = SETS[name].layout
    heading = [["userId", "movieId", "rating", "timestamp"]] * layout.header
    return "".join(layout.separator.join(line) + "\n" for line in heading + lines).encode()


def _titles(separator: str, lines: list[list[str]]) -> bytes:
    return "".join(
        f"{number}{separator}{separator.join(line)}\n" for number, line in enumerate(lines)
    ).encode("latin-1", "replace")


def _rating_files(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
    lines = (
        st.lists(row, min_size=1, max_size=4, unique_by=lambda fields: (fields[0], fields[1]))
        | rows
    )
    return st.tuples(st.just(name), damaged(st.builds(_file, st.just(name), lines), PIECES))


rating_files = st.sampled_from(FORMATS).flatmap(_rating_files)
title_lines = st.lists(
    st.lists(st.sampled_from([*ODD, "Film (1995)", "1995", '"The, A"']), max_size=3), max_size=4
)
title_files = st.sampled_from(TITLES).flatmap(
    lambda known: st.tuples(
        st.just(known[1]),
        damaged(st.builds(_titles, st.just(known[1].separator), title_lines), PIECES),
    )
)


@fuzzed(0.5)
@given(
    ratings_file=rating_files,
    titles_file=st.none()
    | st.binary(max_size=20)
    | title_lines.map(lambda lines: _titles("|", lines)),
)
def test_any_set(tmp_path, ratings_file, titles_file):
    name, content = ratings_file
    known = replace(SETS[name], sha256=None, sources=())
    folder = tmp_path / known.folder
    folder.mkdir(exist_ok=True)
    (folder / "ratings.npz").unlink(missing_ok=True)
    (folder / known.ratings_file).write_bytes(content)
    (folder / known.titles[0].file).unlink(missing_ok=True)
    if titles_file is not None:
        (folder / known.titles[0].file).write_bytes(titles_file)
    with no_hang():
        try:
            ratings = load(replace(default_option("data", name), root=str(tmp_path)), known)
        except UserError:
            return
        check_ratings(ratings)
        assert ratings.user_ids.dtype == ratings.item_ids.dtype == np.int64
        assert ratings.timestamps is not None
        assert (ratings.rating_min, ratings.rating_max) == (
            known.layout.rating_min,
            known.layout.rating_max,
        )


@fuzzed(0.25)
@given(file=title_files, item_ids=st.sampled_from([[0, 1, 2], [1], [-1, 3, 2**62]]))
def test_any_titles(tmp_path, file, item_ids):
    known, content = file
    path = tmp_path / known.file
    path.write_bytes(content)
    with no_hang():
        try:
            titles = read_titles(path, known, np.array(item_ids))
        except UserError:
            return
        assert (titles.dtype.kind, titles.shape) == ("U", (len(item_ids),))


names = st.sampled_from(
    [
        *("set/ratings", "set/titles", "set/skipped", "../ratings"),
        *("/ratings", "set/../../ratings", "ratings", ""),
    ]
)
entries = st.lists(
    st.tuples(
        names | st.just("set/ratings"),
        st.sampled_from(
            [
                b"",
                b"1\t2\t3\t4\n",
                b"\n",
                b"header\n1\n",
                bytes(LIMIT_BYTES),
                bytes(LIMIT_BYTES + 1),
            ]
        ),
        st.sampled_from(
            [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
        ),
        st.sampled_from([0o100644, 0o120777, 0o40755]),  # a file, a link, a folder
    ),
    max_size=4,
)


def _archive(members: list[tuple[str, bytes, int, int]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content, compression, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, compression
            archive.writestr(info, content)
    return file.getvalue()


ZIP_PIECES = [
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7"),
    *(b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x0e\0", b"\x0c\0", b"\x09\0"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@fuzzed(0.25)
@given(content=damaged(st.builds(_archive, entries), ZIP_PIECES))
def test_any_archive(tmp_path, content):
    folder = tmp_path / "inside" / "set"
    folder.mkdir(parents=True, exist_ok=True)
    archive = tmp_path / "inside" / "download.zip"
    archive.write_bytes(content)
    with no_hang():
        try:
            unpack(archive, MEMBERS, folder, LIMIT_BYTES)
        except FAILURES:
            pass
        else:
            assert (folder / "ratings").is_file()
    for path in tmp_path.rglob("*"):
        if path.is_dir() or path == archive:
            continue
        assert path.parent == folder
        assert path.name in {member.target for member in MEMBERS}
        assert path.stat().st_size <= LIMIT_BYTES
        assert not path.is_symlink()
        path.unlink()


def test_the_sets_have_these_formats():
    """FORMATS must have the format of every set."""
    formats = {SETS[name].layout for name in FORMATS}
    assert {known.layout for known in SETS.values()} <= formats
    assert all(
        Path(member.target).name == member.target
        for known in SETS.values()
        for source in known.sources
        for member in source.members
    )
