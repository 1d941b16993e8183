"""A small set of MovieLens as an archive and as a wheel, and a web server that has it."""

import hashlib
import http.server
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from ddp.config.data import MovieLensData
from ddp.ratings.sources.remote import Download, Member, Wheel
from ddp.ratings.sources.sets import SETS, MovieLensSet

U_DATA = b"7\t30\t4\t881250949\n9\t10\t1\t881250950\n7\t10\t5\t881250951\n"
U_ITEM = "10|Caf\xe9 (1993)|rest\n30|Second, The (1994)|rest\n".encode("latin-1")
RB_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
RB_ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tCaf\xe9\t1993\tDrama\n30\tSecond, The\t1994\tComedy\n"
).encode()


def config(root: Path, name: str = "ml100k") -> MovieLensData:
    return MovieLensData(
        name=name, root=str(root), connect_timeout_s=3, user_features=None, item_features=None
    )


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
