"""The tool that compares bits finds other bits, and refuses files that it cannot compare with."""

import json
from dataclasses import replace

import pytest

from ddp.config.options import OPTIONS
from tests.bits import configurations, runs, smoke
from tests.bits.__main__ import main
from tests.bits.configurations import JOBS

TINY = replace(JOBS["uniform"], spawned=False)
RUNS = ("serial", "thread")


@pytest.fixture
def file(monkeypatch, tmp_path):
    """A file of the bits of one tiny configuration on two backends."""
    monkeypatch.setattr(runs, "JOBS", {"tiny": TINY})
    monkeypatch.setattr(configurations, "QUICK", RUNS)
    written = tmp_path / "bits.json"
    assert main(["write", str(written)]) == 0
    return written


def change(file, edit):
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_the_same_code_gives_the_same_bits(file, capsys):
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"2 of 2 runs agree with {file}\n")


def test_another_digest_is_named_with_its_configuration_and_backend(file, capsys):
    capsys.readouterr()
    change(file, lambda content: content["bits"]["tiny"]["thread"].update(state="another"))
    assert main(["check", str(file)]) == 1
    out = capsys.readouterr().out
    assert "1 of 2 runs agree" in out
    assert out.endswith("tiny on thread: another state than in the file\n")
    assert main(["check", str(file), "--only", "on serial"]) == 0


def test_another_seed_has_other_bits(file, monkeypatch, capsys):
    monkeypatch.setattr(runs, "JOBS", {"tiny": replace(TINY, options=(*TINY.options, "seed=1"))})
    capsys.readouterr()
    assert main(["check", str(file)]) == 1
    told = [f"tiny on {backend}: another state and rows than in the file" for backend in RUNS]
    assert capsys.readouterr().out.splitlines()[1:] == told


def test_backends_that_differ_are_told_apart(file, monkeypatch, capsys):
    monkeypatch.setitem(runs.BACKENDS, "thread", ("backend=thread", "seed=1"))
    capsys.readouterr()
    assert main(["write", str(file)]) == 1
    assert "tiny on thread: another state and rows than on serial" in capsys.readouterr().out


def test_a_run_that_only_one_side_has_is_a_difference(file, capsys):
    capsys.readouterr()
    change(file, lambda content: content["bits"].update(old=content["bits"].pop("tiny")))
    assert main(["check", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "old on serial: in the file, but no run of this program" in lines
    assert "tiny on serial: not in the file" in lines


def test_a_file_of_another_processor_is_refused(file, capsys):
    change(file, lambda content: content["machine"].update(processor="an abacus"))
    assert main(["check", str(file)]) == 2
    assert "another machine: its processor is an abacus, here it is" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "[]", '{"format": "bits"}', "not JSON"])
def test_a_missing_or_foreign_file_is_refused(tmp_path, capsys, content):
    file = tmp_path / "bits.json"
    if content is not None:
        file.write_text(content)
    assert main(["check", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    "trainers", [["fused"], pytest.param(list(OPTIONS["trainer"]), marks=pytest.mark.slow)], ids=str
)
def test_smoke_compares_every_backend_with_serial(monkeypatch, capsys, trainers):
    real = runs.train

    def train(options, directory, **how):
        """A thread that computes another result, and a process that cannot start."""
        if "backend=process" in options:
            raise OSError("no process")
        real((*options, "seed=1") if "backend=thread" in options else options, directory, **how)

    monkeypatch.setattr(smoke, "train", train)
    monkeypatch.setattr(smoke, "SMOKE", {"averaged": smoke.SMOKE["averaged"]})
    monkeypatch.setitem(OPTIONS, "trainer", {name: OPTIONS["trainer"][name] for name in trainers})
    assert main(["smoke"]) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for name in trainers:
        run = f"{name} both" if OPTIONS["trainer"][name].sweeps else f"{name} averaged"
        assert any(f"{run} thread" in line and "OTHER BITS" in line for line in lines)
        assert f"{run} process FAILED with OSError: no process" in lines
        assert any(f"{run} shm" in line and "bits as on serial" in line for line in lines)
    number = 2 * len(trainers)
    assert lines[-1].startswith(f"{number} runs went wrong, on thread, process. Install anew")
