"""The one table of kinds, and the names that come from it: users' files have them."""

import pytest

from ddp.results.rounds_csv import ROUND_COLUMNS
from ddp.results.summary import columns_of
from ddp.results.table import WORKER_MEANS
from ddp.timing.account import Account
from ddp.timing.kinds import BUSY, COUNTS_AS, KINDS, TABLE_COLUMNS, in_columns, summary, unit_of
from ddp.timing.paths import OUTSIDE_PHASES, PATHS, ROUND_PHASES, kind_of


def test_every_path_counts_as_a_kind():
    assert {kind_of(path) for path in PATHS} == set(KINDS)
    assert len(set(PATHS)) == len(PATHS)


def test_a_span_inside_another_counts_by_its_own_name():
    assert kind_of("publish") == "transfer"
    assert kind_of("publish/lock_wait") == "lock_wait"
    assert kind_of("publish/wait") == "wait"
    assert kind_of("start/kernel") == kind_of("start") == "startup"
    assert kind_of("start/data") == "data"


def test_what_is_said_of_spans_is_said_of_spans_that_there_are():
    spans = {*ROUND_PHASES, *OUTSIDE_PHASES, *KINDS, "interpreter", "kernel"}
    assert set(COUNTS_AS) | BUSY <= spans
    assert not set(COUNTS_AS) & set(KINDS)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_no_two_kinds_have_the_same_colour_or_meaning(mode):
    assert len({getattr(kind, mode) for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.meaning for kind in KINDS.values()}) == len(KINDS)


def test_rounds_csv_keeps_its_columns_in_order():
    """A new kind may add a name; no name goes or changes."""
    columns = [
        *("round", "who", "train_loss", "valid_rmse", "test_rmse", "best_epoch"),
        *("aggregate_received", "elapsed_s", "compute_s", "evaluate_s", "publish_s", "wait_s"),
        *("receive_s", "tell_s", "other_s", "gather_s", "average_s", "broadcast_s", "record_s"),
        *("lock_wait_s", "lock_hold_s", "serialise_s", "transfer_s", "deserialise_s", "copy_s"),
        *("gil_wait_s", "run_queue_s", "off_cpu_s", "wall_s", "pickled_bytes", "copied_bytes"),
    ]
    assert [name for name in ROUND_COLUMNS if name in columns] == columns


def test_the_table_over_runs_keeps_its_columns_in_order():
    columns = [
        "startup_s",
        "compute_s",
        "gil_wait_s",
        "wait_s",
        "lock_wait_ms",
        "pickle_ms",
        "transfer_ms",
    ]
    assert [name for name in WORKER_MEANS if name in columns] == columns
    assert tuple(WORKER_MEANS) == TABLE_COLUMNS


def test_the_table_and_the_summary_tell_the_same_seconds():
    """Compute is what ran on a core, in both."""
    path_seconds = {"compute": 1.0, "compute/gil_wait": 0.5, "wait": 2.0, "evaluate/gil_wait": 0.25}
    pickling = {"publish/serialise": 0.125, "receive/deserialise": 0.0625, "publish": 4.0}
    seconds = Account(seconds=path_seconds | pickling).by_kind()
    assert in_columns(seconds) == {
        "startup_s": 0.0,
        "compute_s": 1.0,
        "gil_wait_s": 0.75,
        "wait_s": 2.0,
        "lock_wait_s": 0.0,
        "pickle_s": 0.1875,
        "transfer_s": 4.0,
    }
    assert summary({kind: seconds[kind] for kind in ("compute", "gil_wait")}) == (
        "compute 57%  gil wait 43%"
    )


def test_a_column_ends_with_its_unit():
    assert unit_of("lock_wait_ms") == ("lock_wait_s", "ms", 1e3)
    assert unit_of("wait_s") == ("wait_s", "s", 1.0)


@pytest.mark.parametrize("account", [True, False])
@pytest.mark.parametrize(
    ("backend", "own"),
    [
        ("serial", {}),
        ("thread", {"lock wait\nms": ("lock_wait_s", 2, 1e3)}),
        (
            "process",
            {"pickle\nms": ("pickle_s", 2, 1e3), "transfer\nms": ("transfer_s", 2, 1e3)},
        ),
        ("shm", {}),
    ],
)
def test_the_final_table_has_the_columns_of_its_backend(make_config, backend, own, account):
    measured = account and backend == "thread"
    common = {
        "RMSE\nvalid": ("valid_rmse", 4, 1.0),
        "RMSE\ntest": ("test_rmse", 4, 1.0),
        "start\ns": ("startup_s", 2, 1.0),
        "compute\ns": ("compute_s", 2, 1.0),
        **({"gil wait\ns": ("gil_wait_s", 2, 1.0)} if measured else {}),
        "wait\ns": ("wait_s", 2, 1.0),
        "publish\nms": ("publish_s", 2, 1e3),
        "receive\nms": ("receive_s", 2, 1e3),
    }
    config = make_config(f"backend={backend}", f"account={account}")
    assert list(columns_of(config).items()) == list((common | own).items())


def test_every_path_has_a_kind():
    assert {kind_of(path) for path in PATHS} <= set(KINDS)
    seconds = {"compute": 1.0, "compute/gil_wait": 0.5, "receive/gil_wait": 0.25}
    account = Account(seconds=seconds | {"start/kernel": 2.0})
    assert account.by_kind() == {"startup": 2.0, "compute": 1.0, "gil_wait": 0.75}


def test_the_summary_names_what_matters():
    assert (
        summary({"compute": 6.0, "gil_wait": 3.0, "log": 0.001, "wait": 1.0})
        == "compute 60%  gil wait 30%  wait 10%"
    )
    assert summary({}) == ""
