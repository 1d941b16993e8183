"""Sets that are downloaded: every source, and the messages where none works."""

import zipfile
from pathlib import Path

import pytest
from movielens_sets import (
    RB_HEADER,
    U_DATA,
    U_ITEM,
    check_small_set,
    config,
    good_zip,
    left_over,
    small_set,
    write_wheel,
    write_zip,
)

from ddp.errors import DataError
from ddp.ratings.sources.fetch import unpack
from ddp.ratings.sources.movielens import load
from ddp.ratings.sources.remote import Member
from ddp.ratings.sources.test_file import with_test_file


def test_zip_is_downloaded_once_and_its_splits_are_kept(tmp_path, server, no_index):
    known = small_set(server.serve("/ml-100k.zip", good_zip(tmp_path)))
    root = tmp_path / "root"
    told = []
    check_small_set(load(config(root), known, lambda *each: told.append(each)))
    size = (tmp_path / "made.zip").stat().st_size
    assert told[0] == ("fetching ml-100k.zip", size, size, "bytes")
    server.replies.clear()
    check_small_set(load(config(root), known))
    assert left_over(root / "ml-100k") == ["ratings.npz", "u.data", "u.item", "u1.test"]
    assert with_test_file(
        load(config(root), known), Path("u1.test"), config(root)
    ).test_rows.tolist() == [1]


# trouble of the server -> the reason in the message; {} are the bytes sent and promised
REASONS = {
    "missing": "404",
    "cut": "broke off after {} of {} bytes",
    "cut-without-notice": "not a zip file",
    "not-a-zip": "not a zip file",
    "wrong-content": "is not the published file",
    "no-member": "the archive lacks ml-100k/u.data",
    "too-large": "30,000,000 bytes",
    "bad-lzma": "nvalid",
    "no-end": "the download has more than the 20,000,000 bytes",
}


def damaged_zip(trouble, folder):
    """The archive as a server with that trouble sends it, and the length that it promises."""
    path, files = folder / "made.zip", {"ml-100k/u.data": U_DATA, "ml-100k/u.item": U_ITEM}
    body = good_zip(folder)
    if trouble == "cut":
        return body[:-40], len(body)
    if trouble == "cut-without-notice":
        body = body[:-40]
    if trouble == "not-a-zip":
        body = b"<html>Sorry</html>"
    if trouble == "wrong-content":
        body = good_zip(folder, U_DATA.replace(b"881250949", b"881250948"))
    if trouble == "no-member":
        body = write_zip(path, {"ml-100k/u.item": U_ITEM, "elsewhere/u.data": U_DATA})
    if trouble == "too-large":
        body = write_zip(path, files | {"ml-100k/u.data": bytes(30_000_000)})
    if trouble == "bad-lzma":
        body = write_zip(path, files, zipfile.ZIP_LZMA)
        # the settings of its compression
        body = body.replace(b"\x09\x04\x05\0\x5d", b"\x09\x04\x05\0\xff")
    if trouble == "no-end":
        body += bytes(20_000_000)
    return body, len(body)


@pytest.mark.parametrize("trouble", REASONS)
def test_each_trouble_of_the_server_has_its_reason(tmp_path, server, no_index, trouble):
    sent, length = damaged_zip(trouble, tmp_path)
    server.serve("/ml-100k.zip", sent, length)
    if trouble == "missing":
        server.replies.clear()
    known = small_set(f"{server.url}/ml-100k.zip")

    with pytest.raises(DataError) as caught:
        load(config(tmp_path / "root"), known)
    for part in (
        REASONS[trouble].format(len(sent), length),
        f"{server.url}/ml-100k.zip: ",
        "pip download recbole==1.2.1: ",
        "No matching distribution",
        " by other means, and put its files into ",
    ):
        assert part in str(caught.value)
    assert "u.data" not in left_over(tmp_path / "root")


# pip takes half a second each time
FAST = ("missing", "wrong-content")
SLOW = [pytest.param(trouble, marks=pytest.mark.slow) for trouble in REASONS if trouble not in FAST]


@pytest.mark.parametrize("trouble", [*FAST, *SLOW])
def test_wheel_steps_in_when_the_server_fails(tmp_path, server, no_index, trouble):
    if trouble != "missing":
        server.serve("/ml-100k.zip", *damaged_zip(trouble, tmp_path))
    write_wheel(no_index, RB_HEADER + U_DATA)
    check_small_set(load(config(tmp_path / "root"), small_set(f"{server.url}/ml-100k.zip")))
    assert (tmp_path / "root/ml-100k/u.data").read_bytes() == U_DATA
    assert not [name for name in left_over(tmp_path / "root") if name.startswith(".")]


def test_both_sources_give_the_same_ratings_and_titles(tmp_path, server, no_index):
    write_wheel(no_index, RB_HEADER + U_DATA)
    from_wheel = load(config(tmp_path / "a"), small_set(f"{server.url}/absent.zip"))
    from_zip = load(
        config(tmp_path / "b"), small_set(server.serve("/ml-100k.zip", good_zip(tmp_path)))
    )
    assert from_wheel.titles.tolist() == from_zip.titles.tolist()
    assert (tmp_path / "a/ml-100k/u.data").read_bytes() == (
        tmp_path / "b/ml-100k/u.data"
    ).read_bytes()


def test_altered_wheel_is_refused(tmp_path, server, no_index):
    write_wheel(no_index, RB_HEADER + U_DATA.replace(b"30", b"31"))
    with pytest.raises(
        DataError, match=r"recbole==1\.2\.1: .*ml-100k\.inter is not the published file"
    ):
        load(config(tmp_path / "root"), small_set(f"{server.url}/absent.zip"))
    assert "u.data" not in left_over(tmp_path / "root")


def test_member_names_choose_no_paths(tmp_path, server, no_index):
    evil = {
        "../../evil": b"x",
        "/tmp/ddp-evil": b"x",
        "ml-100k/../../u.data": b"x",
        "ml-100k/u.data": U_DATA,
        "ml-100k/u.item": U_ITEM,
    }
    check_small_set(
        load(
            config(tmp_path / "root"),
            small_set(server.serve("/e.zip", write_zip(tmp_path / "made.zip", evil))),
        )
    )
    assert left_over(tmp_path / "root") == ["ml-100k", "ratings.npz", "u.data", "u.item"]
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/ddp-evil").exists()


def test_a_link_in_an_archive_is_a_file_like_others(tmp_path):
    link = zipfile.ZipInfo("ml-100k/u.data")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr(link, "../../secret")
    unpack(
        tmp_path / "made.zip",
        [Member(name="ml-100k/u.data", target="u.data")],
        tmp_path / "set",
        100,
    )
    assert not (tmp_path / "set/u.data").is_symlink()
    assert (tmp_path / "set/u.data").read_text() == "../../secret"


def test_an_archive_that_understates_a_size_fills_no_disk(tmp_path):
    body = write_zip(tmp_path / "made.zip", {"big": bytes(1_000_000)})
    (tmp_path / "made.zip").write_bytes(
        body.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    )
    with pytest.raises(zipfile.BadZipFile):
        unpack(tmp_path / "made.zip", [Member(name="big", target="big")], tmp_path / "set", 100)
    assert list((tmp_path / "set").iterdir()) == []


def test_root_that_cannot_be_written(tmp_path):
    (tmp_path / "root").write_text("a file, no folder")
    with pytest.raises(DataError, match=r"cannot be written.*data\.root"):
        load(config(tmp_path / "root"), small_set("http://127.0.0.1:1/x.zip"))
    with pytest.raises(DataError, match=r"cannot be read: .*too long.*data\.root"):
        load(config(tmp_path / ("x" * 300)), small_set("http://127.0.0.1:1/x.zip"))
