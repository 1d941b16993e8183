"""The figures of the simplest predictors (ddp/ratings/baselines.py, ranking.py), in words.

It loads no numpy: the table of results has them too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ddp.machine.printable import printable
from ddp.results.run_file import RunFile


def in_words(told: Any, ranked: Any) -> list[str]:
    """The test RMSE of each predictor; the ranking metrics of the most popular items.

    `told`, `ranked`: the `baselines` and `ranked` of a result.json. A text is left out if its
    figures are not known, or damaged.
    """
    known = told if isinstance(told, Mapping) else {}
    rmses = {name: each.get("test") for name, each in known.items() if isinstance(each, Mapping)}
    popular = ranked.get("most_popular") if isinstance(ranked, Mapping) else None
    texts = {
        "test RMSE of": _figures(rmses),
        "most popular items:": _figures(popular if isinstance(popular, Mapping) else {}),
    }
    return [printable(f"{label} {text}") for label, text in texts.items() if text]


def _figures(values: Mapping[Any, Any]) -> str:
    known = {name: value for name, value in values.items() if isinstance(value, float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in known.items())


def of_runs(runs: Iterable[RunFile]) -> list[str]:
    """The different ones among these runs: those with the same held out ratings have the same."""
    told = [in_words(run.content.get("baselines"), run.content.get("ranked")) for run in runs]
    return [*dict.fromkeys(text for texts in told for text in texts)]
