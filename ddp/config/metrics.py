"""The names of `metrics`: the errors of predictions, and the quality of ranked lists of items.

| name       | the test part's                                                                    |
|------------|------------------------------------------------------------------------------------|
| `rmse`     | root mean squared error                                                            |
| `mae`      | mean absolute error                                                                |
| `ndcg@K`   | normalised discounted cumulative gain of the K best unseen items, mean over users  |
| `recall@K` | share of a user's relevant items among the K best unseen ones, mean over users     |
"""

import re
from collections.abc import Sequence

from ddp.errors import ConfigError

RMSE, MAE, NDCG, RECALL = "rmse", "mae", "ndcg", "recall"
KNOWN = "rmse, mae, ndcg@K, recall@K (K: a whole number of at least 1, as in ndcg@10)"
_RANKING = re.compile(rf"({NDCG}|{RECALL})@([1-9][0-9]{{0,8}})")


def check_metrics(key: str, names: Sequence[str]) -> None:
    """The rule of `metrics`. Raises ConfigError, which lists the known names."""
    for name in names:
        if not is_metric(name):
            raise ConfigError(key, name, f"choose from {KNOWN}")


def with_rmse(names: Sequence[str]) -> list[str]:
    """Each of the names once, and rmse before them: every run has it."""
    return [*dict.fromkeys([RMSE, *names])]


def is_metric(name: str) -> bool:
    """True for a metric that `metrics` may name."""
    return name in (RMSE, MAE) or is_ranking(name)


def is_ranking(name: str) -> bool:
    """True for a metric of ranked lists, of which a higher value is better."""
    return _RANKING.fullmatch(name) is not None


def ranking_metrics(names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Those of the names that are about ranked lists: name -> its kind (NDCG, RECALL) and its K."""
    found = {name: _RANKING.fullmatch(name) for name in names}
    return {name: (match[1], int(match[2])) for name, match in found.items() if match}
