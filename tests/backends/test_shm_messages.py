"""The aggregator's side decodes what a worker has encoded, and refuses everything else."""

import math
from array import array

from hypothesis import given
from hypothesis import strategies as st

from ddp.backends.shm_messages import PICKLED, decode, encode
from ddp.machine.memory import Memory
from ddp.timing.account import Account
from ddp.timing.paths import PATHS
from ddp.tracking.messages import Asking, EpochDone, Finished, Published, Started, WorkerRound
from ddp.tracking.metrics import SquaredError

numbers = st.floats(allow_nan=False)
counts = st.integers(0, 2**50)
errors = st.builds(SquaredError, numbers, counts)
accounts = st.builds(
    Account,
    seconds=st.dictionaries(st.sampled_from(PATHS), numbers),
    num_bytes=st.dictionaries(st.sampled_from(PATHS), counts),
    num_copied=st.dictionaries(st.sampled_from(PATHS), counts),
    waited_for=st.dictionaries(st.integers(0, 200), numbers),
    slices=st.lists(numbers).map(lambda values: array("d", values).tobytes()),
)
rows = st.builds(
    WorkerRound,
    worker=st.just(3),
    round_index=counts,
    train_loss=numbers,
    valid=errors,
    test=errors,
    best_epoch=st.integers(-1, 1000),
    aggregate_received=st.booleans(),
    account=accounts,
)
others = st.one_of(
    st.builds(EpochDone, worker=st.just(3), round_index=counts, epoch=counts),
    st.builds(Published, worker=st.just(3), round_index=counts),
)


@given(rows | others)
def test_a_message_is_handed_over_whole(message):
    content = encode(message)
    assert decode(3, content) == message
    assert not content.startswith(PICKLED)


def test_an_error_over_no_ratings_stays_one():
    nothing = SquaredError(math.nan, 0)
    row = WorkerRound(
        worker=0,
        round_index=0,
        train_loss=math.nan,
        valid=nothing,
        test=nothing,
        best_epoch=-1,
        aggregate_received=True,
    )
    read = decode(0, encode(row))
    assert math.isnan(read.valid.total)
    assert read.valid.count == 0
    assert type(read.aggregate_received) is bool


def test_a_message_of_once_a_run_is_not_encoded():
    memory = Memory(peak_rss_bytes=None, pss_bytes=None)
    for message in (
        Asking(worker=0),
        Started(worker=0, startup_s=1.0),
        Finished(worker=0, memory=memory),
    ):
        assert encode(message) is None
