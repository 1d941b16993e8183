"""The records of an event file are those that TensorBoard reads."""

import io

import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from ddp.tracking.records import crc32c, record


@pytest.mark.parametrize("content", [b"", b"\0", b"123456789", bytes(range(256)) * 5])
def test_a_record_is_the_one_that_tensorboard_writes(content):
    theirs = io.BytesIO()
    RecordWriter(theirs).write(content)
    assert record(content) == theirs.getvalue()


def test_the_checksum_is_crc_32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of its definition
