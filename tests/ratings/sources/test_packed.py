"""Packed files, pipes, and ratings that mean "not rated"."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import zipfile
from dataclasses import replace

import pytest
from delimited_files import AUTO, load, rows, write

from ddp.errors import DataError
from ddp.ratings.load import load_ratings

CONTENT = "user,item,rating\n" + "".join(f"{row},{row % 7},{1 + row % 5}\n" for row in range(300))
ROWS = [(row, row % 7, 1 + row % 5) for row in range(300)]


def zipped(content: bytes, *more: str, folder: bool = False) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        if folder:
            archive.mkdir("set")
        archive.writestr("set/ratings.csv" if folder else "ratings.csv", content)
        for name in more:
            archive.writestr(name, "text")
    return packed.getvalue()


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "zip of a folder": lambda content: zipped(content, folder=True),
    "two gz in a row": lambda content: gzip.compress(content[:500]) + gzip.compress(content[500:]),
}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["r.csv.gz", "r.csv"])
def test_a_packed_file_is_read_whatever_its_name(tmp_path, pack, encoding, name):
    got = load(tmp_path / name, pack(CONTENT.encode(encoding)), base=AUTO)
    assert rows(got) == ROWS


def test_a_plain_file_may_be_called_gz(tmp_path):
    assert rows(load(tmp_path / "r.csv.gz", CONTENT, base=AUTO)) == ROWS


def test_a_bad_line_of_a_packed_file_is_named(tmp_path):
    content = CONTENT.replace("\n9,2,5\n", "\n9,2,five\n")
    with pytest.raises(DataError, match=r"r\.gz:11: rating 'five'"):
        load(tmp_path / "r.gz", gzip.compress(content.encode()), base=AUTO)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_packed_file_that_is_cut_short_is_refused(tmp_path, pack):
    packed = pack(CONTENT.encode())
    with pytest.raises(DataError, match=r"r: cannot be unpacked: .*complete\?"):
        load(tmp_path / "r", packed[: len(packed) // 2], base=AUTO)


def test_archives_of_several_files_are_refused_with_their_names(tmp_path):
    with pytest.raises(DataError, match=r"r: holds 2 files: ratings\.csv, notes\.txt"):
        load(tmp_path / "r", zipped(CONTENT.encode(), "notes.txt"), base=AUTO)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("ratings.csv", "notes.txt"):
            about = tarfile.TarInfo(name)
            about.size = len(CONTENT)
            archive.addfile(about, io.BytesIO(CONTENT.encode()))
    with pytest.raises(DataError, match=r"r: is a tar archive"):
        load(tmp_path / "r", packed.getvalue(), base=AUTO)


NO_TEXT = {
    "empty": gzip.compress(b""),
    "packed with zstd": b"\x28\xb5\x2f\xfd....",
    "packed with 7z": b"7z\xbc\xaf'\x1c",
    "a Parquet file": b"PAR1....",
}


@pytest.mark.parametrize(("message", "content"), NO_TEXT.items(), ids=NO_TEXT)
def test_what_holds_no_text_is_refused(tmp_path, message, content):
    with pytest.raises(DataError, match=f"r: is {message}"):
        load(tmp_path / "r", content, base=AUTO)


def test_a_pipe_is_read_once_and_never_cached(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    options = replace(AUTO, path=str(pipe), cache=str(tmp_path / "cache"))
    for content in (CONTENT, gzip.compress(CONTENT.encode()), CONTENT.replace("9,2,5", "9,2,x")):
        data = content if isinstance(content, bytes) else content.encode()
        writer = threading.Thread(target=pipe.write_bytes, args=(data,))
        writer.start()
        try:
            if b"9,2,x" in data:
                with pytest.raises(DataError, match="pipe:11: rating 'x'"):
                    load_ratings(options, seed=0)
            else:
                assert rows(load_ratings(options, seed=0)) == ROWS
        finally:
            writer.join()
    assert not (tmp_path / "cache").exists()


def test_an_empty_pipe_is_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"",))
    writer.start()
    with pytest.raises(DataError, match="pipe: is empty"):
        load_ratings(replace(AUTO, path=str(pipe)), seed=0)
    writer.join()


ANIME = "user,item,rating\n1,1,10\n1,2,-1\n2,1,6\n2,2,-1\n3,1,8\n3,2,0\n4,4,-1\n"


@pytest.mark.parametrize(
    ("values", "users", "scale"),
    [
        ([-1], [1, 2, 3, 3], (0, 10)),
        ([-1, 0], [1, 2, 3], (6, 10)),
        ([99], [1, 1, 2, 2, 3, 3, 4], (-1, 10)),
        ([-1.0, 10], [2, 3, 3], (0, 8)),
    ],
)
def test_rows_that_are_not_rated_are_left_out_and_counted(tmp_path, values, users, scale):
    got = load(tmp_path / "r", ANIME, base=AUTO, not_rated=values)
    assert got.user_ids[got.users].tolist() == users
    assert got.user_ids.tolist() == sorted({*users})
    assert sum(got.reading.left_out.values()) == 7 - len(users)
    assert (got.rating_min, got.rating_max) == scale


def test_a_value_that_is_not_rated_may_be_outside_the_scale(tmp_path):
    got = load(tmp_path / "r", ANIME, base=AUTO, not_rated=[-1, 0], rating_min=1, rating_max=10)
    assert len(got) == 3
    with pytest.raises(DataError, match=r"r:7: rating 0 is outside the scale 1 to 10"):
        load(tmp_path / "r", ANIME, base=AUTO, not_rated=[-1], rating_min=1, rating_max=10)


def test_a_file_of_nothing_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no ratings but those of data\.not_rated"):
        load(tmp_path / "r", "1,1,-1\n1,2,-1\n", base=AUTO, not_rated=[-1])


def test_numbers_of_files_follow_the_rows_that_stay(tmp_path):
    paths = [write(tmp_path / "a", "1,1,-1\n1,2,3\n"), write(tmp_path / "b", "2,1,4\n2,2,-1\n")]
    got = load_ratings(replace(AUTO, path=None, paths=paths, not_rated=[-1]), seed=0)
    assert got.files.tolist() == [0, 1]
