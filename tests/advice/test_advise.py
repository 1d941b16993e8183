"""`python train.py advise=true`: its output is consistent, and it leaves nothing behind."""

import re
from dataclasses import replace

import pytest
from composing import composed
from jobs import DATA, USUAL
from machines import write_calibration
from programs import TRAIN, own_environment
from rich.console import Console

from ddp.advice.advise import advise, backends, other_workers, with_workers
from ddp.advice.measuring.calibration import num_cores
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


@pytest.mark.parametrize("trainer", ["fused", "autograd"])
def test_it_names_the_fastest_says_why_and_up_to_where(ask, trainer):
    done = ask(*SMALL, f"trainer={trainer}", "workers=3", "simulate.crossovers=true")
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
        # once among all backends, once between the two of the seed systems
        assert len(re.findall(rf"{asked}\)", done.stdout)) == 2
    assert ("trainer.batch_size: " in done.stdout) == (trainer == "autograd")
    assert (
        re.search(r"the faster of thread and process(.*\n)*", done.stdout)[0].count("serial") == 0
    )
    assert "simulated" not in done.stdout


def test_it_searches_crossovers_only_when_asked(ask):
    assert "all else as asked" not in ask(*SMALL, "workers=3").stdout


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


def test_a_run_that_may_end_early_is_predicted_up_to_there(ask):
    long = (*SMALL, "workers=2", "rounds=50", "patience=3")
    whole, ended = (ask(*long, f"max_seconds={most}").stdout for most in (1e6, 1e-6))
    once = rows(ask(*SMALL, "workers=2", "rounds=1").stdout)
    for key, wall in rows(ended).items():
        assert wall < rows(whole)[key]
        if key[1] in ("serial", "thread"):  # the others wait for a server, which this command timed
            assert wall == once[key]
    assert "patience=3, which may end a run before the end of its 50 rounds" in whole
    assert "with the round in which max_seconds=1e-06 have passed" in ended


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
        advise(
            config, Simulate(cores=None, bandwidth=None, straggler=1.0, crossovers=False), Console()
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("workers=0",), "workers=0: must be a whole number of at least 1"),
        (("workers=5000",), "workers=5000: with split=stratified advise=true goes up to 128"),
        (("workers=5000", "aggregation=rows"), "workers=5000: "),
        (("workers=64", "aggregation=rows"), "training ratings but none in its valid part"),
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
        cores=4, bandwidth=None, straggler=1.0, crossovers=False
    )
    with pytest.raises(ConfigError, match="nothing is simulated without advise=true"):
        load_simulate(composed("simulate.cores=4"))


def test_the_configs_own_backend_stays_as_it_is(make_config):
    config = make_config(
        "backend=process", "backend.start_method=forkserver", "backend.poll_interval_s=0.1"
    )
    found = {backend.name: backend for backend in backends(config)}
    assert found["process"] == config.backend
    assert found["thread"].poll_interval_s == 0.1  # thread can poll as well, and takes the interval
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
