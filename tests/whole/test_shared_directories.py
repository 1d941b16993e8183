"""No two jobs of a sweep share a directory; another run's directory stays as it is."""

import pytest
from commands import SMALL, contents, job_of, only_message, read_csv, read_json

from ddp.errors import ConfigError
from ddp.launch.planned import check_directories


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("seed=0,1", "hydra.sweep.subdir=x"), ("jobs 0, 1 would share", "sweep/x;", "put seed")),
        (
            ("seed=0,1", "workers=1,2", "hydra.sweep.subdir=${seed}"),
            ("jobs 0, 1 would share", "sweep/0;", "put workers"),
        ),
        (
            ("seed=0,1,0", "hydra.sweep.subdir=${seed}"),
            ("jobs 0, 2 would share", "sweep/0; write hydra.sweep.subdir='${hydra.job.num}'"),
        ),
        (
            ("seed=1,1", "hydra.sweep.subdir=${hydra.job.override_dirname}"),
            ("jobs 0, 1 would share", "sweep/seed=1;"),
        ),
        (("sweep=backends", "hydra.sweep.subdir=.."), ("jobs 0, 1, 2, 3", "put backend")),
        (("seed=a,b/../a", "hydra.sweep.subdir=${seed}"), ("jobs 0, 1 would share", "sweep/a;")),
        (
            ("hydra/sweeper=optuna", "trainer.lr=interval(0.1,0.2)", "hydra.sweep.subdir=x"),
            ("all trials would share", "sweep/x;", "put trainer.lr"),
        ),
        (
            ("hydra/sweeper=optuna", "seed=range(0,9)", "hydra.sweep.subdir=${workers}"),
            ("all trials would share", "sweep/5;", "put seed"),
        ),
    ],
    ids=str,
)
def test_jobs_that_would_share_one_are_refused(sweep_config, arguments, fragments):
    given = (*arguments, "hydra.sweep.dir=sweep")
    with sweep_config(*given) as config, pytest.raises(ConfigError) as error:
        check_directories(config)
    assert str(error.value).startswith("hydra.sweep.subdir=")
    assert all(fragment in str(error.value) for fragment in fragments), error.value


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("seed=0,1",),
        ("seed=0,1", "hydra.sweep.subdir=job-${hydra:job.num}"),
        ("seed=0,1", "workers=1,2", "hydra.sweep.subdir=${workers}/${seed}"),
        ("backend=thread,serial", "hydra.sweep.subdir=${backend.name}"),
        ("seed=3", "hydra.sweep.subdir=x"),
        ("hydra/sweeper=optuna", "seed=0,1", "hydra.sweep.subdir=${seed}"),
        ("hydra/sweeper=optuna", "seed=0,1", "hydra.sweep.subdir=x", "hydra.sweeper.n_trials=1"),
    ],
    ids=str,
)
def test_others_are_not(sweep_config, arguments):
    with sweep_config(*arguments) as config:
        check_directories(config)


def test_such_a_sweep_starts_no_job(train, tmp_path):
    sweep = ("-m", *SMALL, "seed=0,1", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=x")
    assert "jobs 0, 1 would share the directory sweep/x" in only_message(train(tmp_path, *sweep))
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_meets_another_run_is_in_the_table_once_and_without_figures(train, tmp_path):
    one = train(tmp_path, *SMALL, "seed=7", "display=none", "hydra.run.dir='sweep/0_seed=0'")
    assert one.returncode == 0
    before = contents(tmp_path / "sweep" / "0_seed=0")
    ended = train(tmp_path, "-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert ended.returncode == 2
    assert contents(tmp_path / "sweep" / "0_seed=0") == before
    table = read_csv(tmp_path / "sweep" / "sweep.csv")
    assert [(row["status"], row["directory"]) for row in table] == [
        ("refused", "sweep/0_seed=0"),
        ("ok", "sweep/1_seed=1"),
    ]
    assert (table[0]["test_rmse"], table[0]["valid_rmse"], table[0]["workers"]) == ("", "", "")
    assert "holds a run already" in table[0]["error"]
    assert (
        float(table[1]["test_rmse"]) == read_json(tmp_path / "sweep" / "1_seed=1")["rmse"]["test"]
    )


@pytest.mark.slow
def test_a_trial_that_meets_an_earlier_one_fails_and_both_are_in_the_table(train, tmp_path):
    ended = train(
        tmp_path, "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", *SMALL, "seed=0,1",
        "display=none", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=s${seed}",
    )  # fmt: skip
    assert ended.returncode == 2
    table = read_csv(tmp_path / "sweep" / "sweep.csv")
    assert sorted(row["status"] for row in table) == ["ok", "ok", "refused"]
    for row in table:
        figures = read_json(tmp_path / row["directory"])["rmse"]
        shown = "" if row["status"] == "refused" else repr(figures["test"])
        assert row["test_rmse"] == shown


@pytest.mark.slow
def test_a_sweep_that_goes_on_with_other_settings_shows_each_job_once(train, tmp_path):
    sweep = ("-m", *SMALL, "seed=0,1", "display=none", "hydra.sweep.dir=sweep")
    assert train(tmp_path, *sweep).returncode == 0
    before = [contents(job_of(tmp_path / "sweep", job)) for job in range(2)]
    assert train(tmp_path, *sweep, "sweep_resume=true", "rounds=3").returncode == 2
    table = read_csv(tmp_path / "sweep" / "sweep.csv")
    assert [(row["status"], row["directory"]) for row in table] == [
        ("refused", "sweep/0_seed=0"),
        ("refused", "sweep/1_seed=1"),
    ]
    assert [contents(job_of(tmp_path / "sweep", job)) for job in range(2)] == before
    assert train(tmp_path, *sweep, "sweep_resume=true").returncode == 0
    assert [row["status"] for row in read_csv(tmp_path / "sweep" / "sweep.csv")] == ["ok", "ok"]
