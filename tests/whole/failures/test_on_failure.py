"""on_failure: the others go on without a worker, or the round begins again."""

import pytest
from faults import CULPRIT, Fault, infect
from faulty_jobs import EXACT, JOB, ROUNDS, SPLITS, bits, outcome, possible, slow_unless, timeout
from jobs import BACKENDS, QUICK, USUAL

from ddp.errors import WorkerError
from ddp.experiment import run

pytestmark = pytest.mark.usefixtures("server_of_programs")
ON_FAILURE = [
    ("exception", "first epoch"),
    ("SIGKILL", "publishing"),
    ("hang", "waiting"),
    ("NaN", "publishing"),
    ("SIGKILL", "start"),
]


def on_failure_cases(default, names, faults):
    """The cases on other backends than `default` are slow, and so are those of als."""
    return [
        slow_unless(default if split != "als" else (), name, *fault, split)
        for name in names
        for split in SPLITS
        for fault in faults
        if possible(name, fault[0])
    ]


@pytest.fixture(scope="module")
def dropped(make_config, tmp_path_factory):
    """The model of a serial run that loses its worker at that moment, by an exception."""
    models = {}

    def of(split, moment):
        if (split, moment) not in models:
            folder = tmp_path_factory.mktemp("dropped")
            fault = Fault("exception", moment, folder / "done", last_round=ROUNDS - 1)
            with pytest.MonkeyPatch.context() as monkeypatch:
                infect(monkeypatch, fault)
                config = make_config(*JOB, *SPLITS[split], "backend=serial", "on_failure=drop")
                run(config, folder / "run", [])
            models[split, moment] = bits(folder / "run")
        return models[split, moment]

    return of


@pytest.mark.parametrize(
    ("name", "kind", "moment", "split"),
    on_failure_cases(("serial", "process", "shm"), QUICK, ON_FAILURE),
)
def test_the_others_go_on_without_a_worker_that_is_dropped(
    make_config, monkeypatch, tmp_path, whole, dropped, name, kind, moment, split
):
    infect(monkeypatch, Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(
        *JOB,
        *SPLITS[split],
        *BACKENDS[name],
        *timeout(name, kind),
        "on_failure=drop",
        "min_workers=2",
    )
    result = run(config, tmp_path / "run", [])
    assert result.status == "ok"
    assert result.state.dropped == (CULPRIT,)
    [failure] = outcome(tmp_path / "run")["failures"]
    assert (failure["worker"], failure["action"]) == (CULPRIT, "drop")
    weights = [row.weights for row in result.history.aggregate_rounds]
    assert len(weights) == ROUNDS
    assert all(sum(row) == pytest.approx(1) for row in weights)
    without = [row[CULPRIT] == 0 for row in weights]
    assert without == sorted(without)
    assert without[-1]
    if (moment, split) != ("waiting", "stratified"):  # where a worker may be a round ahead
        assert bits(tmp_path / "run") == dropped(split, moment)
    assert (bits(tmp_path / "run") == whole(split)[-1]) == (split in EXACT)
    assert outcome(tmp_path / "run")["workers"][CULPRIT]["absent"] == sum(without)


@pytest.mark.parametrize(
    ("name", "kind", "moment", "split"),
    on_failure_cases(
        ("serial", "shm"), USUAL, [fault for fault in ON_FAILURE if fault[0] != "NaN"]
    ),
)
def test_a_round_that_begins_again_gives_the_numbers_of_one_without_a_fault(
    make_config, monkeypatch, tmp_path, whole, name, kind, moment, split
):
    infect(monkeypatch, Fault(kind, moment, tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(
        *JOB, *SPLITS[split], *BACKENDS[name], *timeout(name, kind), "on_failure=restart"
    )
    result = run(config, tmp_path / "run", [])
    assert (result.status, result.state.restarts) == ("ok", 1)
    assert bits(tmp_path / "run") == whole(split)[-1]
    assert [row.round_index for row in result.history.aggregate_rounds] == list(range(ROUNDS))
    assert [failure.action for failure in result.history.failures] == ["restart"]


@pytest.mark.parametrize("name", ["serial", "thread", "shm"])
def test_adam_and_an_outer_optimizer_begin_a_round_again_with_what_they_remembered(
    make_config, monkeypatch, tmp_path, drive, name
):
    for split in ("split=iid", "split=stratified"):
        options = (
            split,
            "trainer=autograd",
            "aggregation=rows",
            "aggregation.outer=adam",
            "workers=2",
            "rounds=3",
        )
        options = options if split == "split=iid" else (*options[:3], "workers=2", "rounds=3")
        done = drive(make_config(*options, "backend=serial"))
        expected = done.prepared.in_data_order(done.vectors[-1])
        with monkeypatch.context() as patched:
            infect(
                patched, Fault("exception", "last round", tmp_path / f"done {split}", last_round=2)
            )
            config = make_config(*options, f"backend={name}", "on_failure=restart")
            result = run(config, tmp_path / split, [])
        assert result.state.restarts == 1
        assert result.state.vector.tobytes() == expected.tobytes()


def test_too_few_may_not_go_on(make_config, monkeypatch, tmp_path):
    infect(monkeypatch, Fault("exception", "publishing", tmp_path / "done", last_round=ROUNDS - 1))
    config = make_config(*JOB, *SPLITS["iid"], "backend=thread", "on_failure=drop", "min_workers=3")
    with pytest.raises(
        WorkerError, match=r"^worker 1 in round 2 \(publish\): RuntimeError: a fault"
    ):
        run(config, tmp_path / "run", [])
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == ["abort"]


def test_a_round_does_not_begin_again_for_ever(make_config, monkeypatch, tmp_path):
    fault = Fault("exception", "publishing", tmp_path / "done", last_round=ROUNDS - 1)
    monkeypatch.setattr(
        Fault, "due", lambda self, moment, round_index: (moment, round_index) == ("publishing", 1)
    )
    infect(monkeypatch, fault)
    config = make_config(
        *JOB, *SPLITS["iid"], "backend=thread", "on_failure=restart", "max_restarts=2"
    )
    with pytest.raises(WorkerError, match="a fault"):
        run(config, tmp_path / "run", [])
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == [
        "restart",
        "restart",
        "abort",
    ]


@pytest.mark.parametrize("split", ["iid", "stratified"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "shm" else pytest.mark.slow) for name in USUAL]
)
def test_a_worker_that_diverges_says_where_and_what_to_try(make_config, tmp_path, name, split):
    config = make_config(
        *JOB, *SPLITS[split], *BACKENDS[name], "trainer.lr=1e9", "on_failure=restart"
    )
    with pytest.raises(WorkerError) as caught:
        run(config, tmp_path / "run", [])
    assert caught.value.diverged
    assert str(caught.value).startswith(f"worker {caught.value.worker} in round 1 (")
    assert "diverged in epoch 1 at learning rate 1e+09" in str(caught.value)
    assert "try a smaller trainer.lr" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    # a new start would diverge again
    assert [failure["action"] for failure in outcome(tmp_path / "run")["failures"]] == ["abort"]


def test_a_state_that_is_too_long_has_diverged(make_config, tmp_path):
    config = make_config(*JOB, *SPLITS["iid"], "backend=thread", "max_norm=1")
    with pytest.raises(
        WorkerError, match=r"its state has norm [\d.]+, above max_norm=1 \(which can be set\)"
    ):
        run(config, tmp_path / "run", [])
