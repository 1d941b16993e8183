"""Ways to train of benchmarks.quality."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EPOCHS = 100
BASE = (
    "data=ml100k",
    "trainer=fused",
    "select_on=last",
    "reference=false",
    "tensorboard=false",
    "display=none",
)
# One worker, and every row owned by one worker: the learning rate may be the same.
LOSSLESS = {
    "trainer.lr": (0.01, 0.015),
    "trainer.lr_decay": (0.98, 0.99),
    "trainer.reg_factors": (0.08, 0.09, 0.1),
    "model.dim": (64, 256),
    "model.init_std": (0.01, 0.05),
}
AVERAGED = {
    "trainer.lr": (0.02, 0.05, 0.1),
    "trainer.lr_decay": (0.98, 0.99),
    "trainer.reg_factors": (0.06, 0.08, 0.1),
    "model.dim": (64,),
}
MOMENTUM = ("aggregation.outer=nesterov",)

Values = Mapping[str, float]  # option -> its value


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to train.

    `overrides`: of a run; `tried`: option -> values to choose from.
    """

    overrides: tuple[str, ...]
    tried: Mapping[str, Sequence[float]]
    local_epochs: int = 1
    epochs: int = EPOCHS  # at most this many


def told(values: Values) -> str:
    """Options and their values in words, without the groups."""
    return ", ".join(f"{key.rpartition('.')[2]} {value:g}" for key, value in values.items())


# The bits of these two trainers are the same with any number of workers: only seconds differ.
def _gibbs(*overrides: str) -> Way:
    return Way(
        overrides=("trainer=gibbs", *overrides),
        tried={"model.dim": (8, 12), "model.init_std": (0.2, 0.3)},
        local_epochs=20,
        epochs=100,
    )


def _als(*overrides: str) -> Way:
    return Way(
        overrides=("trainer=als", *overrides),
        tried={"model.dim": (8, 16), "trainer.reg": (0.05, 0.1, 0.2)},
        epochs=30,
    )


ONE = "one worker"
WAYS = {
    ONE: Way(overrides=("workers=1", "split=stratified"), tried=LOSSLESS),
    "2 workers, stratified": Way(overrides=("workers=2", "split=stratified"), tried=LOSSLESS),
    "5 workers, stratified": Way(overrides=("workers=5", "split=stratified"), tried=LOSSLESS),
    "16 workers, stratified": Way(overrides=("workers=16", "split=stratified"), tried=LOSSLESS),
    "5 workers, ensemble": Way(
        overrides=("workers=5", "split=copies", "aggregation=ensemble"),
        tried=LOSSLESS
        | {
            "trainer.lr": (0.015, 0.02),
            "trainer.reg_factors": (0.05, 0.06, 0.07),
            "model.init_std": (0.02, 0.03),
        },
    ),
    "5 workers, iid, 10 local epochs, uniform": Way(
        overrides=("workers=5", "split=iid", "aggregation=uniform"),
        tried=AVERAGED,
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, iid, 10 local epochs, rows": Way(
        overrides=("workers=5", "split=iid", "aggregation=rows"),
        tried=AVERAGED,
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, iid, 10 local epochs, rows + momentum": Way(
        overrides=("workers=5", "split=iid", "aggregation=rows", *MOMENTUM),
        tried=AVERAGED
        | {"trainer.lr": (0.01, 0.02, 0.05), "aggregation.outer_beta1": (0.3, 0.6, 0.8)},
        local_epochs=10,
        epochs=300,
    ),
    "5 workers, by user, 1 local epoch, uniform": Way(
        overrides=("workers=5", "split=user", "aggregation=uniform"), tried=AVERAGED
    ),
    "5 workers, by user, 1 local epoch, rows": Way(
        overrides=("workers=5", "split=user", "aggregation=rows"), tried=AVERAGED
    ),
    "gibbs from ids, one worker": _gibbs("workers=1", "trainer.implicit=none"),
    "gibbs from ids, 2 threads": _gibbs("workers=2", "trainer.implicit=none"),
    "gibbs, one worker": _gibbs("workers=1"),
    "gibbs, 2 threads": _gibbs("workers=2"),
    "als, one worker": _als("workers=1"),
    "als, 2 threads": _als("workers=2"),
}
