"""Every set's format and sources, and the messages when no source works."""

import hashlib
import http.server
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ddp.config.data import MovieLensData
from ddp.errors import DataError
from ddp.ratings.load import load_ratings, read_pairs
from ddp.ratings.sources.fetch import unpack
from ddp.ratings.sources.movielens import SETS, MovieLensSet, load
from ddp.ratings.sources.remote import Download, Member, Wheel

U_DATA = b"7\t30\t4\t881250949\n9\t10\t1\t881250950\n7\t10\t5\t881250951\n"
U_ITEM = "10|Caf\xe9 (1993)|rest\n30|Second, The (1994)|rest\n".encode("latin-1")
RB_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
RB_ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tCaf\xe9\t1993\tDrama\n30\tSecond, The\t1994\tComedy\n"
).encode()


def config(root: Path, name: str = "ml100k") -> MovieLensData:
    return MovieLensData(name=name, root=str(root), connect_timeout_s=3)


class Server:
    """A real web server on loopback; `replies`: path -> (body, Content-Length to claim)."""

    def __init__(self, replies: dict[str, tuple[bytes, int]]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path not in replies:
                    self.send_error(404)
                    return
                body, length = replies[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.replies = replies
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    def serve(self, path: str, body: bytes, length: int | None = None) -> str:
        self.replies[path] = (body, len(body) if length is None else length)
        return self.url + path


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server({})
    yield running
    running.server.shutdown()
    running.thread.join()
    running.server.server_close()


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """pip looks into a local folder only, which is empty until the test puts a wheel there."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def write_zip(
    path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> bytes:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


def write_wheel(folder: Path, inter: bytes) -> None:
    info = "recbole-1.2.1.dist-info"
    example = "recbole/dataset_example/ml-100k/ml-100k"
    files = {
        f"{example}.inter": inter,
        f"{example}.item": RB_ITEM,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag:"
        b" py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    write_zip(folder / "recbole-1.2.1-py3-none-any.whl", files)


def small_set(url: str, u_data: bytes = U_DATA) -> MovieLensSet:
    """ml100k with another server and another digest."""
    digest = hashlib.sha256(u_data).hexdigest()

    def members(source: Download | Wheel) -> tuple[Member, ...]:
        return tuple(replace(member, sha256=member.sha256 and digest) for member in source.members)

    download, wheel = SETS["ml100k"].sources
    sources = (
        replace(download, url=url, members=members(download)),
        replace(wheel, members=members(wheel)),
    )
    return replace(SETS["ml100k"], sources=sources, sha256=digest)


def good_zip(tmp_path: Path, u_data: bytes = U_DATA) -> bytes:
    return write_zip(
        tmp_path / "made.zip",
        {
            "ml-100k/u.data": u_data,
            "ml-100k/u.item": U_ITEM,
            "ml-100k/u1.test": U_DATA.splitlines(True)[1],
        },
    )


def check_small_set(ratings) -> None:
    assert ratings.user_ids.tolist() == [7, 9]
    assert ratings.item_ids.tolist() == [10, 30]
    assert ratings.users.tolist() == [0, 1, 0]
    assert ratings.items.tolist() == [1, 0, 0]
    assert ratings.ratings.tolist() == [4, 1, 5]
    assert ratings.timestamps.tolist() == [881250949, 881250950, 881250951]
    assert ratings.titles.tolist() == ["Caf\xe9 (1993)", "Second, The (1994)"]
    assert (ratings.rating_min, ratings.rating_max) == (1, 5)
    assert [
        a.dtype for a in (ratings.users, ratings.items, ratings.ratings, ratings.timestamps)
    ] == [
        np.int32,
        np.int32,
        np.float32,
        np.int64,
    ]


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_zip_is_downloaded_once_and_its_splits_are_kept(tmp_path, server, no_index):
    known = small_set(server.serve("/ml-100k.zip", good_zip(tmp_path)))
    root = tmp_path / "root"
    check_small_set(load(config(root), known))
    server.replies.clear()
    check_small_set(load(config(root), known))
    assert left_over(root / "ml-100k") == ["ratings.npz", "u.data", "u.item", "u1.test"]
    assert read_pairs(Path("u1.test"), config(root), load(config(root), known)).tolist() == [1]


@pytest.mark.parametrize(
    "trouble",
    [
        "missing",
        "cut",
        "cut-without-notice",
        "not-a-zip",
        "wrong-content",
        "no-member",
        "too-large",
        "bad-lzma",
        "no-end",
    ],
)
def test_wheel_steps_in_when_the_server_fails(tmp_path, server, no_index, trouble):
    body = good_zip(
        tmp_path,
        U_DATA.replace(b"881250949", b"881250948") if trouble == "wrong-content" else U_DATA,
    )
    if trouble == "no-member":
        body = write_zip(
            tmp_path / "made.zip", {"ml-100k/u.item": U_ITEM, "elsewhere/u.data": U_DATA}
        )
    if trouble == "too-large":
        body = write_zip(
            tmp_path / "made.zip", {"ml-100k/u.item": U_ITEM, "ml-100k/u.data": bytes(30_000_000)}
        )
    if trouble == "bad-lzma":
        body = write_zip(
            tmp_path / "made.zip",
            {"ml-100k/u.data": U_DATA, "ml-100k/u.item": U_ITEM},
            zipfile.ZIP_LZMA,
        )
        # what its compression was set to
        body = body.replace(b"\x09\x04\x05\0\x5d", b"\x09\x04\x05\0\xff")
    if trouble == "no-end":
        body += bytes(20_000_000)
    sent = {
        "cut": body[:-40],
        "cut-without-notice": body[:-40],
        "not-a-zip": b"<html>Sorry</html>",
    }.get(trouble, body)
    server.serve("/ml-100k.zip", sent, len(body) if trouble == "cut" else None)
    if trouble == "missing":
        server.replies.clear()
    known = small_set(f"{server.url}/ml-100k.zip")

    with pytest.raises(DataError) as caught:
        load(config(tmp_path / "root"), known)
    reason = {
        "missing": "404",
        "cut": f"broke off after {len(body) - 40} of {len(body)} bytes",
        "cut-without-notice": "not a zip file",
        "not-a-zip": "not a zip file",
        "wrong-content": "is not the published file",
        "no-member": "the archive lacks ml-100k/u.data",
        "too-large": "30,000,000 bytes",
        "bad-lzma": "nvalid",
        "no-end": "the download has more than the 20,000,000 bytes",
    }[trouble]
    for part in (
        reason,
        f"{server.url}/ml-100k.zip: ",
        "pip download recbole==1.2.1: ",
        "No matching distribution",
        " by other means, and put its files into ",
    ):
        assert part in str(caught.value)
    assert "u.data" not in left_over(tmp_path / "root")

    write_wheel(no_index, RB_HEADER + U_DATA)
    check_small_set(load(config(tmp_path / "root"), known))
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


def test_local_file_with_other_content_is_an_error_and_stays(tmp_path):
    path = tmp_path / "ml-100k/u.data"
    path.parent.mkdir()
    path.write_bytes(U_DATA)
    with pytest.raises(
        DataError, match=r"u\.data: is not the published file: its SHA-256 is .*Delete it"
    ):
        load_ratings(config(tmp_path), seed=0)
    assert path.read_bytes() == U_DATA


def test_root_that_cannot_be_written(tmp_path):
    (tmp_path / "root").write_text("a file, no folder")
    with pytest.raises(DataError, match=r"cannot be written.*data\.root"):
        load(config(tmp_path / "root"), small_set("http://127.0.0.1:1/x.zip"))
    with pytest.raises(DataError, match=r"cannot be read: .*too long.*data\.root"):
        load(config(tmp_path / ("x" * 300)), small_set("http://127.0.0.1:1/x.zip"))


CSV_RATINGS = "userId,movieId,rating,timestamp\n3,500,0.5,100\n1,20,4.5,101\n"
CSV_MOVIES = (
    'movieId,title,genres\n20,"Comma, The (1990)",Drama\n'
    "77,Unrated (2000),Drama\n500,L\xfan (1991),War\n"
)


@pytest.mark.parametrize("name", ["ml1m", "ml_latest_small", "ml25m", "ml32m"])
def test_formats_from_download_to_ratings(tmp_path, server, name):
    folder = SETS[name].folder
    if name == "ml1m":
        files = {"ratings.dat": b"3::500::1::100\n1::20::5::101\n"}
        files["movies.dat"] = (
            "20::Comma, The (1990)::Drama\n77::Unrated: (2000)::Drama\n500::L\xfan"
            " (1991)::War\n".encode("latin-1")
        )
    else:
        files = {"ratings.csv": CSV_RATINGS.encode(), "movies.csv": CSV_MOVIES.encode()}
    body = write_zip(
        tmp_path / "made.zip", {f"{folder}/{file}": content for file, content in files.items()}
    )
    source = SETS[name].sources[0]
    assert source.url == f"https://files.grouplens.org/datasets/movielens/{folder}.zip"
    known = replace(
        SETS[name], sources=(replace(source, url=server.serve(f"/{folder}.zip", body)),)
    )
    ratings = load(config(tmp_path / "root", name), known)
    assert ratings.name == name
    assert ratings.user_ids[ratings.users].tolist() == [3, 1]
    assert ratings.item_ids[ratings.items].tolist() == [500, 20]
    assert ratings.ratings.tolist() == ([1, 5] if name == "ml1m" else [0.5, 4.5])
    assert ratings.timestamps.tolist() == [100, 101]
    assert ratings.titles.tolist() == ["Comma, The (1990)", "L\xfan (1991)"]
    assert (ratings.rating_min, ratings.rating_max) == (1 if name == "ml1m" else 0.5, 5)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("ml1m", "1::21::6::101", "rating 6 is outside the scale 1 to 5"),
        ("ml1m", "1::21::5:101", "line cut short: 1 fields"),
        ("ml1m", "1::21::5", "line cut short: 3 fields"),
        ("ml_latest_small", "1,21,0,101", "rating 0 is outside the scale 0.5 to 5"),
        ("ml_latest_small", "x1,21,3,101", "user 'x1' is not a whole number"),
        ("ml_latest_small", "1.0,21,3,101", "user '1.0' is not a whole number"),
        ("ml_latest_small", "1,21,3,1\0", "a NUL character is in it. Is the file damaged\\?"),
        ("ml_latest_small", "1,20,3,101", "user 1, item 20: already rated in .*:3"),
    ],
)
def test_bad_line_in_a_local_set(tmp_path, name, line, message):
    known = SETS[name]
    start = "3::500::1::100\n1::20::5::101\n" if name == "ml1m" else CSV_RATINGS
    path = tmp_path / known.folder / known.ratings_file
    path.parent.mkdir()
    path.write_text(start + line + "\n")
    number = start.count("\n") + 1
    with pytest.raises(DataError, match=rf"{path.name}:{number}: {message}") as caught:
        load_ratings(config(tmp_path, name), seed=0)
    assert "data.duplicates" not in str(caught.value)
    assert left_over(path.parent) == [path.name]


def test_set_without_titles_and_with_bad_titles(tmp_path):
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("3::500::1::100\n")
    assert load_ratings(config(tmp_path, "ml1m"), seed=0).titles is None
    (folder / "movies.dat").write_text("500::Fine::War\nbroken\n")
    with pytest.raises(DataError, match=r"movies\.dat:2: "):
        load_ratings(config(tmp_path, "ml1m"), seed=0)


def test_the_real_ml100k_by_the_real_index(tmp_path):
    """Needs a source of `data=ml100k`, as a fresh machine does: GroupLens or a package index."""
    ratings = load_ratings(config(tmp_path), seed=0)
    assert (len(ratings), ratings.num_users, ratings.num_items) == (100_000, 943, 1682)
    assert np.bincount(ratings.ratings.astype(int)).tolist() == [
        0,
        6110,
        11370,
        27145,
        34174,
        21201,
    ]
    assert ratings.titles[0] == "Toy Story (1995)"
    again = load_ratings(config(tmp_path), seed=0)
    assert np.array_equal(again.items, ratings.items)


def test_cached_load_imports_neither_pandas_nor_a_network_client(tmp_path):
    import subprocess

    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("3::500::1::100\n")
    load_ratings(config(tmp_path, "ml1m"), seed=0)
    program = (
        "import sys; from ddp.config.data import MovieLensData; from ddp.ratings.load import"
        " load_ratings\n"
        f"load_ratings(MovieLensData(name='ml1m', root={str(tmp_path)!r}, connect_timeout_s=1),"
        " 0)\n"
        "print([name for name in ('pandas', 'torch', 'urllib.request') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
