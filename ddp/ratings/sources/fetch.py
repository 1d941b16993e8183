"""Brings the files of a public set into its folder, from the first source that has them.

A file that stands in the folder is complete, and has the published checksum if there is one.
"""

import hashlib
import http.client
import logging
import lzma
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ddp.errors import DataError
from ddp.machine.files import FULL, atomic_file
from ddp.ratings.sources.remote import Download, Member, Source
from ddp.ratings.telling import Tell, nobody

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_STALL_TIMEOUT_S = 60  # between two pieces of a download that has begun
_PIP_READ_TIMEOUT_S = 15  # pip's own default
_PIP_TIMEOUT_S = 120  # in all


class SourceError(Exception):
    """The reason why a source did not give the files."""


# Errors that a source may raise: refused connections, half downloads, damaged or encrypted
# archives, full disks, a pip that hangs.
FAILURES = (
    SourceError, OSError, ValueError, EOFError, RuntimeError, MemoryError, zlib.error,
    lzma.LZMAError, zipfile.BadZipFile,
    http.client.HTTPException, subprocess.SubprocessError,
)  # fmt: skip


def fetch(
    sources: Sequence[Source],
    folder: Path,
    *,
    connect_timeout_s: float,
    limit_bytes: int,
    tell: Tell = nobody,
) -> list[str]:
    """Puts the files of the first source that works into `folder`.

    Gives [], or the reason of each source if all failed. `limit_bytes`: the largest size of the
    archive, and of one unpacked file. Raises DataError when `folder` cannot be written.
    """
    reasons: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            _log.info("fetching %s", source)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
                try:
                    archive = _bring(source, Path(temporary), connect_timeout_s, limit_bytes, tell)
                    unpack(archive, source.members, folder, limit_bytes)
                except FAILURES as error:
                    # the disk is full: no other source would help
                    if isinstance(error, OSError) and error.errno in FULL:
                        raise
                    reasons.append(f"{source}: {error or type(error).__name__}")
                else:
                    return []
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written: {error.strerror}. Set data.root to a folder of yours,"
            " with room."
        ) from None
    return reasons


def _bring(
    source: Source, folder: Path, connect_timeout_s: float, limit_bytes: int, tell: Tell
) -> Path:
    if isinstance(source, Download):
        return download(source.url, folder, connect_timeout_s, limit_bytes, tell)
    tell(f"fetching {source.requirement}")
    return pip_download(source.requirement, folder, connect_timeout_s)


class _PatientHttpConnection(http.client.HTTPConnection):
    """A connection that gives up a dead server soon, and a slow one late."""

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_STALL_TIMEOUT_S)


class _PatientHttpsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_STALL_TIMEOUT_S)


class _PatientHttp(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientHttpConnection, req)


class _PatientHttps(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_PatientHttpsConnection, req)


def download(
    url: str, folder: Path, connect_timeout_s: float, limit_bytes: int, tell: Tell = nobody
) -> Path:
    """Downloads the file at `url` into `folder` and gives its path.

    Raises SourceError when the download breaks off or is too long, and the errors of urllib.
    """
    path = folder / "download.zip"
    opener = urllib.request.build_opener(_PatientHttp, _PatientHttps)
    with opener.open(url, timeout=connect_timeout_s) as response, path.open("wb") as file:
        expected = response.headers.get("Content-Length")
        size = int(expected) if str(expected).isdecimal() else None
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            tell(f"fetching {url.rpartition('/')[2]}", file.tell(), size, "bytes")
            if file.tell() > limit_bytes:
                raise SourceError(
                    f"the download has more than the {limit_bytes:,} bytes expected at most"
                )
        if expected is not None and file.tell() != int(expected):
            raise SourceError(f"the download broke off after {file.tell()} of {expected} bytes")
    return path


def pip_download(requirement: str, folder: Path, connect_timeout_s: float) -> Path:
    """Downloads the wheel of `requirement` into `folder` and gives its path.

    Raises SourceError with pip's last line.
    """
    options = [
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
    ]
    patience = ["--timeout", str(max(connect_timeout_s, _PIP_READ_TIMEOUT_S)), "--retries", "1"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        *patience,
        "--dest",
        str(folder),
        requirement,
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stderr.strip().splitlines() or [f"pip ended with exit code {done.returncode}"]
        raise SourceError(lines[-1])
    return wheels[0]


def unpack(archive: Path, members: Sequence[Member], folder: Path, limit_bytes: int) -> None:
    """Copies `members` into `folder`, each under its `target`, and reads nothing else.

    Raises SourceError for a missing, oversized or altered member, and the errors of zipfile for a
    damaged one.
    """
    with zipfile.ZipFile(archive) as opened:
        present = {info.filename: info for info in opened.infolist()}
        if missing := [
            member.name for member in members if member.required and member.name not in present
        ]:
            raise SourceError(f"the archive lacks {', '.join(missing)}")
        for member in (member for member in members if member.name in present):
            info = present[member.name]
            # zipfile never gives more than the declared size
            if info.file_size > limit_bytes:
                raise SourceError(
                    f"{member.name} has {info.file_size:,} bytes, more than the {limit_bytes:,}"
                    " expected at most"
                )
            with opened.open(info) as source, atomic_file(folder / member.target) as target:
                for _ in range(member.num_lines_skipped):
                    source.readline()
                digest = _copy(source, target)
                # inside the block: only a verified file gets its name
                if member.sha256 not in (None, digest):
                    raise SourceError(
                        f"{member.name} is not the published file: its SHA-256 is {digest}, not"
                        f" {member.sha256}"
                    )


def _copy(source: IO[bytes], target: IO[bytes]) -> str:
    """Copies the rest of `source`. Gives its SHA-256."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
