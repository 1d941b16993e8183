"""What a worker says through its pipe in every round, as raw bytes: where nothing is pickled from
round to round.
"""

import struct
from array import array
from collections.abc import Mapping

from ddp.timing.paths import PATH_NUMBERS, PATHS
from ddp.timing.spans import Account
from ddp.tracking.messages import EpochDone, Message, Published, WorkerRound
from ddp.tracking.metrics import SquaredError

EPOCH, PUBLISHED, ROW = b"e", b"p", b"r"
PICKLED = b"\x80"  # how every pickle begins: Asking, Started, Finished and Failed, once a run

BELL = struct.Struct("=cqq")  # what it is, the round, the epoch
# A `WorkerRound`. Its account follows: of each of four tables the length, then of each entry the
# path's number (or the worker) and the value; and its slices.
ROUND = struct.Struct("=dqdqdq")


def ring(message: Message) -> bytes | None:
    """The bytes for a message; None for one that is said once a run."""
    match message:
        case EpochDone(round_index=round_index, epoch=epoch):
            return BELL.pack(EPOCH, round_index, epoch)
        case Published(round_index=round_index):
            return BELL.pack(PUBLISHED, round_index, 0)
        case WorkerRound(round_index=round_index):
            return BELL.pack(ROW, round_index, message.best_epoch) + _row_to_bytes(message)
        case _:
            return None


def understand(worker: int, content: bytes) -> Message:
    """The message that a worker has rung."""
    kind, round_index, epoch = BELL.unpack_from(content)
    rest = content[BELL.size :]
    if kind == EPOCH:
        return EpochDone(worker=worker, round_index=round_index, epoch=epoch)
    if kind == PUBLISHED:
        return Published(worker=worker, round_index=round_index)
    return _row_from_bytes(worker, round_index, epoch, rest)


def _row_to_bytes(row: WorkerRound) -> bytes:
    account = row.account
    numbers = array("d")
    for by_path in (account.seconds, account.num_bytes, account.num_copied):
        _extend(numbers, {PATH_NUMBERS[path]: value for path, value in by_path.items()})
    _extend(numbers, account.waited_for)
    errors = (row.valid.total, row.valid.count, row.test.total, row.test.count)
    received = int(row.aggregate_received)
    return ROUND.pack(row.train_loss, received, *errors) + numbers.tobytes() + account.slices


def _extend(numbers: "array[float]", table: Mapping[int, float]) -> None:
    numbers.append(len(table))
    for key, value in table.items():
        numbers.extend((key, value))


def _row_from_bytes(worker: int, round_index: int, best_epoch: int, content: bytes) -> WorkerRound:
    train_loss, received, *errors = ROUND.unpack_from(content)
    numbers = iter(array("d", content[ROUND.size :]))
    tables = (
        {int(next(numbers)): next(numbers) for _ in range(int(next(numbers)))} for _ in range(4)
    )
    seconds, num_bytes, num_copied, waited_for = tables
    return WorkerRound(
        worker=worker,
        round_index=round_index,
        train_loss=train_loss,
        valid=SquaredError(*errors[:2]),
        test=SquaredError(*errors[2:]),
        best_epoch=best_epoch,
        aggregate_received=bool(received),
        account=Account(
            seconds={PATHS[number]: value for number, value in seconds.items()},
            num_bytes={PATHS[number]: int(value) for number, value in num_bytes.items()},
            num_copied={PATHS[number]: int(value) for number, value in num_copied.items()},
            waited_for=waited_for,
            slices=array("d", numbers).tobytes(),
        ),
    )
