"""The RMSEs of the simplest predictors (ddp/ratings/baselines.py), in words.

It loads no numpy: the table of results has them too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ddp.machine.printable import printable
from ddp.results.run_file import RunFile


def in_words(told: Any) -> str:
    """The test RMSE of each predictor, from the `baselines` of a result.json.

    "" if they are not known, or damaged.
    """
    known = told if isinstance(told, Mapping) else {}
    rmses = {name: each.get("test") for name, each in known.items() if isinstance(each, Mapping)}
    figures = [f"{name} {rmse:.4f}" for name, rmse in rmses.items() if isinstance(rmse, float)]
    return printable(f"test RMSE of {', '.join(figures)}") if figures else ""


def of_runs(runs: Iterable[RunFile]) -> list[str]:
    """The different ones among these runs: those with the same held out ratings have the same."""
    told = dict.fromkeys(in_words(run.content.get("baselines")) for run in runs)
    return [text for text in told if text]
