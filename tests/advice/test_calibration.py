"""The constants: measured for real, once; kept, and read again only on the same machine."""

import copy
import dataclasses
import json
import re
import sys

import numpy as np
import pytest
from machines import constants, write_calibration

from ddp.advice.measuring import calibration
from ddp.advice.measuring.calibration import calibrate, read
from ddp.advice.measuring.exchange_costs import exchange_configs, exchange_constants, line
from ddp.advice.measuring.pilot import TRAINERS, Pilot, run_pilot
from ddp.advice.measuring.start_costs import start_configs, start_constants
from ddp.advice.measuring.trainer_costs import TrainerCosts, fit
from ddp.errors import BackendError
from ddp.machine.load import busy_share


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Constants of this machine, really measured; their file; and the messages meanwhile."""
    file = tmp_path_factory.mktemp("cache") / "deeper" / "calibration.json"
    told = []
    return calibrate(TRAINERS["fused"], tell=told.append, file=file), file, told


@pytest.mark.slow
def test_all_constants_are_measured_and_those_that_cannot_be_nothing_are_not(measured):
    made, _, told = measured
    assert any("measuring this machine" in text for text in told)
    positive = (
        made.training.rating_s,
        made.training.element_s,
        made.training.spawn_s,
        made.training.fork_s,
        made.training.exit_s,
    )
    assert all(value > 0 for value in positive)
    assert made.training.spawn_s > made.training.fork_s  # a new interpreter, and a copy of one
    for exchange in (made.exchanges.thread, made.exchanges.shm, made.exchanges.process):
        assert exchange.float_s > 0
    # three times through sockets
    assert made.exchanges.process.float_s > made.exchanges.shm.float_s


@pytest.mark.slow
def test_they_are_read_again_without_measuring(measured):
    made, file, _ = measured
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"busy": dict.fromkeys(known["busy"], 0.0)}))
    told = []
    assert calibrate(TRAINERS["fused"], tell=told.append, file=file) == made
    assert told == []
    assert read(file)["training"].keys() == {"fused"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda known: known["machine"].update(host="another"),
        lambda known: known["machine"].update(cores=known["machine"]["cores"] + 1),
        lambda known: known["machine"]["versions"].update(torch="0.1"),
        lambda known: known.update(format=known["format"] + 1),
        lambda known: known["training"]["fused"].update(rating_s=-1.0),
        lambda known: known["training"]["fused"].update(rating_s=float("nan")),
        lambda known: known["training"]["fused"].update(rating_s=float("inf")),
        lambda known: known["training"]["fused"].update(rating_s="1"),
        lambda known: known["training"]["fused"].update(more=1.0),
        lambda known: known["training"]["fused"].pop("rating_s"),
        lambda known: known["exchanges"]["shm"].pop("float_s"),
        lambda known: known["exchanges"].pop("jitter"),
        lambda known: known["exchanges"].pop("serial"),
        lambda known: known.pop("exchanges"),
        lambda known: known.update(training=None),
        lambda known: known["machine"].update(quota=1.5),
        lambda known: known.pop("busy"),
        lambda known: known["busy"].pop("fused"),
        lambda known: known["busy"].update(exchanges=float("nan")),
        lambda known: known["busy"].update(adam=1.5),
        lambda known: known["busy"].update(fused="0"),
    ],
)
def test_another_machines_or_a_damaged_file_holds_nothing(tmp_path, damage):
    file = tmp_path / "calibration.json"
    write_calibration(file)
    assert read(file)["training"]
    known = json.loads(file.read_text())
    damage(known)
    file.write_text(json.dumps(known))
    assert read(file) == {
        "format": calibration.FORMAT,
        "machine": calibration.machine(),
        "training": {},
        "busy": {},
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_nor_does_what_is_none(tmp_path, content):
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    assert read(file)["training"] == {}


@pytest.mark.parametrize("name", ["adam", "fused", "gibbs", "als"])
def test_what_is_there_is_used_and_no_process_measures(monkeypatch, tmp_path, name):
    file = tmp_path / "calibration.json"
    write_calibration(file)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    told = []
    made = calibrate(TRAINERS[name], tell=told.append, file=file)
    assert dataclasses.replace(made, cores=2) == constants(name)
    assert told == []


QUIET, BUSY = {"exchanges": 0.0, "fused": 0.02}, {"exchanges": 0.0, "fused": 0.4}


@pytest.mark.parametrize(
    ("marks", "share", "parts", "told"),
    [
        ({}, 0.0, ["exchanges", "fused"], [r"measuring this machine, once: exchanges and fused, "]),
        ({"exchanges": 0.1}, 0.3, ["fused"], ["once: fused, ", r"programs use 30% .* will be wro"]),
        (QUIET, 0.9, [], []),
        (BUSY, 0.0, ["fused"], [r"again, because other programs used 40% of it before: fused, "]),
        (BUSY, 0.3, ["fused"], ["again, ", "programs use 30% of this machine, so the constants"]),
        (BUSY, 0.4, [], [r"used 40% of this machine when .* are wrong; they use no less now"]),
        ({"exchanges": 0.5}, 0.6, ["fused"], ["are wrong; they use no less", "once", "will be wr"]),
        (
            BUSY | {"exchanges": 0.2},
            0.3,
            ["fused"],
            ["20%.*no less", "again.*40%", "use 30%"],
        ),
        (BUSY | {"exchanges": 0.2}, 0.1, ["exchanges", "fused"], ["again.*40%"]),
    ],
)
def test_a_part_that_was_measured_under_load_is_measured_again(
    monkeypatch, marks, share, parts, told
):
    """Unless the load is no lower."""
    monkeypatch.setattr(calibration, "busy_share", lambda: share)
    lines = []
    assert calibration._to_measure(dict(marks), ("exchanges", "fused"), lines.append) == parts
    assert len(lines) == len(told)
    assert all(re.search(pattern, line) for pattern, line in zip(told, lines, strict=True))


@pytest.mark.slow
def test_the_mark_of_a_load_goes_when_the_load_has_gone(tmp_path):
    file, told = tmp_path / "calibration.json", []
    write_calibration(file, fused=1.0, adam=0.9)
    made = calibrate(TRAINERS["fused"], tell=told.append, file=file)
    assert "again, because other programs used 100% of it before: fused, " in told[0]
    assert dataclasses.replace(made, cores=2) != constants("fused")
    busy = read(file)["busy"]
    assert busy.pop("fused") < 1.0
    assert busy == {"exchanges": 0.0, "adam": 0.9, "gibbs": 0.0, "als": 0.0}


def test_the_file_lies_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration.calibration_file().parent.parent == tmp_path


def test_a_share_is_a_share():
    assert 0 <= busy_share(0.02) <= 1


# --- how constants come from measurements ---


def test_a_fit_finds_the_factors_that_there_are():
    terms = [(1.0, size, size * dim) for size, dim in ((10, 8), (1000, 8), (1000, 64), (50, 256))]
    factors = [1e-5, 3e-9, 2e-10]
    assert fit(terms, [float(np.dot(term, factors)) for term in terms]) == pytest.approx(factors)


def test_no_factor_of_a_fit_is_below_nothing():
    assert fit([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], [3.0, 2.0, 1.0])[1] == 0.0


def test_a_line_through_two_pairs_of_points():
    assert line([10, 10, 110, 110], [1.0, 3.0, 11.0, 13.0]) == pytest.approx((1.0, 0.1))
    assert line([10, 110], [3.0, 2.0]) == (3.0, 0.0)


def slower(pilot):
    """The same run while the machine is four times as slow (a power of two rounds no digit)."""
    history = copy.deepcopy(pilot.run.history)
    run = dataclasses.replace(pilot.run, history=history, seconds=dict(pilot.run.seconds))
    accounts = [row.account for row in (*history.worker_rounds, *history.aggregate_rounds)]
    for seconds in (
        run.seconds,
        history.startup_s,
        *(a.seconds for a in (*accounts, *history.started_with.values())),
    ):
        seconds.update({key: 4 * value for key, value in seconds.items()})
    return Pilot(run, 4 * pilot.main_s)


@pytest.mark.slow
@pytest.mark.usefixtures("server_of_programs")
def test_a_slow_moment_is_no_constant():
    """The slow moment may be in any sitting, and in any run of it."""
    starting = {"forked": start_configs(TRAINERS["fused"])["forked"]}
    quiet = {name: [run_pilot(config)] for name, config in (starting | exchange_configs()).items()}
    quiet["spawned"] = quiet["forked"]  # takes no seconds here, and has the same of everything
    disturbed = {
        name: [slower(pilot), pilot] if n % 2 else [pilot, slower(pilot)]
        for n, (name, [pilot]) in enumerate(quiet.items())
    }
    assert exchange_constants(disturbed) == exchange_constants(quiet)
    firsts = {"forked": quiet["forked"][0], "in threads": quiet["forked"][0]}
    assert start_constants(firsts, disturbed) == start_constants(firsts, quiet)
    assert all(
        value > 0
        for value in (
            start_constants(firsts, quiet)["fork_s"],
            exchange_constants(quiet)["shm"]["float_s"],
        )
    )


def test_nor_is_a_slow_sample():
    costs = TrainerCosts(TRAINERS["fused"], cores=2)
    costs.sample()
    quiet = costs.constants()
    for seconds in costs.seconds.values():
        seconds[:] = [4 * seconds[0], seconds[0], 2 * seconds[0], 8 * seconds[0]]
    assert costs.constants() == quiet


def test_a_pilot_that_fails_is_one_message(monkeypatch, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('a broken numpy')")
    # which the pilot's process searches as well; here numpy is imported already
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        BackendError,
        match=r"(?s)^this machine could not be measured: .*ended with 1:\n.*a broken numpy",
    ):
        calibrate(TRAINERS["adam"], tell=lambda _: None, file=tmp_path / "calibration.json")
