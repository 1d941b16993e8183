"""Sweeps: every job runs, returns its score to Hydra, and stands in the table."""

import itertools
import re
import shutil
from statistics import fmean, stdev

import pytest
from commands import SMALL, SPYING, contents, job_of, jobs_of, only_message, read_csv, read_json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from ddp.config.options import OPTIONS


@pytest.fixture(scope="module")
def grid(train, home):
    return train(
        home,
        "-m",
        *SMALL,
        "backend=thread,serial",
        "workers=1,2",
        "display=none",
        "hydra.sweep.dir=sweeps/grid",
        SPYING,
    )


def test_a_sweep_runs_every_combination(home, grid):
    assert (grid.returncode, grid.stderr) == (0, "")
    jobs = [read_json(job) for job in jobs_of(home / "sweeps" / "grid")]
    told = [(job["config"]["backend"]["name"], job["config"]["workers"]) for job in jobs]
    assert sorted(told) == sorted(itertools.product(["thread", "serial"], [1, 2]))
    assert {job["status"] for job in jobs} == {"ok"}
    by_setting = dict(zip(told, (job["rmse"]["test"] for job in jobs), strict=True))
    for workers in (1, 2):
        assert by_setting["thread", workers] == by_setting["serial", workers]
    assert by_setting["serial", 1] != by_setting["serial", 2]


def test_a_sweep_ends_with_a_table_and_writes_it(home, grid):
    table = read_csv(home / "sweeps" / "grid" / "sweep.csv")
    jobs = [read_json(job)["config"] for job in jobs_of(home / "sweeps" / "grid")]
    assert len(table) == 4
    assert [(row["status"], row["backend"], int(row["workers"])) for row in table] == [
        ("ok", job["backend"]["name"], job["workers"]) for job in jobs
    ]
    end = grid.stdout[grid.stdout.index("4 runs") :]
    assert re.findall(r" (\d)_\S*backend=", end) == ["0", "1", "2", "3"]
    for row in table:
        assert f"{float(row['test_rmse']):.4f}" in end
    assert "sweep.csv" in end


def test_every_job_of_a_sweep_returns_its_score(home, grid):
    for job in jobs_of(home / "sweeps" / "grid"):
        assert (job / "returned.txt").read_text() == repr(read_json(job)["rmse"]["valid"])


def test_the_score_is_the_test_rmse_only_with_select_on_test_and_the_sweep_says_so(train, home):
    quick = ("display=none", "~hydra.callbacks.summary")
    sweep = ("-m", *SMALL, "seed=0,1", *quick, "split.valid_fraction=0", SPYING)
    for select_on in ("test", "last"):
        directory = home / "sweeps" / select_on
        ended = train(home, *sweep, f"select_on={select_on}", f"hydra.sweep.dir={directory}")
        assert ended.returncode == 0, ended
        assert ended.stdout.count("select_on=test: the value of each job") == (select_on == "test")
        for job in jobs_of(directory):
            expected = repr(read_json(job)["rmse"]["test"]) if select_on == "test" else "nan"
            assert (job / "returned.txt").read_text() == expected


def test_a_sweep_into_the_directory_of_another_is_refused_and_leaves_it_alone(train, home, grid):
    directory = home / "sweeps" / "grid"
    before = contents(directory)
    message = only_message(
        train(
            home,
            "-m",
            *SMALL,
            "backend=thread,serial",
            "workers=1,2",
            "hydra.sweep.dir=sweeps/grid",
        )
    )
    assert "sweeps/grid" in message
    assert "hydra.sweep.dir" in message
    assert contents(directory) == before


@pytest.fixture(scope="module")
def failing(train, home):
    """A job that diverges, one that is refused, one that is well."""
    return train(
        home,
        "-m",
        *SMALL,
        "trainer.lr=1e30,0,0.02",
        "display=none",
        "hydra.sweep.dir=sweeps/failing",
        SPYING,
    )


def test_a_job_that_fails_does_not_stop_the_others_and_the_sweep_says_so(home, failing):
    assert failing.returncode == 1
    assert "Traceback" not in failing.stdout + failing.stderr
    assert failing.stderr.splitlines()[-1] == "error: 2 of 3 jobs did not succeed"
    assert "trainer.lr=0: " in failing.stderr
    assert re.search(
        r"worker \d in round 1 \(compute\): diverged in epoch 1 at learning rate 1e\+30",
        failing.stderr,
    )
    table = read_csv(home / "sweeps" / "failing" / "sweep.csv")
    assert [row["status"] for row in table] == ["failed", "no result", "ok"]
    assert table[0]["error"].startswith("WorkerError: worker ")
    assert "WorkerError" in failing.stdout
    assert "3 runs" in failing.stdout


def test_a_failed_job_returns_nan(home, failing):
    directory = home / "sweeps" / "failing"
    assert [(job_of(directory, job) / "returned.txt").read_text() for job in range(2)] == [
        "nan",
        "nan",
    ]
    assert float((job_of(directory, 2) / "returned.txt").read_text()) > 0


def test_a_sweep_in_which_only_settings_were_wrong_is_the_users_mistake(train, tmp_path):
    escape = "data.root='a\x1b[31m'"
    ended = train(tmp_path, "-m", "workers=0,two", escape, "hydra.sweep.dir=sweep")
    assert ended.returncode == 2
    assert r"#0 : workers=0 data.root='a\x1b[31m'" in ended.stdout
    assert r"\t" not in ended.stdout  # Hydra begins the line of a job with a tab
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "workers=0: " in ended.stderr
    assert "workers=two: " in ended.stderr
    assert [row["status"] for row in read_csv(tmp_path / "sweep" / "sweep.csv")] == [
        "no result"
    ] * 2


def test_an_interval_without_optuna_is_refused_by_name(train, tmp_path):
    message = only_message(train(tmp_path, "-m", *SMALL, "trainer.lr=interval(0.01,0.02)"))
    assert "hydra/sweeper=optuna" in message


@pytest.fixture(scope="module")
def backends(train, home):
    return train(
        home,
        "sweep=backends",
        *SMALL,
        "workers=1",
        "rounds=1",
        "local_epochs=1",
        "display=none",
        "~hydra.callbacks.summary",
        "hydra.sweep.dir=sweeps/b",
    )


def test_a_named_sweep_is_a_multirun(home, backends):
    assert (backends.returncode, backends.stderr) == (0, "")
    jobs = [read_json(job) for job in jobs_of(home / "sweeps" / "b")]
    assert {job["config"]["backend"]["name"] for job in jobs} == set(OPTIONS["backend"])
    assert len(jobs) == len(OPTIONS["backend"])
    assert len({job["rmse"]["test"] for job in jobs}) == 1  # bit for bit
    for job in jobs_of(home / "sweeps" / "b"):
        assert (job / f"ddp_{read_json(job)['config']['backend']['name']}_results.pkl").exists()


ONLY_SEEN = ("name=another", "display=none", "tracker=none")  # by the terminal and by trackers


def test_a_sweep_goes_on_with_what_it_has_not_finished(train, home, tmp_path):
    sweep = ("-m", *SMALL, "seed=0,1,2,3", "hydra.sweep.dir=sweep", "~hydra.callbacks.summary")
    assert train(tmp_path, *sweep).returncode == 0
    jobs = jobs_of(tmp_path / "sweep")
    scores = [read_json(job)["rmse"]["test"] for job in jobs]
    (jobs[1] / "result.json").unlink()  # killed before its end
    shutil.rmtree(jobs[2] / "checkpoints")  # failed before its first checkpoint
    (jobs[2] / "result.json").write_text('{"status": "failed"}')
    shutil.rmtree(jobs[3])  # not begun
    times = {job: (job / "model.safetensors").stat().st_mtime_ns for job in jobs[:3]}
    shutil.copy(home / "spying.py", tmp_path)
    again = train(tmp_path, *sweep, "sweep_resume=true", SPYING)
    assert again.returncode == 0, again
    assert again.stdout.count("has ended well before") == 1
    assert [read_json(job)["rmse"]["test"] for job in jobs] == scores
    assert [read_json(job)["status"] for job in jobs] == ["ok"] * 4
    returned = [(job / "returned.txt").read_text() for job in jobs]
    assert returned == [repr(read_json(job)["rmse"]["valid"]) for job in jobs]
    assert [(job / "model.safetensors").stat().st_mtime_ns == times[job] for job in jobs[:3]] == [
        True,
        False,
        False,
    ]
    renamed = train(tmp_path, *sweep, "sweep_resume=true", *ONLY_SEEN)
    assert renamed.returncode == 0
    assert renamed.stdout.count("has ended well before") == 4
    other = train(tmp_path, *sweep, "sweep_resume=true", "rounds=3")
    assert other.returncode == 2
    assert "holds a run with other settings: rounds was 2, not 3" in other.stderr


def test_a_sweep_over_seeds_ends_with_their_spread(train, home):
    """The command line exchanges the seeds of conf/sweep/seeds.yaml, and crosses them."""
    small = (*SMALL, "display=none", "workers=1", "rounds=1", "hydra.sweep.dir=sweeps/seeds")
    more = ("seed=range(10,13)", "backend=thread,serial", "split.seed=4")
    ended = train(home, "sweep=seeds", *small, *more)
    assert (ended.returncode, ended.stderr) == (0, "")
    jobs = [read_json(job) for job in jobs_of(home / "sweeps" / "seeds")]
    told = [(job["config"]["seed"], job["config"]["backend"]["name"]) for job in jobs]
    assert sorted(told) == sorted(itertools.product((10, 11, 12), ("thread", "serial")))
    rmses = [job["rmse"]["test"] for job in jobs if job["config"]["backend"]["name"] == "thread"]
    assert len({*rmses}) == 3
    half = 4.3027 * stdev(rmses) / 3**0.5
    figures = (fmean(rmses), stdev(rmses), fmean(rmses) - half, fmean(rmses) + half)
    table = ended.stdout[ended.stdout.index("spread over seeds") :]
    for backend in ("thread", "serial"):
        words = next(line.split() for line in table.splitlines() if f"{backend} " in line)
        assert words == [backend, "test", "rmse", "3", *(f"{figure:.4f}" for figure in figures)]
    page = (home / "sweeps" / "seeds" / "report.html").read_text()
    section = page[page.index("Spread over seeds") : page.index('<section id="time">')]
    for figure in figures:
        assert f">{figure:.4f}<" in section


@pytest.mark.slow
def test_the_sweep_over_seeds_has_five(home, train):
    ended = train(home, "sweep=seeds", *SMALL, "display=none", "hydra.sweep.dir=sweeps/five")
    assert ended.returncode == 0, ended.stderr
    assert [row["seed"] for row in read_csv(home / "sweeps" / "five" / "sweep.csv")] == list(
        "01234"
    )
    assert re.search(r"test rmse +5 ", ended.stdout)


def test_a_sweep_without_several_seeds_has_no_spread(grid):
    assert "spread over seeds" not in grid.stdout


def test_the_hparams_of_a_sweep_are_the_settings_that_it_varies(train, home):
    varied = ("model=tiny,small", "backend=thread,serial", "workers=1,2")
    more = ("tensorboard=true", "rounds=1", "local_epochs=1", "display=none")
    more = (*more, "~hydra.callbacks.summary")
    ended = train(home, "-m", *SMALL, *more, *varied, "hydra.sweep.dir=sweeps/hparams")
    assert (ended.returncode, ended.stderr) == (0, "")
    jobs = jobs_of(home / "sweeps" / "hparams")
    assert len(jobs) == 8
    for job in jobs:
        events = EventAccumulator(str(job), size_guidance={"tensors": 0}).Reload()
        contents = {
            tag: HParamsPluginData.FromString(content)
            for tag, content in events.PluginTagToContent("hparams").items()
        }
        columns = contents["_hparams_/experiment"].experiment.hparam_infos
        names = [column.name for column in columns]
        assert names == ["backend", "workers", "model", "model.dim"]
        values = contents["_hparams_/session_start_info"].session_start_info.hparams
        assert {value.string_value for value in values.values()}.isdisjoint({"-", "None"})
        assert values["backend"].string_value == read_json(job)["config"]["backend"]["name"]
