"""`python train.py advise=true`: its output is consistent, and it leaves nothing behind."""

import re
from dataclasses import replace

import pytest
from composing import composed
from jobs import DATA, USUAL
from machines import constants, write_calibration
from programs import TRAIN, own_environment
from rich.console import Console

from ddp.advice.advise import advise, backends, other_workers, with_workers
from ddp.advice.crossover import Crossovers, Stretch, along, find_crossovers, in_words
from ddp.advice.measuring.calibration import num_cores
from ddp.advice.prediction import Prediction
from ddp.advice.wording import advice, seconds, why
from ddp.config.simulate import Simulate
from ddp.errors import ConfigError
from ddp.launch.composed import load_simulate

SMALL = (*DATA, "model=tiny")


@pytest.fixture
def ask(programs, tmp_path):
    """`ask(*arguments)`: runs the command in a new directory, on a machine with known constants."""
    write_calibration(tmp_path / "cache" / "ddp" / "calibration.json")
    (tmp_path / "here").mkdir()

    environment = own_environment(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"), COLUMNS="200")

    def run(*arguments):
        return programs.run(
            TRAIN, "advise=true", *arguments, cwd=tmp_path / "here", environment=environment
        )

    yield run
    assert list((tmp_path / "here").iterdir()) == []


def rows(printed):
    """The table as (workers, backend) -> wall."""
    found = re.findall(r"^ *(\d+) +(serial|thread|process|shm) +([\d.]+)", printed, re.MULTILINE)
    return {(int(workers), backend): float(wall) for workers, backend, wall in found}


# --- the command ---


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
def test_it_names_the_fastest_says_why_and_up_to_where(ask, trainer):
    done = ask(*SMALL, f"trainer={trainer}", "workers=3")
    assert (done.returncode, done.stderr) == (0, "")
    table = rows(done.stdout)
    numbers = {1, 2, 3, *(1 << n for n in range(10) if 1 << n <= num_cores()), num_cores()}
    assert table.keys() == {(workers, backend) for workers in numbers for backend in USUAL}
    named = re.search(r"with workers=3 the fastest is backend=(\w+), ", done.stdout)[1]
    assert table[3, named] == min(wall for (workers, _), wall in table.items() if workers == 3)
    reasons = re.findall(
        r"^  (\w+) takes [\d.]+ m?s: .*(?:more|different)", done.stdout, re.MULTILINE
    )
    assert sorted([named, *reasons]) == sorted(USUAL)
    for asked in ("model.dim: .*8", "local_epochs: .*10", "trainer.batch_size: .*1,024")[
        : 3 if trainer == "autograd" else 2
    ]:
        # of all, and of the two backends of the seed systems
        assert len(re.findall(rf"{asked}\)", done.stdout)) == 2
    assert ("trainer.batch_size: " in done.stdout) == (trainer == "autograd")
    assert (
        re.search(r"the faster of thread and process(.*\n)*", done.stdout)[0].count("serial") == 0
    )
    assert "simulated" not in done.stdout


def test_another_machine_is_called_simulated(ask):
    other = ("simulate.cores=16", "simulate.straggler=2", "simulate.bandwidth=10")
    done = ask(*SMALL, "workers=16", "split=iid", "select_on=last", "aggregation=uniform", *other)
    assert (done.returncode, done.stderr) == (0, "")
    assert {workers for workers, _ in rows(done.stdout)} == {1, 2, 4, 8, 16}
    assert "simulated, 16 cores, 10 GB/s, a straggler of 2" in done.stdout
    assert "simulated: every number above" in done.stdout


def test_the_options_of_a_job_count(ask):
    short, long = (
        rows(ask(*SMALL, "workers=2", f"local_epochs={epochs}").stdout) for epochs in (10, 10_000)
    )
    assert all(long[key] > short[key] for key in short)


def test_a_number_of_workers_that_cannot_be_is_left_out(ask):
    few = (
        "data.num_users=30",
        "data.num_ratings=500",
        "split=user",
        "select_on=last",
        "aggregation=uniform",
    )
    done = ask(*SMALL, "workers=2", "simulate.cores=64", *few)
    assert done.returncode == 0, done.stderr
    assert {workers for workers, _ in rows(done.stdout)} == {1, 2, 4, 8, 16}


@pytest.mark.parametrize("group", ["backend", "trainer"])
def test_costs_that_nobody_has_modelled_are_not_predicted(make_config, group):
    config = make_config()
    config = replace(config, **{group: replace(getattr(config, group), name="another")})
    with pytest.raises(ConfigError, match=rf"^{group}=another: advise=true knows the costs of "):
        advise(config, Simulate(cores=None, bandwidth=None, straggler=1.0), Console())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("workers=0",), "workers=0: must be a whole number of at least 1"),
        (("workers=5000",), "workers=5000: with split=stratified advise=true goes up to 128"),
        (("workers=5000", "split=iid"), "workers=5000: "),
        (("workers=64", "split=iid"), "training ratings but none in its valid part"),
        (("simulate.cores=0",), "simulate.cores=0: must be a whole number of at least 1"),
        (("simulate.cores=many",), "simulate.cores=many: expected int | None"),
        (
            ("simulate.straggler=0.5",),
            "simulate.straggler=0.5: must be a finite number of at least 1",
        ),
        (("simulate.bandwidth=0",), "simulate.bandwidth=0: must be a finite number above 0"),
        (
            ("simulate.core=2",),
            "simulate.core: there is no such setting; did you mean simulate.cores",
        ),
        (("simulate=null",), "simulate=null: set simulate.cores"),
        (("advise=perhaps",), "advise=perhaps: expected true or false"),
        (("-m", "workers=1,2"), "advise=true: advises on one configuration"),
        (("sweep=workers",), "advise=true: advises on one configuration"),
    ],
)
def test_a_mistake_is_one_message(ask, arguments, message):
    done = ask(*SMALL, *arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_another_machine_is_for_advice_only():
    assert load_simulate(composed()) is None
    assert load_simulate(composed("advise=true", "simulate.cores=4")) == Simulate(
        cores=4, bandwidth=None, straggler=1.0
    )
    with pytest.raises(ConfigError, match="nothing is simulated without advise=true"):
        load_simulate(composed("simulate.cores=4"))


# --- its sentences ---


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
    # a tenth of a second less is no matter
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
        # a memory per block
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


# --- what is compared ---


def test_the_configs_own_backend_stays_as_it_is(make_config):
    config = make_config(
        "backend=process", "backend.start_method=forkserver", "backend.poll_interval_s=0.1"
    )
    found = {backend.name: backend for backend in backends(config)}
    assert found["process"] == config.backend
    assert found["thread"].poll_interval_s == 0.1  # and so the other that can poll does
    assert [backend.name for backend in backends(config)] == list(USUAL)
    usual = {name: make_config(f"backend={name}").backend for name in USUAL}
    assert {backend.name: backend for backend in backends(make_config())} == usual


def test_numbers_of_workers_are_powers_of_two_and_all_cores(make_config):
    assert other_workers(make_config("workers=5"), 2) == [1, 2, 4]
    assert other_workers(make_config("workers=2"), 6) == [1, 4, 6]
    assert (
        with_workers(make_config("workers=4", "min_workers=3", "on_failure=drop"), 2).min_workers
        == 2
    )


# --- crossovers ---


def test_a_crossover_is_found_to_three_per_cent():
    stretches = along(1, 10_000, lambda value: "a" if value < 357 else "b")
    assert [stretch.fastest for stretch in stretches] == ["a", "b"]
    assert stretches[0].first == 1
    assert stretches[1].last == 10_000
    assert stretches[1].first == stretches[0].last + 1
    assert 357 <= stretches[1].first <= 357 * 1.03


def test_there_may_be_none_and_there_may_be_two():
    assert along(1, 100, lambda value: "a") == [Stretch(fastest="a", first=1, last=100)]
    names = [
        stretch.fastest
        for stretch in along(1, 10_000, lambda value: "a" if value < 10 or value > 1000 else "b")
    ]
    assert names == ["a", "b", "a"]


def test_there_may_be_a_third_one_between_two_points():
    # looked at: 1000, 3162
    stretches = along(
        1, 10_000, lambda value: "a" if value < 1000 else "b" if value < 1400 else "c"
    )
    assert [stretch.fastest for stretch in stretches] == ["a", "b", "c"]
    assert stretches[1].first == pytest.approx(1000, rel=0.03)
    assert stretches[2].first == pytest.approx(1400, rel=0.03)


def test_what_is_asked_lies_in_the_range(make_config):
    asked = make_config(
        "trainer=autograd", "trainer.batch_size=100000", "model.dim=2000", "local_epochs=20000"
    )
    for crossover in find_crossovers(asked, lambda _: "a"):
        assert crossover.stretches[0].first <= crossover.asked <= crossover.stretches[-1].last


def test_a_batch_has_a_crossover_only_where_there_are_batches(make_config):
    keys = [
        [c.key for c in find_crossovers(make_config(f"trainer={name}"), lambda _: "a")]
        for name in ("fused", "autograd")
    ]
    assert keys == [
        ["model.dim", "local_epochs"],
        ["trainer.batch_size", "model.dim", "local_epochs"],
    ]


def test_crossovers_follow_what_is_varied(make_config):
    config = make_config("trainer=autograd")
    found = find_crossovers(
        config,
        lambda varied: "thread" if varied.local_epochs > 50 and varied.model.dim < 100 else "shm",
    )
    by_key = {
        crossover.key: [stretch.fastest for stretch in crossover.stretches] for crossover in found
    }
    assert by_key == {
        "trainer.batch_size": ["shm"],
        "model.dim": ["shm"],
        "local_epochs": ["shm", "thread"],
    }


def test_in_words():
    two = [
        Stretch(fastest="thread", first=1, last=19),
        Stretch(fastest="shm", first=20, last=10_000),
    ]
    one = [Stretch(fastest="thread", first=1, last=10_000)]
    said = in_words(
        [Crossovers(key="x", asked=5, stretches=two), Crossovers(key="y", asked=5, stretches=one)]
    )
    assert said == [
        "x: thread up to 19, shm from 20 on (asked: 5)",
        "y: thread anywhere from 1 to 10,000 (asked: 5)",
    ]


def test_start_up_decides_short_jobs_and_work_decides_long_ones(make_config):
    from ddp.advice.prediction import predict
    from ddp.advice.sizes import sizes_of
    from ddp.ratings.load import load_ratings

    config = make_config("trainer=autograd", "workers=2", "trainer.batch_size=64")
    sizes = sizes_of(config, load_ratings(config.data, config.seed))

    def fastest(varied):
        return min(
            (
                predict(make_config(*varied, f"backend={name}"), sizes, constants("adam"))
                for name in ("thread", "process")
            ),
            key=lambda prediction: prediction.wall_s,
        ).backend

    assert (
        fastest(("trainer=autograd", "workers=2", "trainer.batch_size=64", "local_epochs=1"))
        == "thread"
    )
    assert (
        fastest(("trainer=autograd", "workers=2", "trainer.batch_size=64", "local_epochs=1000"))
        == "process"
    )
