"""The text of a rating file: unpacked, decoded, and without the lines that hold no rating."""

import bz2
import gzip
import io
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ddp.config.data import AUTO
from ddp.errors import DataError
from ddp.machine.printable import printable
from ddp.ratings.sources.layout import STAND_INS, Layout
from ddp.ratings.telling import Tell, nobody, told

_PIECE = 1 << 20  # bytes
_LINE_FEED = ord("\n")
_MARK = b"\xef\xbb\xbf"  # the byte order mark in UTF-8
# Beginning of a file -> its encoding; the longer ones first.
_WIDE_MARKS = {
    b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}  # fmt: skip
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"PK\x03\x04": "zip"}
# Beginning of a file without lines of text -> what it is.
_NO_TEXT = {
    b"\x28\xb5\x2f\xfd": "packed with zstd", b"7z\xbc\xaf": "packed with 7z",
    b"Rar!": "packed with rar", b"PAR1": "a Parquet file", b"SQLite": "a SQLite database",
    b"\x89HDF": "an HDF5 file",
}  # fmt: skip
_TAR_MARK = slice(257, 262)  # holds b"ustar"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


@dataclass(slots=True, kw_only=True)
class Content:
    """The text of one file as UTF-8, in which each line stands at its number in the file.

    `data`: the text; None: the file itself is plain UTF-8, and is read from the disk each time.
    `compression`: "gzip", ...; "" for none. `num_lines` counts blank lines too. `tell`: hears how
    much of the text has been parsed.
    """

    path: Path
    encoding: str
    compression: str
    data: bytes | None
    num_lines: int = 0
    has_nul: bool = False
    tell: Tell = nobody

    def open(self) -> BinaryIO:
        """The text as UTF-8. The caller closes it. Raises OSError."""
        return self.path.open("rb") if self.data is None else io.BytesIO(self.data)

    def open_to_parse(self) -> BinaryIO:
        """The same, but `tell` hears how much of it has been read. Raises OSError."""
        size = self.path.stat().st_size if self.data is None else len(self.data)
        return told(self.open(), self.path.name, size, self.tell)

    def lines(self) -> Iterator[str]:
        """The lines, with their ends. Bytes that are no UTF-8 become U+FFFD. Raises DataError."""
        try:
            with io.TextIOWrapper(
                self.open(), encoding="utf-8", errors="replace", newline=""
            ) as file:
                yield from file
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from None

    def with_splitter(self, separator: str) -> tuple["Content", str]:
        """A text that pandas can split, and the character at which it does.

        pandas takes one byte; for a longer `separator` a control character stands in the text.
        """
        if len(separator.encode()) == 1:
            return self, separator
        data = self._all()
        one = next((sign for sign in STAND_INS if sign.encode() not in data), None)
        if one is None:
            raise DataError(f"{self.path}: holds control characters. Is it a text file?")
        return replace(self, data=data.replace(separator.encode(), one.encode())), one

    def _all(self) -> bytes:
        with self.open() as file:
            return file.read()

    def scan(self) -> "Content":
        """Counts the lines, and takes the byte order marks from their beginnings."""
        ends, last, marked = 0, b"\n", False
        with self.open() as file:
            while piece := file.read(_PIECE):
                # several times as fast as bytes.count
                ends += int(np.count_nonzero(np.frombuffer(piece, np.uint8) == _LINE_FEED))
                if b"\r" in piece:
                    ends += (
                        piece.count(b"\r") - piece.count(b"\r\n") - (last + piece[:1] == b"\r\n")
                    )
                self.has_nul = self.has_nul or b"\0" in piece
                marked = marked or _MARK[:1] in piece
                last = piece[-1:]
        self.num_lines = ends + (last not in b"\r\n")
        if marked:
            data = self._all()
            if _MARK in data:
                self.data = re.sub(rb"(^|[\r\n])(?:\xef\xbb\xbf)+", rb"\1", data)
        return self


def read_content(path: Path, layout: Layout, tell: Tell = nobody) -> Content:
    """Reads a rating file. Raises DataError if it cannot be unpacked or decoded."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            seekable = stat.S_ISREG(path.stat().st_mode)
            rest = b"" if seekable else file.read()  # of a pipe, which nobody can read twice
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    compression = next((name for sign, name in _PACKED.items() if head.startswith(sign)), "")
    for sign, kind in _NO_TEXT.items():
        if head.startswith(sign):
            raise DataError(
                f"{path}: is {kind}. Write its ratings into a text file, which may be packed with"
                " gzip."
            )
    data = None if seekable else head + rest
    if compression:
        tell(f"unpacking {printable(path.name)}")
        data = _unpacked(path, path.read_bytes() if data is None else data, compression)
        head = data[:8]
        if data[_TAR_MARK] == b"ustar":
            raise DataError(f"{path}: is a tar archive. Unpack it, and name the rating file.")
    if data is not None and not data:
        once = "" if seekable else " A pipe can be read once: a sweep needs a file."
        raise DataError(f"{path}: is empty. It should have one rating per line.{once}")
    wide = next((name for sign, name in _WIDE_MARKS.items() if head.startswith(sign)), "utf-8")
    encoding = wide if layout.encoding == AUTO else layout.encoding
    if encoding.lower() not in ("utf-8", "utf8", "utf-8-sig"):
        data = _decoded(path, path.read_bytes() if data is None else data, encoding)
    if layout.skip_lines or layout.comment:
        data = _blanked(path.read_bytes() if data is None else data, layout)
    content = Content(path=path, encoding=encoding, compression=compression, data=data, tell=tell)
    return content.scan()


def _unpacked(path: Path, packed: bytes, compression: str) -> bytes:
    try:
        if compression != "zip":
            module = {"gzip": gzip, "bzip2": bz2, "xz": lzma}[compression]
            return bytes(module.decompress(packed))
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise DataError(
                    f"{path}: holds {len(names)} files: {', '.join(names[:5])}. Unpack it, and name"
                    " the rating file itself."
                )
            return archive.read(names[0])
    except DataError:
        raise
    except (*_DAMAGE, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path}: cannot be unpacked: {error}. Is the {compression} file complete?"
        ) from None


def _decoded(path: Path, raw: bytes, encoding: str) -> bytes:
    """The text as UTF-8."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError):  # ValueError: a NUL, or the codec named "undefined"
        raise DataError(
            f"data.encoding={encoding!r}: no such encoding; common ones are utf-8, latin-1, cp1252"
        ) from None
    try:
        return raw.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        line = ""
        if isinstance(error, UnicodeDecodeError):
            line = f":{raw.count(_LINE_FEED, 0, error.start) + 1}"
        raise DataError(
            f"{path}{line}: is not {encoding} text: {error}. Set data.encoding."
        ) from None


def _blanked(data: bytes, layout: Layout) -> bytes:
    """The text with blank lines in place of the first lines, and of those that are comments."""
    if layout.skip_lines:
        pattern = rb"\A(?:[^\r\n]*(?:\r\n|\r|\n|\Z)){0,%d}" % layout.skip_lines
        first = re.match(pattern, data)
        assert first is not None
        data = re.sub(rb"[^\r\n]+", b"", first[0]) + data[first.end() :]
    if layout.comment:
        mark = re.escape(layout.comment.encode())
        data = re.sub(rb"(?m)(^|(?<=\r))(?:\xef\xbb\xbf)?[ \t]*" + mark + rb"[^\r\n]*", b"", data)
    return data
