"""The options of `split`: the parts that are held out, and the deal of the rest to workers."""

from ddp.config.checks import Checked, above, at_least, file_name, number, one_of, options
from ddp.errors import ConfigError

HOLDOUTS = ("random", "user", "time", "files")


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
    seed: int | None = at_least(0)

    @property
    def copies(self) -> bool:
        """True if every worker has all training ratings."""
        return self.name == "copies"

    def seed_or(self, seed: int) -> int:
        """The seed of the holdout and of synthetic ratings; `seed`: the run's."""
        return seed if self.seed is None else self.seed

    def check(self) -> None:
        if self.test_file is not None and self.holdout == "random":
            self.holdout = "files"  # `random` is what conf/ says if nobody has chosen
        if (self.holdout == "files") != (self.test_file is not None):
            raise ConfigError(
                "split.test_file",
                self.test_file,
                "split.holdout=files and split.test_file=FILE go together",
            )


@options
class DirichletSplit(Split):
    """The deal of split=dirichlet: `alpha` is the concentration over the rating values."""

    alpha: float = above(0)
