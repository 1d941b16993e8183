"""The Markov chain of a run that samples, in figures."""

from dataclasses import dataclass

from ddp.tracking.metrics import SquaredError

LEAST_SAMPLES = 20  # that show whether a chain has settled
MOST_DRIFT = 3.5  # of a chain that has settled; with 7 effective samples, one of 25 has more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The Markov chain after a round (trainer=gibbs).

    | field           | meaning                                                                   |
    |-----------------|---------------------------------------------------------------------------|
    | `valid`, `test` | the errors of the last sample alone                                       |
    | `precision`     | of the noise in it: 1 / variance                                          |
    | `count`         | the number of samples whose mean is the aggregate's prediction            |
    | `effective`     | the number of independent samples that are worth as much                  |
    | `drift`         | of the precision from the first half of the samples to the second, in     |
    |                 | standard errors; None: too few samples                                    |
    """

    valid: SquaredError
    test: SquaredError
    precision: float
    count: int
    effective: float
    drift: float | None

    @property
    def settled(self) -> bool:
        """False if the samples are too few, or if their precisions go up or down on the whole."""
        if self.drift is None:
            return False
        return self.count >= LEAST_SAMPLES and abs(self.drift) <= MOST_DRIFT
