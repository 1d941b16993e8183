"""The deal of the ratings to workers, checked against the config."""

from ddp.config.schema import Config
from ddp.counting import counted
from ddp.errors import ConfigError
from ddp.ratings.arrays import Ratings
from ddp.ratings.splits import Deal, make_split


def deal_of(config: Config, ratings: Ratings) -> Deal:
    """The ratings of each worker.

    Raises ConfigError or DataError if the split is impossible, or if a worker's shard lacks a part
    that the config needs.
    """
    deal = make_split(ratings, config.split, config.workers, config.seed, ratings.test_rows)
    if not config.has_owners:  # their workers select no state
        _check_parts(config, deal)
    return deal


def _check_parts(config: Config, deal: Deal) -> None:
    """Raises ConfigError if a shard lacks the part that selects or weighs its worker's state."""
    part = config.judged_on
    if part is None:
        return
    for worker in range(config.workers):
        if deal.size(part, worker) == 0:
            raise ConfigError(
                "workers",
                config.workers,
                f"worker {worker}'s shard has"
                f" {counted(deal.size('train', worker), 'training rating')} but none in its {part}"
                f" part; use fewer workers, a larger split.{part}_fraction, or select_on=last with"
                " aggregation=uniform",
            )
