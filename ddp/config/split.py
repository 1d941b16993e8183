"""The options of `split`: the parts that are held out, and the deal of the rest to workers."""

from ddp.config.checks import Checked, above, at_least, file_name, number, one_of, options
from ddp.config.data import CsvData, Data, MovieLensData
from ddp.errors import ConfigError

HOLDOUTS = ("random", "user", "time", "files", "canonical")
# holdout -> the setting that names its test part, as a user writes it
NAMED_BY = {"files": "test_file=FILE", "canonical": "fold=1..5"}
FOLDS = 5  # u1 to u5 of MovieLens 100K


@options
class Split(Checked):
    """The settings that every split has: the parts to hold out. `name` decides the deal.

    `Config` replaces the name auto by that of the split which goes with the aggregation.
    """

    PREFIX = "split."

    name: str
    holdout: str = one_of(HOLDOUTS)
    test_fraction: float = above(0, below=1)
    valid_fraction: float = number(least=0, below=1)
    test_file: str | None = file_name()
    fold: int | None = at_least(1, most=FOLDS)
    seed: int | None = at_least(0)

    @property
    def copies(self) -> bool:
        """True if every worker has all training ratings."""
        return self.name == "copies"

    def seed_or(self, seed: int) -> int:
        """The seed of the holdout and of synthetic ratings; `seed`: the run's."""
        return seed if self.seed is None else self.seed

    def check(self) -> None:
        for holdout, named in NAMED_BY.items():
            key, _, _ = named.partition("=")
            value = getattr(self, key)
            if value is not None and self.holdout == "random":
                self.holdout = holdout  # `random` is what conf/ says if nobody has chosen
            if (self.holdout == holdout) != (value is not None):
                raise ConfigError(
                    f"split.{key}",
                    value,
                    f"split.holdout={holdout} and split.{named} go together",
                )


@options
class DirichletSplit(Split):
    """The deal of split=dirichlet: `alpha` is the concentration over the rating values."""

    alpha: float = above(0)


def check_data(split: Split, data: Data, workers: int) -> None:
    """Raises ConfigError if the data lack something that the split needs."""
    paths = data.paths if isinstance(data, CsvData) else None
    if split.name == "files" and (paths is None or len(paths) != workers):
        files = "none" if paths is None else str(len(paths))
        raise ConfigError(
            "split",
            "files",
            f"needs data=csv and one file per worker in data.paths: workers={workers},"
            f" files: {files}",
        )
    if split.holdout == "canonical" and data.name != "ml100k":
        raise ConfigError(
            "split.holdout",
            "canonical",
            f"needs data=ml100k, which alone has canonical folds, not data={data.name}; or choose"
            " another split.holdout",
        )
    choices = {"split": split.name, "split.holdout": split.holdout}
    needs_time = [f"{key}=time" for key, value in choices.items() if value == "time"]
    has_time = isinstance(data, MovieLensData) or (
        isinstance(data, CsvData) and data.timestamp is not None
    )
    if needs_time and not has_time:
        raise ConfigError(
            "data",
            data.name,
            f"has no timestamps, which {needs_time[0]} needs (data=csv: set data.timestamp)",
        )
