"""The messages of every round as bytes: plain values that `marshal` packs, no pickle.

EpochDone      ("epoch", round_index, epoch)
Published      ("published", round_index)
WorkerRound    ("row", round_index, train loss, valid, test, best epoch, received, account)

`marshal` fits, since both ends run the same Python. It reads nothing but plain values, and takes a
third of the time of packing them by hand.
"""

import marshal
from typing import Any

from ddp.timing.account import Account
from ddp.tracking.messages import EpochDone, Message, Published, WorkerRound
from ddp.tracking.metrics import SquaredError

# The first byte of every pickle: Asking, Started, Finished and Failed are pickled, once a run.
PICKLED = b"\x80"


def encode(message: Message) -> bytes | None:
    """The bytes of a message; None for a kind that is sent once a run."""
    match message:
        case EpochDone(round_index=round_index, epoch=epoch):
            return marshal.dumps(("epoch", round_index, epoch))
        case Published(round_index=round_index):
            return marshal.dumps(("published", round_index))
        case WorkerRound():
            return marshal.dumps(("row", *_row_values(message)))
        case _:
            return None


def decode(worker: int, content: bytes) -> Message:
    """The message of a worker. Raises ValueError, TypeError or EOFError for anything else."""
    match marshal.loads(content):
        case ("epoch", int(round_index), int(epoch)):
            return EpochDone(worker=worker, round_index=round_index, epoch=epoch)
        case ("published", int(round_index)):
            return Published(worker=worker, round_index=round_index)
        case (
            "row",
            int(round_index),
            float(train_loss),
            (float(), int()) as valid,
            (float(), int()) as test,
            int(best_epoch),
            bool(received),
            (dict(seconds), dict(num_bytes), dict(num_copied), dict(waited_for), bytes(slices)),
        ):
            return WorkerRound(
                worker=worker,
                round_index=round_index,
                train_loss=train_loss,
                valid=SquaredError(*valid),
                test=SquaredError(*test),
                best_epoch=best_epoch,
                aggregate_received=received,
                account=Account(
                    seconds=seconds,
                    num_bytes=num_bytes,
                    num_copied=num_copied,
                    waited_for=waited_for,
                    slices=slices,
                ),
            )
        case other:
            raise ValueError(f"no message: {str(other)[:80]}")


def _row_values(row: WorkerRound) -> tuple[Any, ...]:
    """The values of a row, in the order of `decode`.

    float() and int(): `marshal` would write numpy's numbers as bytes.
    """
    account = row.account
    return (
        row.round_index,
        float(row.train_loss),
        (float(row.valid.total), int(row.valid.count)),
        (float(row.test.total), int(row.test.count)),
        row.best_epoch,
        bool(row.aggregate_received),
        (
            account.seconds,
            account.num_bytes,
            account.num_copied,
            account.waited_for,
            account.slices,
        ),
    )
