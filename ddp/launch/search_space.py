"""The values that Optuna chooses from, read from the overrides of a sweep."""

from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ddp.errors import ConfigError


def search_space(
    overrides: dict[str, Override],
) -> tuple[dict[str, BaseDistribution], list[str]]:
    """The values to choose from by key, and the overrides that all trials have."""
    swept = {key: override for key, override in overrides.items() if override.is_sweep_override()}
    if not swept:
        raise ConfigError(
            "hydra/sweeper",
            "optuna",
            "has nothing to choose: type 'trainer.lr=interval(0.005,0.05)'",
        )
    fixed = [override.input_line or "" for key, override in overrides.items() if key not in swept]
    return {key: _distribution(key, override) for key, override in swept.items()}, fixed


def _distribution(key: str, override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _numbers(value.start, value.end, log="log" in value.tags)
        if isinstance(value, RangeSweep):
            numbers = sorted(value.range())
            return _numbers(numbers[0], numbers[-1], step=abs(value.step))
        choices: Any = override.sweep_iterator(Transformer.encode)
        return CategoricalDistribution(list(choices))
    except (ValueError, IndexError) as error:
        raise ConfigError(key, str(override.input_line).partition("=")[2], str(error)) from None


def _numbers(low: Any, high: Any, **options: Any) -> BaseDistribution:
    whole = isinstance(low, int) and isinstance(high, int)
    return (IntDistribution if whole else FloatDistribution)(low, high, **options)


def grid_of(space: dict[str, BaseDistribution]) -> dict[str, list[Any]]:
    """All values of each key. Raises ConfigError for an interval of numbers."""
    return {key: _points(key, distribution) for key, distribution in space.items()}


def _points(key: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None or distribution.log:
        raise ConfigError(key, "interval", "a grid needs choice(...) or range(...)")
    steps = round((distribution.high - distribution.low) / distribution.step)
    points = [distribution.low + step * distribution.step for step in range(steps)]
    return [*points, distribution.high]


def typed(key: str, value: Any) -> str:
    """`key=value` as one types it."""
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"
