"""`hydra/sweeper=optuna`: the trials of a study, the failed ones too, and what it refuses."""

import pytest
import yaml
from commands import SMALL, interrupted, job_of, only_message, read_csv, read_json, statuses
from programs import TRAIN, own_environment

from ddp.errors import ConfigError

OPTUNA = ("-m", "hydra/sweeper=optuna", *SMALL, "display=none", "checkpoint_every=0")
STORAGE = ("hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=lr")


def trials_of(directory, name="lr"):
    import optuna

    return optuna.load_study(study_name=name, storage=f"sqlite:///{directory}/study.db").trials


def sweep_of(train, home, trials):
    """A sweep of one study, in which a learning rate is refused; its directory is the number."""
    return train(
        home, *OPTUNA, "trainer.lr=choice(0.02,-1)", *STORAGE, "hydra/sweeper/sampler=random",
        f"hydra.sweeper.n_trials={trials}", f"hydra.sweep.dir={trials}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(train, home):
    return sweep_of(train, home, 3)


def values_in(directory, trials):
    """The validation RMSEs of the trials' jobs, None for a job without one."""
    jobs = [job_of(directory, trial.number) for trial in trials]
    return [
        read_json(job)["rmse"]["valid"] if (job / "result.json").exists() else None for job in jobs
    ]


def test_a_failed_job_ends_its_trial_and_not_the_sweep(home, first):
    trials = trials_of(home)
    states = [trial.state.name for trial in trials]
    assert set(states) == {"COMPLETE", "FAIL"}
    table = statuses(home / "3")
    assert table == [{"COMPLETE": "ok", "FAIL": "no result"}[state] for state in states]
    assert [trial.value for trial in trials] == values_in(home / "3", trials)
    refusals = ["error: trainer.lr=-1: must be a finite number above 0"] * states.count("FAIL")
    told = f"error: {len(refusals)} of 3 jobs did not succeed"
    assert first.stderr.splitlines() == [*refusals, told]
    assert first.returncode == 2


def check_best(home, directory, ended):
    best = min((trial for trial in trials_of(home) if trial.value), key=lambda trial: trial.value)
    written = yaml.safe_load((home / directory / "optimization_results.yaml").read_text())
    params = {"trainer.lr": 0.02}
    assert written == {"name": "optuna", "best_params": params, "best_value": best.value}
    told = f"trainer.lr=0.02 (job {best.number}, validation RMSE {best.value:.4f})"
    assert told in ended.stdout
    assert f"report: {directory}/report.html\n" in ended.stdout


def test_the_sweep_tells_the_best_trial_and_leaves_its_report(home, first):
    check_best(home, "3", first)


@pytest.mark.slow
def test_the_second_command_continues_the_study(train, home, first):
    before = [trial.value for trial in trials_of(home)]
    second = sweep_of(train, home, 2)
    trials = trials_of(home)
    assert [trial.number for trial in trials] == list(range(5))
    assert [trial.value for trial in trials] == before + values_in(home / "2", trials[3:])
    assert "study lr in sqlite:///study.db: 3 trials so far\n" in second.stdout
    assert len(read_csv(home / "2" / "sweep.csv")) == 2
    check_best(home, "2", second)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "given", "jobs"),
    [
        ("tpe", ["trainer.lr=interval(0.005,0.05)"], 3),
        (
            "cmaes",
            ["trainer.lr=tag(log,interval(0.005,0.05))", "seed=int(interval(1,3))"],
            3,
        ),
        ("random", ["trainer.lr=range(0.01,0.04,0.01)", "backend=thread,serial"], 3),
        ("grid", ["trainer.lr=0.01,0.02", "workers=range(1,2)"], 2),
    ],
)
def test_every_sampler_chooses_within_the_space_and_again_alike(
    train, tmp_path, sampler, given, jobs
):
    chosen = []
    for directory in ("a", "b"):
        ended = train(
            tmp_path, *OPTUNA, *given, f"hydra/sweeper/sampler={sampler}",
            "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2", f"hydra.sweep.dir={directory}",
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        table = read_csv(tmp_path / directory / "sweep.csv")
        assert len(table) == jobs
        assert all(0.005 <= float(row["trainer.lr"]) <= 0.05 for row in table)
        chosen.append([(row["trainer.lr"], row["backend"], row["valid_rmse"]) for row in table])
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) > 1


@pytest.mark.slow
def test_after_ctrl_c_the_trial_is_a_failed_one_and_the_sweep_leaves_its_table(started, tmp_path):
    process = started(
        tmp_path, "-m", "hydra/sweeper=optuna", "trainer.lr=interval(0.01,0.02)", *STORAGE,
        "rounds=100000", "hydra.sweep.dir=sweep",
    )  # fmt: skip
    shown, errors = interrupted(process)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "no trial of 1 succeeded\n" in shown
    assert "report: sweep/report.html\n" in shown
    assert statuses(tmp_path / "sweep") == ["interrupted"]
    assert [trial.state.name for trial in trials_of(tmp_path)] == ["FAIL"]


def test_without_optuna_the_message_says_how_to_install_it(programs, tmp_path):
    ended = programs.run(
        TRAIN, *OPTUNA, "seed=0,1", cwd=tmp_path,
        environment=own_environment(tmp_path), forget=["optuna"], without=["optuna"],
    )  # fmt: skip
    assert ended.returncode == 2
    assert "hydra/sweeper=optuna: needs the package optuna: type `make sweepers`" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed=3",), "has nothing to choose"),
        (("seed=0,1", "hydra.sweeper.n_trials=0"), "hydra.sweeper.n_trials=0: must be at least 1"),
        (("seed=0,1", "hydra.sweeper.n_jobs=-1"), "hydra.sweeper.n_jobs=-1: must be at least 1"),
        (("seed=0,1", "hydra.sweeper.direction=up"), "choose one of minimize, maximize"),
        (("seed=0,1", "hydra.sweeper.sampler.seed=x"), "hydra.sweeper.sampler.seed=x"),
        (("seed=0,1", "hydra.sweeper.max_failure_rate=2"), "must be from 0 to 1"),
        (("trainer.lr=interval(2,1)",), "trainer.lr=interval(2,1): "),
        (("trainer.lr=tag(log,interval(0,1))",), "trainer.lr=tag(log,interval(0,1)): "),
        (("trainer.lr=interval(1.0,2)", "hydra/sweeper/sampler=grid"), "trainer.lr=interval: "),
        (("seed=0,1", "hydra.sweeper.storage=sqlite:////no/f.db"), "Optuna cannot use it"),
        (("seed=0,1", "hydra.sweeper.storage=nothing"), "Optuna cannot use it"),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_refused(sweep_config, arguments, message):
    from ddp.launch.optuna_sweep import OptunaSweep

    with (
        sweep_config("hydra/sweeper=optuna", *arguments) as config,
        pytest.raises(ConfigError) as e,
    ):
        OptunaSweep(config)
    assert message in str(e.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("seed=0,2",), "its trials chose seed from other values"),
        (("seed=interval(0,2)",), "its trials chose seed from other values"),
        (("seed=0,1", "hydra.sweeper.direction=maximize"), "study lr has minimize"),
    ],
    ids=str,
)
def test_a_study_goes_on_with_its_own_values_only(sweep_config, tmp_path, arguments, message):
    import optuna

    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="lr", storage=storage)
    study.ask({"seed": optuna.distributions.CategoricalDistribution([0, 1])})
    from ddp.launch.optuna_sweep import OptunaSweep

    given = ("hydra/sweeper=optuna", f"hydra.sweeper.storage={storage}", STORAGE[1])
    with sweep_config(*given, *arguments) as config, pytest.raises(ConfigError) as error:
        OptunaSweep(config)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "sampler",
    ["random", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tpe", "cmaes"))],
)
def test_a_study_that_goes_on_draws_anew_and_again_alike(sweep_config, tmp_path, sampler):
    from ddp.launch.optuna_sweep import OptunaSweep

    drawn = []
    for storage in (f"sqlite:///{tmp_path}/{name}.db" for name in "ab"):
        given = ("hydra/sweeper=optuna", f"hydra/sweeper/sampler={sampler}", STORAGE[1])
        lr = "trainer.lr=interval(0.0,1.0)"
        with sweep_config(*given, lr, f"hydra.sweeper.storage={storage}") as config:
            for _ in range(2):
                sweep = OptunaSweep(config)
                trials = [sweep.study.ask(sweep.space) for _ in range(2)]
                drawn.append([trial.params["trainer.lr"] for trial in trials])
    assert drawn[:2] == drawn[2:]
    assert len(set(drawn[0] + drawn[1])) == 4


def test_every_seed_of_a_run_is_one_of_the_sampler(sweep_config):
    from ddp.launch.optuna_sweep import OptunaSweep

    given = ("hydra/sweeper=optuna", "trainer.lr=0.01,0.02")
    with sweep_config(*given, f"hydra.sweeper.sampler.seed={10**12}") as config:
        assert OptunaSweep(config).study.ask({}).number == 0


def test_a_grid_that_was_tried_is_refused(sweep_config, tmp_path):
    import optuna

    from ddp.launch.optuna_sweep import OptunaSweep

    storage = f"sqlite:///{tmp_path}/study.db"
    space = {"seed": optuna.distributions.CategoricalDistribution([0, 1, 2])}
    study = optuna.create_study(study_name="lr", storage=storage)
    given = (
        *("hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "seed=0,1,2"),
        *(f"hydra.sweeper.storage={storage}", STORAGE[1]),
    )
    with sweep_config(*given) as config:
        assert OptunaSweep(config).trials_left == 3
        study.tell(study.ask(space), 1.0)
        study.tell(study.ask(space), state=optuna.trial.TrialState.FAIL)
        assert OptunaSweep(config).trials_left == 1
        study.tell(study.ask(space), 1.0)
        with pytest.raises(ConfigError, match="study lr has tried all points"):
            OptunaSweep(config)


def test_without_a_validation_part_it_is_refused_before_the_first_job(train, tmp_path):
    message = only_message(
        train(
            tmp_path, *OPTUNA, "seed=0,1", "split.valid_fraction=0", "select_on=last",
            "hydra.sweep.dir=sweep",
        )
    )  # fmt: skip
    assert message.startswith("split.valid_fraction=0: hydra/sweeper=optuna needs")
    assert list(tmp_path.iterdir()) == []
