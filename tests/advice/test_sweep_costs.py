"""The steps of runs whose trainer sweeps: gibbs and als."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from jobs import USUAL, prepare
from machines import constants
from plain_jobs import free, wall

from ddp.advice.kinds import COMPUTE, EXCHANGE, WAIT
from ddp.advice.measuring.calibration import calibrate
from ddp.advice.measuring.pilot import TRAINERS
from ddp.advice.measuring.sweep_costs import sweep_configs
from ddp.advice.prediction import predict
from ddp.advice.sizes import sizes_of
from ddp.advice.sweep_costs import AMOUNT_S, Amounts, SweepCosts, phases_of
from ddp.backends.row_sharing import RowsOfOne
from ddp.model.room import filled_room
from ddp.model.sweeping import PHASES
from ddp.timing.spans import Spans
from ddp.workers.posterior import Sample, no_samples
from ddp.workers.sweeping import WorkerPhases

KINDS = ("trainer=als", "trainer.implicit=none", "trainer.implicit=user", "trainer.implicit=both")


def options(kind, *more):
    trainer = (kind,) if kind == "trainer=als" else ("trainer=gibbs", kind)
    return (*trainer, "split=both", "aggregation=none", "model.dim=10", *more)


def of_phases(workers, kind="trainer.implicit=both", **changed):
    """A job of one round with an epoch, and a machine on which only these constants cost time."""
    job = options(kind, f"workers={workers}", "rounds=1", "local_epochs=1", "checkpoint_every=0")
    return job, free("gibbs", **dict.fromkeys((*AMOUNT_S, "phase_s"), 0.0) | changed)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_updates_and_shared_arrays_are_those_of_the_jobs_that_a_run_would_have(
    make_config, kind
):
    config = make_config(*options(kind, "workers=3"))
    prepared = prepare(config)
    sizes = sizes_of(config, prepared.ratings)
    costs = SweepCosts(config, sizes, constants("gibbs"), copies_count=True)
    for job in prepared.make_jobs():
        worker, shard = job.worker, job.shard
        found = sizes.train[worker], sizes.by_item[worker], sizes.valid[worker], sizes.test[worker]
        parts = shard.train, shard.by_item, shard.valid, shard.test
        assert found == tuple(map(len, parts))
        assert costs.publish(worker).num_bytes / 8 == job.update_length
        sweeping = job.sweeping
        sharing = RowsOfOne(job.vector.copy(), filled_room(sweeping, config.model.dim))
        exchange = SimpleNamespace(sharing=sharing, spans=Spans())
        made = WorkerPhases(job, sweeping, exchange)._made
        known = [each is not None for each in sweeping.known]
        numbers = [n for n in range(1, PHASES + 1) if n % 3 == 0 or known[(n - 1) // 3]]
        shared = [sum(array.nbytes for array in made(number, worker)) / 4 for number in numbers]
        assert [phase.floats for phase in phases_of(sizes, config.model.dim, worker)] == shared


@pytest.mark.parametrize("kind", KINDS)
def test_workers_share_the_work_of_one(of, kind):
    def amounts(workers):
        config, sizes = of(*options(kind, f"workers={workers}"))
        every = [phases_of(sizes, config.model.dim, worker) for worker in range(workers)]
        return np.sum([phase.amounts for phases in every for phase in phases], axis=0)

    assert amounts(4) == pytest.approx(amounts(1))


@pytest.mark.parametrize("name", Amounts._fields)
def test_each_amount_has_its_constant(of, name):
    job, machine = of_phases(1, **{AMOUNT_S[Amounts._fields.index(name)]: 1e-6})
    config, sizes = of(*job, "backend=serial")
    amount = sum(getattr(each.amounts, name) for each in phases_of(sizes, config.model.dim, 0))
    assert wall(config, sizes, machine) == pytest.approx(amount * 1e-6)
    assert amount > 0


def test_every_phase_waits_for_the_slowest(of):
    """The columns of weights are dealt in groups of 8: one of three workers has none of the two."""
    job, machine = of_phases(3, entry_s=1e-6)
    config, sizes = of(*job, "backend=shm")
    every = [phases_of(sizes, config.model.dim, worker) for worker in range(3)]
    slowest = [
        max(phase.amounts.entries for phase in phases) for phases in zip(*every, strict=True)
    ]
    prediction = predict(config, sizes, dataclasses.replace(machine, cores=3))
    assert len(slowest) == PHASES
    assert prediction.wall_s == pytest.approx(sum(slowest) * 1e-6)
    assert prediction.seconds[WAIT] > 0
    on_one_core_s = predict(config, sizes, dataclasses.replace(machine, cores=1)).wall_s
    alone, _ = of_phases(1)
    assert on_one_core_s == pytest.approx(wall(*of(*alone, "backend=serial"), machine))


@pytest.mark.parametrize(("kind", "phases"), [("trainer=als", 2), ("trainer.implicit=both", 6)])
def test_a_phase_costs_a_call_where_python_joins_them(of, kind, phases):
    job, machine = of_phases(2, kind, phase_s=0.5)
    costs = dataclasses.replace(machine.exchanges.shm, epoch_s=0.25)
    exchanges = dataclasses.replace(machine.exchanges, **dict.fromkeys(USUAL, costs))
    machine = dataclasses.replace(machine, exchanges=exchanges)
    found = {backend: predict(*of(*job, f"backend={backend}"), machine) for backend in USUAL}
    assert {backend: each.seconds[COMPUTE] for backend, each in found.items()} == pytest.approx(
        {
            "serial": 2 * phases * 0.5,
            "thread": phases * 0.125,
            "shm": phases * 0.125,
            "process": phases * 0.5,
        }
    )
    # sharing, and taking from the other worker
    assert found["process"].seconds[EXCHANGE] == pytest.approx(2 * phases * 0.25 / 4)


def test_chance_makes_no_run_longer_on_average(of):
    job, machine = of_phases(1, row_s=1e-6)
    config, sizes = of(*job, "backend=shm")
    exchanges = dataclasses.replace(machine.exchanges, jitter=0.15)
    uneven = dataclasses.replace(machine, exchanges=exchanges)
    walls = [wall(dataclasses.replace(config, seed=seed), sizes, uneven) for seed in range(300)]
    assert np.std(walls) > 0
    assert np.mean(walls) == pytest.approx(wall(config, sizes, machine), rel=0.03)


@pytest.mark.parametrize(("keep", "burn_in"), [(1, 0), (3, 5), (8, 2), (64, 12)])
def test_as_many_samples_are_kept_as_in_a_run(make_config, keep, burn_in):
    trainer = (f"trainer.keep_samples={keep}", f"trainer.burn_in={burn_in}", "local_epochs=2")
    config = make_config(*options("trainer.implicit=none", *trainer))
    prepared = prepare(config)
    costs = SweepCosts(config, sizes_of(config, prepared.ratings), constants("gibbs"))
    posterior = no_samples(0, prepared.sweeping, config.model.dim)
    for index in range(30):
        if (index + 1) * 2 > burn_in:
            posterior = posterior.with_sample(
                Sample(index, 1.0, prepared.vector, posterior.chain.trusts), keep
            )
        assert costs._num_samples(index + 1) == len(posterior.samples)


def test_checkpoints_have_the_samples_so_far(make_config):
    more = ("rounds=6", "checkpoint_every=3", "trainer.burn_in=0", "trainer.keep_samples=64")
    config = make_config(*options("trainer.implicit=none", *more))
    machine = constants("gibbs")
    costs, exchanges = (
        SweepCosts(config, sizes_of(config, prepare(config).ratings), machine),
        machine.exchanges,
    )
    trusts = costs.sizes.num_users + costs.sizes.num_items
    floats = 2 * costs._chain_floats + (1 + 3 + 1 + 6) * costs.num_floats + (3 + 6) * trusts
    saved_s = 2 * exchanges.checkpoint_s + floats * exchanges.checkpoint_float_s
    assert costs.record_s() == pytest.approx(exchanges.log_s + saved_s / 6)


@pytest.mark.slow
def test_the_costs_of_phases_are_measured(tmp_path):
    names = sweep_configs(TRAINERS["als"]).keys()
    assert names < sweep_configs(TRAINERS["gibbs"]).keys()
    assert not any("known" in name for name in names)
    made = calibrate(TRAINERS["gibbs"], tell=lambda _: None, file=tmp_path / "calibration.json")
    # a fit may leave out a factor that others explain as well
    of_rows = made.training.row_s + made.training.cell_s + made.training.system_s
    of_known = made.training.entry_s + made.training.line_s + made.training.turned_s
    assert min(made.training.rating_s + made.training.product_s, of_rows, of_known) > 0
