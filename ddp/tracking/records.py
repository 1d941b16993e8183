"""The records of an event file: the length of the content, the content, and a checksum of each.

The checksum is CRC-32C, turned by 15 bits and with a constant added. TensorBoard has the same
function, but importing that imports a hundred modules of file systems.
"""

import struct
from functools import cache

POLYNOMIAL = 0x82F63B78  # Castagnoli's, with its bits in reverse
ADDED = 0xA282EAD8


def record(content: bytes) -> bytes:
    """The record with this content."""
    length = struct.pack("<Q", len(content))
    return length + _masked_crc(length) + content + _masked_crc(content)


def crc32c(content: bytes) -> int:
    """The CRC-32C of the bytes."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _masked_crc(content: bytes) -> bytes:
    crc = crc32c(content)
    turned = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (turned + ADDED) & 0xFFFFFFFF)


@cache
def _table() -> tuple[int, ...]:
    """The checksum of each byte."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)  # noqa: PLW2901
        table.append(crc)
    return tuple(table)
