"""The reference: one worker that a run compares itself with."""

import json

import pytest
from jobs import prepare

from ddp.errors import AggregationError, WorkerError
from ddp.experiment import run, train_reference
from ddp.ratings.load import load_ratings
from ddp.results.reference import find_reference, reference_config
from ddp.results.run_directory import REFERENCES, RESULT_FILE
from ddp.tracking.messages import Reference

FUSED = ("trainer=fused", "trainer.lr_decay=0.9", "split=user", "workers=4", "aggregation=samples")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(config, train):
    prepared = prepare(config)
    return find_reference(config, prepared.ratings, prepared.deal, train)


def test_it_is_one_worker_with_the_same_test_part_and_as_many_visits(make_config):
    config = make_config(*FUSED, "rounds=3", "local_epochs=2", "backend=shm", "display=lines")
    alone, together = prepare(reference_config(config)), prepare(config)
    [job] = alone.make_jobs()
    assert len(job.shard.train) == sum(len(job.shard.train) for job in together.make_jobs())
    assert alone.deal.rows("test").tolist() == together.deal.rows("test").tolist()
    assert job.vector.tobytes() == together.make_jobs()[0].vector.tobytes()
    assert (job.config.rounds, job.config.local_epochs) == (3, 2)
    assert job.config.trainer == config.trainer


def test_a_run_says_how_far_it_is_from_one_worker_and_the_next_one_need_not_train_it(
    make_config, here, monkeypatch
):
    config = make_config(*FUSED, "reference=auto")
    result = run(config, here / "first", [])
    assert result.reference == train_reference(
        load_ratings(config.data, 0), reference_config(config)
    )
    rmse = json.loads((here / "first" / RESULT_FILE).read_text())["rmse"]
    assert rmse["reference"] == {"valid": result.reference.valid, "test": result.reference.test}
    assert rmse["gap"] == pytest.approx(result.test_rmse - result.reference.test)
    monkeypatch.setattr("ddp.experiment.train_reference", lambda *_: pytest.fail("trained again"))
    for same in (
        "backend=serial",
        "workers=2",
        "split=iid",
        "aggregation=uniform",
        "round_timeout=50",
        "account=false",
    ):
        again = run(make_config(*FUSED, "reference=auto", same), here / same, [])
        assert again.reference == result.reference


def test_one_worker_is_its_own_reference(make_config, here):
    for split in ("iid", "stratified"):
        result = run(
            make_config(
                *FUSED, f"split={split}", "workers=1", "aggregation=rows", "reference=true"
            ),
            here / split,
            [],
        )
        assert result.gap == 0


@pytest.mark.parametrize(
    "other",
    [
        "rounds=3",
        "local_epochs=3",
        "seed=1",
        "split.seed=1",
        "trainer.lr=0.3",
        "model.dim=9",
        "data.num_ratings=1000",
    ],
)
def test_another_job_has_another_reference(make_config, here, other):
    found = []

    def train(config):
        found.append(config)
        return Reference(valid=1.0, test=2.0)

    for overrides in ((), (other,), ()):
        config = make_config(*FUSED, "reference=true", *overrides)
        find(config, train)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("overrides", "trained"),
    [
        *((("reference=false",), False), (("reference=auto",), True), (("reference=true",), True)),
        *(
            (("reference=auto", "rounds=100000"), False),
            (("reference=true", "rounds=100000"), True),
        ),
        *(
            (("trainer=autograd", "reference=auto"), False),
            (("trainer=autograd", "reference=true"), True),
        ),
    ],
)
def test_auto_trains_it_where_that_is_cheap(make_config, here, overrides, trained):
    config = make_config("trainer=fused", *overrides)
    found = find(config, lambda config: Reference(valid=1.0, test=2.0))
    assert (found is not None) == trained
    assert len(list(REFERENCES.glob("*.json"))) == trained


@pytest.mark.parametrize(
    "error",
    [
        WorkerError(0, 1, "diverged", phase="compute", diverged=True),
        AggregationError("the mean overflows float32"),
    ],
)
def test_one_that_diverges_is_none(make_config, here, error):
    def diverges(config):
        raise error

    config = make_config(*FUSED, "reference=true")
    assert find(config, diverges) is None
    assert not REFERENCES.exists()


def test_a_damaged_file_is_trained_again_and_a_place_that_cannot_be_written_to_does_no_harm(
    make_config, here
):
    config = make_config(*FUSED, "reference=true")
    known = Reference(valid=1.0, test=2.0)
    assert find(config, lambda config: known) == known
    (file,) = REFERENCES.glob("*.json")
    file.write_text('{"valid": 1.0')
    assert find(config, lambda config: Reference(valid=3.0, test=4.0)).test == 4.0
    file.unlink()
    REFERENCES.rmdir()
    REFERENCES.write_text("in the way")
    assert find(config, lambda config: known) == known
