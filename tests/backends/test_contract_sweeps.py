"""Same seed, same bits: trainer=gibbs and trainer=als, for any number of workers on any backend."""

import random
import re
import threading
from itertools import product

import pytest
from contract import CONCURRENT
from in_workers import in_workers
from jobs import BACKENDS, DEADLINE_S, SWEEPING

from ddp.errors import WorkerError
from ddp.experiment import run
from ddp.results.saved_model import MODEL_FILE

pytestmark = pytest.mark.usefixtures("server_of_programs")
PAIRS = list(product(range(60), range(40)))
SERIAL = BACKENDS["serial"]
VARIANTS = {
    "gibbs": SWEEPING["gibbs"],
    "gibbs, no implicit feedback": (*SWEEPING["gibbs"], "trainer.implicit=none"),
    "gibbs, that of users, common noise": (
        *SWEEPING["gibbs"],
        *("trainer.implicit=user", "trainer.noise=common"),
    ),
    "gibbs, that of items, 8 factors": (
        *SWEEPING["gibbs"],
        *("trainer.implicit=item", "model.dim=8"),
    ),
    "als": SWEEPING["als"],
}


def write_ratings(path, pairs, ratings):
    rows = [f"{user},{item},{rating}" for (user, item), rating in zip(pairs, ratings, strict=True)]
    path.write_text("\n".join(["user,item,rating", *rows]))


@pytest.fixture(scope="module")
def with_attributes(tmp_path_factory):
    """Overrides for ratings in files, with attributes of users and of items."""
    folder, dice = tmp_path_factory.mktemp("attributes"), random.Random(0)
    values = dice.choices(range(1, 6), k=1200)
    write_ratings(folder / "ratings.csv", dice.sample(PAIRS, len(values)), values)
    for kind, number in (("user", 60), ("item", 40)):
        lines = [f"{kind},colour,size"]
        lines += [f"{n},{dice.choice('rgb')},{dice.uniform(0, 9):.2f}" for n in range(number)]
        (folder / f"{kind}s.csv").write_text("\n".join(lines))
    return (
        *("data=csv", f"data.paths=[{folder}/ratings.csv]", "data.cache=null"),
        *("data.user=user", "data.item=item", "data.rating=rating"),
        *(f"data.user_features={folder}/users.csv", f"data.item_features={folder}/items.csv"),
    )


class Outcome:
    """All of a run that the number of workers and the backend must not change."""

    def __init__(self, config, directory, **options):
        self.result = run(config, directory, [], **options)
        self.model = (directory / MODEL_FILE).read_bytes()
        state = self.result.state
        self.arrays, self.facts = {"aggregate": state.vector}, ()
        if (posterior := state.posterior) is not None:
            chain = posterior.chain
            self.facts = (posterior.precisions, chain.precision, chain.strengths, chain.spreads)
            self.arrays |= {"predictions": posterior.predictions, "sums": chain.sums}
            for side in range(2):
                self.arrays[f"trusts {side}"] = chain.trusts[side]
                self.arrays[f"weights {side}"] = chain.weights[side]
        self.rounds = [
            (row.round_index, row.valid, row.test, row.sampled)
            for row in self.result.history.aggregate_rounds
        ]


def same(outcome, expected):
    """The two agree bit for bit."""
    assert outcome.arrays.keys() == expected.arrays.keys()
    other = [
        name
        for name, array in outcome.arrays.items()
        if array.tobytes() != expected.arrays[name].tobytes()
    ]
    assert not other, other
    assert outcome.facts == expected.facts
    assert outcome.rounds == expected.rounds
    assert outcome.model == expected.model


@pytest.fixture(scope="module")
def outcome_of(make_config, tmp_path_factory):
    """`outcome_of(*overrides)`: the outcome of that run."""

    def of(*overrides):
        return Outcome(make_config(*overrides), tmp_path_factory.mktemp("run") / "run")

    return of


@pytest.fixture(scope="module")
def alone(outcome_of, with_attributes):
    """`alone(variant, attributes)`: the outcome of one worker."""
    outcomes = {}

    def of(variant, *, attributes=False):
        if (variant, attributes) not in outcomes:
            data = with_attributes if attributes else ()
            outcomes[variant, attributes] = outcome_of(
                *VARIANTS[variant], *data, *SERIAL, "workers=1"
            )
        return outcomes[variant, attributes]

    return of


def numbers_of_workers():
    """The default suite has each number once, and each backend with at least two of them."""
    default = {
        *(("serial", number) for number in (2, 3, 5, 16)),
        *(("thread", 2), ("thread", 16), ("process", 3), ("shm", 2), ("shm", 5)),
        *(("thread polling", 3), ("process polling", 2)),
    }
    for name, number in product(("serial", *CONCURRENT), (1, 2, 3, 5, 16)):
        if isinstance(name, str):
            marks = () if (name, number) in default else pytest.mark.slow
            yield pytest.param(name, number, marks=marks, id=f"{name}, {number}")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("name", "number"), [*numbers_of_workers()])
def test_the_number_of_workers_changes_no_bit(outcome_of, alone, name, number, variant):
    options = (*VARIANTS[variant], *BACKENDS[name], f"workers={number}")
    same(outcome_of(*options), alone(variant))


@pytest.mark.parametrize("name", ["serial", "thread", "process", "shm"])
def test_with_attributes_of_both_sides_it_changes_none_either(
    outcome_of, alone, with_attributes, name
):
    options = (*VARIANTS["gibbs"], *with_attributes, *BACKENDS[name], "workers=3")
    same(outcome_of(*options), alone("gibbs", attributes=True))
    assert alone("gibbs", attributes=True).model != alone("gibbs").model


@pytest.mark.parametrize("variant", ["gibbs", "als"])
@pytest.mark.parametrize("name", ["serial", "thread", "process", "shm"])
def test_a_run_goes_on_from_each_checkpoint_with_the_same_bits(
    make_config, tmp_path, alone, name, variant
):
    options = (*VARIANTS[variant], *BACKENDS[name], "workers=3", "checkpoint_every=1")
    for rounds in (1, 3):
        directory = tmp_path / f"{rounds}"
        run(make_config(*options, f"rounds={rounds}"), directory, [])
        same(Outcome(make_config(*options), directory, resume=True), alone(variant))


# --- a worker that others wait for ---

IN_AN_EPOCH = """
import os, signal, threading
from ddp.trainers.sweeper import Sweeper

sweeps = Sweeper.sweeps

def failing(sweeper, epochs, phases, spans):
    if phases.worker == 1 and 3 in epochs:
        DEED
    return sweeps(sweeper, epochs, phases, spans)

Sweeper.sweeps = failing
"""
DEEDS = {
    "dies": ("os.kill(os.getpid(), signal.SIGKILL)", 3600, "the process died (signal SIGKILL)"),
    "hangs": ("threading.Event().wait()", 1, "nothing was heard of it within round_timeout=1 s"),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("name", ["process", "shm"])
def test_the_worker_that_others_wait_for_is_named(make_config, driven, name, deed):
    code, timeout_s, reason = DEEDS[deed]
    options = (*SWEEPING["gibbs"], *BACKENDS[name], "workers=3", f"round_timeout={timeout_s}")
    attempt = driven(make_config(*options), jobs=in_workers(IN_AN_EPOCH.replace("DEED", code)))
    with pytest.raises(
        WorkerError, match=rf"^worker 1 in round 2 \(compute\): {re.escape(reason)}"
    ):
        attempt.run()


def test_the_thread_that_others_wait_for_is_named(make_config, drive, monkeypatch):
    from ddp.trainers.sweeper import Sweeper

    released, sweeps = threading.Event(), Sweeper.sweeps

    def hanging(sweeper, epochs, phases, spans):
        if phases.worker == 1 and 3 in epochs:
            released.wait()
        return sweeps(sweeper, epochs, phases, spans)

    monkeypatch.setattr(Sweeper, "sweeps", hanging)
    monkeypatch.setattr("ddp.backends.thread.STOP_GRACE_S", 0.1)
    options = (*SWEEPING["gibbs"], "backend=thread", "workers=3", "round_timeout=0.5")
    try:
        with pytest.raises(
            WorkerError, match=r"^worker 1 in round 2 \(compute\): nothing was heard"
        ):
            drive(make_config(*options))
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("worker-"):
                thread.join(DEADLINE_S)


# --- held-out ratings ---


def test_held_out_ratings_change_no_bit_of_the_model(outcome_of, with_attributes, tmp_path):
    """Neither their values nor the pairs that they are of: implicit feedback is of training."""
    train, file = tmp_path / "train.csv", tmp_path / "test.csv"
    dice = random.Random(1)
    pairs, values = dice.sample(PAIRS, 1200), dice.choices(range(1, 6), k=1200)
    options = (
        *(*VARIANTS["gibbs"], *with_attributes, *SERIAL, "workers=2"),
        *(f"data.paths=[{train}]", f"split.test_file={file}"),
    )
    write_ratings(train, pairs[300:], values[300:])
    write_ratings(file, pairs[:300], values[:300])
    expected = outcome_of(*options)
    write_ratings(file, pairs[:300], [6 - value for value in values[:300]])
    others = outcome_of(*options)
    write_ratings(file, pairs[:7], values[:7])
    fewer = outcome_of(*options)
    for outcome in (others, fewer):
        assert outcome.model == expected.model
        assert outcome.facts == expected.facts
        assert outcome.rounds[-1][1] == expected.rounds[-1][1]  # of the validation part
        assert outcome.rounds[-1][2] != expected.rounds[-1][2]
        for name in expected.arrays.keys() - {"predictions"}:
            assert outcome.arrays[name].tobytes() == expected.arrays[name].tobytes()
    assert others.arrays["predictions"].tobytes() == expected.arrays["predictions"].tobytes()
    # a pair more in training changes what follows from it
    write_ratings(train, pairs[299:], values[299:])
    assert outcome_of(*options).model != expected.model
