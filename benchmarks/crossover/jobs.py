"""The jobs of benchmarks.crossover."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.train_runs import compose_config
from ddp.config.schema import Config

BACKENDS = ("serial", "thread", "process", "shm")
COMMON = ("data=ml100k", "reference=false", "display=none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One job. `cores`: it may use so many; None: all."""

    job: str
    overrides: tuple[str, ...]
    backends: tuple[str, ...] = BACKENDS
    cores: int | None = None

    def config(self, backend: str, more: Sequence[str]) -> Config:
        """The configuration that train.py would run with."""
        return compose_config((*COMMON, *self.overrides, *more, f"backend={backend}"))


def autograd(batch: int, dim: int, workers: int, local_epochs: int) -> Cell:
    """A job of three rounds with Adam and averaged states."""
    options = (
        "trainer=autograd",
        f"trainer.batch_size={batch}",
        "split=iid",
        "aggregation=uniform",
        "rounds=3",
    )
    return _cell(f"autograd, batch {batch}", options, dim, workers, local_epochs)


def fused(split: str, dim: int, workers: int, local_epochs: int) -> Cell:
    """A job of five rounds of compiled SGD."""
    averaged = "none" if split == "stratified" else "uniform"
    options = ("trainer=fused", f"split={split}", f"aggregation={averaged}", "rounds=5")
    return _cell(f"fused, {split}", options, dim, workers, local_epochs)


def swept(trainer: str, dim: int, workers: int, *more: str) -> Cell:
    """A job of a trainer that makes all rows anew in an epoch: 40 rounds of 4 of them."""
    options = (f"trainer={trainer}", "rounds=40", *more)
    what = ", ".join((trainer, *(option.removeprefix("trainer.") for option in more)))
    return _cell(what, options, dim, workers, local_epochs=4)


def _cell(what: str, options: tuple[str, ...], dim: int, workers: int, local_epochs: int) -> Cell:
    sizes = (f"model.dim={dim}", f"workers={workers}", f"local_epochs={local_epochs}")
    return Cell(
        job=f"{what}, k {dim}, {workers} workers, {local_epochs} epochs",
        overrides=(*options, *sizes),
    )


# Short and long jobs: start-up decides some of them, training the others.
GRID = (
    autograd(128, 8, 2, 10),
    autograd(128, 64, 4, 3),
    autograd(128, 256, 1, 3),
    autograd(1024, 8, 4, 40),
    autograd(1024, 64, 1, 10),
    autograd(1024, 256, 2, 20),
    autograd(8192, 8, 1, 20),
    autograd(8192, 64, 2, 60),
    autograd(8192, 256, 4, 10),
    fused("iid", 8, 1, 100),
    fused("iid", 64, 2, 200),
    fused("iid", 256, 4, 40),
    fused("stratified", 8, 4, 200),
    fused("stratified", 64, 2, 50),
    fused("stratified", 256, 1, 100),
    swept("gibbs", 16, 1),
    swept("gibbs", 16, 2),
    swept("gibbs", 32, 4),
    swept("gibbs", 32, 2, "trainer.implicit=none"),
    swept("als", 64, 2),
)
QUICK = (fused("stratified", 8, 2, 2),)


def simulated(cell: Cell, cores: int | None) -> Cell:
    """The same job on two backends and on so many cores."""
    where = "all cores" if cores is None else f"{cores} core"
    return Cell(
        job=f"{cell.job}, {where}",
        overrides=cell.overrides,
        backends=("thread", "shm"),
        cores=cores,
    )


SIMULATION = (
    *(simulated(autograd(1024, 64, workers, 20), None) for workers in (1, 2, 4, 8)),
    *(simulated(fused("stratified", 64, workers, 200), None) for workers in (1, 2, 4, 8)),
    *(simulated(autograd(1024, 64, workers, 10), 1) for workers in (1, 2, 4)),
    *(simulated(fused("stratified", 64, workers, 100), 1) for workers in (1, 2, 4)),
)
