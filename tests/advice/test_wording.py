"""The sentences of advice."""

import pytest

from ddp.advice.prediction import Prediction
from ddp.advice.wording import advice, seconds, why


def predicted(backend, workers=2, **kinds):
    return Prediction(
        backend=backend,
        workers=workers,
        seconds={kind.replace("_", " "): s for kind, s in kinds.items()},
    )


def test_why_names_the_largest_differences():
    threads = predicted("thread", GIL_wait=3.1, compute=5.0)
    processes = predicted("process", **{"start-up": 9.8, "compute": 5.0, "exchange": 0.1})
    assert why(threads, processes) == "9.80 s more start-up outweigh 3.10 s less GIL wait"
    mixed = predicted(
        "process", **{"exchange": 1.0, "start-up": 0.5, "run queue": 4.0, "compute": 5.0}
    )
    assert (
        why(threads, mixed)
        == "4.00 s more run queue and 1.00 s more exchange outweigh 3.10 s less GIL wait"
    )
    faster, slower = (
        predicted("shm", compute=2.5),
        predicted("process", **{"start-up": 1.0, "exchange": 0.9, "run queue": 0.7}),
    )
    assert (
        why(faster, slower)
        == "1.00 s more start-up and 0.90 s more exchange and 0.70 s more run queue outweigh 2.50"
        " s less compute"
    )
    slow = predicted("process", **{"start-up": 9.8})
    # a difference of a tenth of a second is left out
    assert why(predicted("shm", exchange=0.1), slow) == "9.80 s more start-up"
    assert why(threads, threads) == "hardly anything is different"
    assert (
        why(predicted("shm", compute=1.0), predicted("serial", compute=2.0))
        == "1.00 s more compute"
    )


def test_advice_compares_with_every_other_backend_and_number_of_workers(make_config):
    config, slow = (
        make_config("split=iid"),
        [predicted("shm", compute=2.0), predicted("serial", compute=4.0)],
    )
    lines = advice(config, slow, {2: slow, 4: [predicted("thread", workers=4, compute=1.0)]})
    assert lines[0] == "with workers=2 the fastest is backend=shm, 2.00 s"
    assert lines[1] == "  serial takes 4.00 s: 2.00 s more compute"
    assert lines[2].startswith(
        "with any number of workers it is backend=thread with workers=4, 1.00 s ("
    )
    assert lines[3] == "  shm with workers=2: 1.00 s more compute"
    assert len(advice(config, slow, {2: slow})) == 2


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        (("split=stratified", "trainer=fused"), ""),
        (("trainer=gibbs",), ""),
        # each block has an optimizer state of its own
        (
            ("split=stratified", "trainer=autograd"),
            " (another number of workers trains another model)",
        ),
        (("split=iid", "trainer=fused"), " (another number of workers trains another model)"),
        (
            ("split=user", "trainer=fused", "aggregation=ensemble"),
            " (another number of workers trains another model)",
        ),
        (
            ("split=copies", "trainer=fused", "aggregation=ensemble"),
            " (with split=copies another number of workers does another amount of work, for"
            " another model)",
        ),
    ],
)
def test_it_says_what_another_number_of_workers_changes_and_only_where_it_does(
    make_config, job, changes
):
    asked, other = predicted("shm", compute=2.0), predicted("shm", workers=4, compute=1.0)
    lines = advice(make_config(*job), [asked], {2: [asked], 4: [other]})
    assert (
        lines[1] == f"with any number of workers it is backend=shm with workers=4, 1.00 s{changes}"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.34, "12.3 s"),
        (1.234, "1.23 s"),
        (0.0996, "0.10 s"),
        (0.0994, "99 ms"),
        (0.0123, "12 ms"),
        (0.00123, "1.2 ms"),
    ],
)
def test_seconds_have_digits_that_mean_something(value, text):
    assert seconds(value) == text
