"""A cache may be missing, stale, damaged or impossible: the ratings are right every time."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.errors import DataError
from ddp.ratings.arrays import Ratings, Reading
from ddp.ratings.sources.cache import _checksum_of_blocks, cached


def make(value: float = 3.0) -> Ratings:
    return Ratings(
        name="made",
        users=np.array([0, 1], np.int32),
        items=np.array([0, 0], np.int32),
        ratings=np.array([value, 1], np.float32),
        user_ids=np.array(["a", "\xfc"]),
        item_ids=np.array([5]),
        rating_min=1.0,
        rating_max=5.0,
        titles=np.array(["Some Film (1995)"]),
        reading=Reading(
            format={"separator": ("comma", "given"), "header": ("yes", "recognised")},
            left_out={"not rated (-1)": 3},
            warnings=("line 4 looks wrong",),
        ),
    )


def same(one: Ratings, other: Ratings) -> bool:
    return all(
        np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype
        for a, b in ((getattr(one, f.name), getattr(other, f.name)) for f in fields(Ratings))
    )


class Build:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Ratings:
        self.count += 1
        return make()


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("some content")
    return path


def test_second_load_is_equal_and_does_not_build(tmp_path, source):
    build = Build()
    loads = [cached(tmp_path / "c/x.npz", [source], "options", build) for _ in range(3)]
    assert build.count == 1
    assert all(same(ratings, make()) for ratings in loads)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["x.npz"]


def test_changed_source_time_size_or_options_build_again(tmp_path, source):
    build, file = Build(), tmp_path / "x.npz"
    cached(file, [source], "options", build)
    status = source.stat()
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    cached(file, [source], "options", build)
    assert build.count == 2
    source.write_text("some content, and more")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    cached(file, [source], "options", build)
    assert build.count == 3
    cached(file, [source], "other options", build)
    assert build.count == 4
    cached(file, [source], "other options", build)
    assert build.count == 4


def test_other_content_of_the_same_size_and_time_builds_again(tmp_path, source):
    build, file = Build(), tmp_path / "x.npz"
    cached(file, [source], "", build)
    status = source.stat()
    times = (status.st_atime_ns, status.st_mtime_ns)
    source.write_text("some CONTENT")  # in place: the inode stays
    os.utime(source, ns=times)
    cached(file, [source], "", build)
    assert build.count == 2
    other = tmp_path / "other.csv"
    other.write_text("some content")
    os.utime(other, ns=times)
    other.replace(source)  # as `cp -p` and `mv` do
    cached(file, [source], "", build)
    assert build.count == 3
    assert source.stat().st_mtime_ns == status.st_mtime_ns
    cached(file, [source], "", build)
    assert build.count == 3


def test_a_change_between_the_blocks_builds_again(tmp_path):
    build, file, source = Build(), tmp_path / "x.npz", tmp_path / "large.csv"
    content = bytearray(b"x" * 1_000_000)
    source.write_bytes(content)
    status = source.stat()
    cached(file, [source], "", build)
    checksum = _checksum_of_blocks(source, len(content))
    content[30_000] = ord("y")
    with source.open("r+b") as opened:
        opened.write(content)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert _checksum_of_blocks(source, len(content)) == checksum
    cached(file, [source], "", build)
    assert build.count == 2


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 70_000, 1_000_000])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_the_checksum_sees_a_change_in_its_blocks(tmp_path, size, place):
    path = tmp_path / "ratings.csv"
    content = bytearray(b"x" * size)
    path.write_bytes(content)
    before = _checksum_of_blocks(path, size)
    block = round(place * 15)
    content[max(size - 4096, 0) * block // 15] = ord("y")
    path.write_bytes(content)
    assert _checksum_of_blocks(path, size) != before


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_never_visible(tmp_path, source, data):
    file = tmp_path / "x.npz"
    file.unlink(missing_ok=True)
    cached(file, [source], "", Build())
    content = bytearray(file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert same(cached(file, [source], "", Build()), make())


def test_a_lost_array_is_noticed(tmp_path, source):
    build, file = Build(), tmp_path / "x.npz"
    cached(file, [source], "", build)
    with np.load(file) as found:
        np.savez(file, **{name: found[name] for name in found if name != "titles"})
    assert same(cached(file, [source], "", build), make())
    assert build.count == 2


def test_altered_shape_is_noticed_by_the_checksum(tmp_path, source):
    many = make()
    # too many to be read, and so checked, in one piece by chance
    many.ratings = np.ones(90_000, np.float32)
    file = tmp_path / "x.npz"
    cached(file, [source], "", lambda: many)
    content = file.read_bytes()
    file.write_bytes(content.replace(b"'shape': (90000,)", b"'shape': (10000,)"))
    assert file.read_bytes() != content
    assert same(cached(file, [source], "", lambda: many), many)


def test_no_place_for_a_cache_only_means_no_cache(tmp_path, source):
    build = Build()
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder.npz").mkdir()
    for impossible in (tmp_path / "a-file/x.npz", tmp_path / "a-folder.npz", None):
        build.count = 0
        for _ in range(2):
            assert same(cached(impossible, [source], "", build), make())
        assert build.count == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a-file",
        "a-folder.npz",
        "ratings.csv",
    ]


def test_source_that_changes_meanwhile_is_an_error_and_is_not_cached(tmp_path, source):
    def build() -> Ratings:
        with source.open("a") as file:
            file.write("appended")
        return make()

    with pytest.raises(DataError, match=r"ratings\.csv: changed while it was being read"):
        cached(tmp_path / "x.npz", [source], "", build)
    assert not (tmp_path / "x.npz").exists()


def test_a_pickle_in_the_cache_is_not_run(tmp_path, source):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    with (tmp_path / "x.npz").open("wb") as file:
        np.savez(file, key=np.array(Bomb(), dtype=object), allow_pickle=True)
    assert same(cached(tmp_path / "x.npz", [source], "", Build()), make())
    assert not (tmp_path / "exploded").exists()
