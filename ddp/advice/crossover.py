"""Finds crossovers: the values of a setting from which another backend is the fastest.

One setting varies, and all others stay as the config has them. Predictions at POINTS values find
the intervals in which the fastest backend changes, and a bisection finds the value in each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ddp.config.schema import Config
from ddp.config.trainer import AutogradTrainer

POINTS = 9  # the values that a search begins with, evenly on a logarithmic scale
PRECISION = 1.03  # a crossover is known to this factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The values of a setting, from `first` to `last`, at which `fastest` is the fastest."""

    fastest: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossovers:
    """The stretches of one setting in ascending order. `asked`: its value in the config."""

    key: str
    asked: int
    stretches: list[Stretch]


def find_crossovers(config: Config, fastest: Callable[[Config], str]) -> list[Crossovers]:
    """The crossovers along batch size, model dimension and number of local epochs.

    `fastest` gives the name of the fastest backend for a config.
    """
    found = []
    trainer = config.trainer
    if isinstance(trainer, AutogradTrainer):
        size = trainer.batch_size
        batch = along(
            min(16, size),
            max(1 << 16, size),
            lambda size: fastest(replace(config, trainer=replace(trainer, batch_size=size))),
        )
        found.append(
            Crossovers(key="trainer.batch_size", asked=trainer.batch_size, stretches=batch)
        )
    asked = config.model.dim
    dim = along(
        min(4, asked),
        max(1024, asked),
        lambda dim: fastest(replace(config, model=replace(config.model, dim=dim))),
    )
    found.append(Crossovers(key="model.dim", asked=asked, stretches=dim))
    epochs = along(
        1,
        max(10_000, config.local_epochs),
        lambda epochs: fastest(replace(config, local_epochs=epochs)),
    )
    return [*found, Crossovers(key="local_epochs", asked=config.local_epochs, stretches=epochs)]


def along(first: int, last: int, fastest: Callable[[int], str]) -> list[Stretch]:
    """The stretches from `first` to `last`.

    It misses a stretch that begins and ends between two neighbours of the POINTS values.
    """
    points = sorted({round(first * (last / first) ** (n / (POINTS - 1))) for n in range(POINTS)})
    names = [fastest(point) for point in points]
    stretches = [Stretch(fastest=names[0], first=first, last=last)]
    for low, high, after in zip(points, points[1:], names[1:], strict=False):
        begins = low
        # a third backend may be the fastest in between
        while (before := stretches[-1].fastest) != after:
            begins = _change(begins, high, before, fastest)
            stretches[-1] = replace(stretches[-1], last=begins - 1)
            stretches.append(Stretch(fastest=fastest(begins), first=begins, last=last))
    return stretches


def _change(low: int, high: int, before: str, fastest: Callable[[int], str]) -> int:
    """The first value above `low` at which `before` is not the fastest, up to the factor PRECISION.

    `before` is the fastest at `low` and not at `high`.
    """
    while high > low + 1 and high > low * PRECISION:
        middle = round((low * high) ** 0.5)
        middle = min(max(middle, low + 1), high - 1)
        if fastest(middle) == before:
            low = middle
        else:
            high = middle
    return high


def in_words(crossovers: Sequence[Crossovers]) -> list[str]:
    """One line of text for each setting."""
    lines = []
    for crossover in crossovers:
        parts = [
            f"{stretch.fastest} from {stretch.first:,} to {stretch.last:,}"
            for stretch in crossover.stretches
        ]
        first, last = crossover.stretches[0], crossover.stretches[-1]
        parts[0] = f"{first.fastest} up to {first.last:,}"
        if first is not last:
            parts[-1] = f"{last.fastest} from {last.first:,} on"
        else:
            parts[0] = f"{first.fastest} anywhere from {first.first:,} to {first.last:,}"
        lines.append(f"{crossover.key}: {', '.join(parts)} (asked: {crossover.asked:,})")
    return lines
