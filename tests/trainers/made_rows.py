"""Made arguments of the kernels that make rows anew, and what numpy makes of them."""

from dataclasses import dataclass, field

import numpy as np

from ddp.machine.compiled.lanes import lines_before
from ddp.trainers.posterior.arguments import Prior, RowRatings, Rule, Side
from ddp.trainers.posterior.places import memory_floats
from ddp.trainers.posterior.priors import lay_out
from ddp.trainers.posterior.rows import draw_rows

MEAN, PRECISION = np.float32(3.5), np.float32(1.7)


def read_only(array):
    array.flags.writeable = False
    return array


def made_side(generator, num_rows, dim):
    return Side(
        generator.normal(0, 0.4, (num_rows, dim)).astype(np.float32),
        generator.normal(0, 0.3, num_rows).astype(np.float32),
        generator.uniform(0.5, 2, num_rows).astype(np.float32),
    )


def made_prior(generator, dim, strength=4.0):
    size = dim + 1
    root = generator.normal(size=(size, 2 * size))
    lines = np.zeros((lines_before(-(-dim // 8)), 8), np.float32)
    prior = Prior(
        root @ root.T / size + strength * np.eye(size),
        generator.normal(0, 0.3, size),
        lines,
        np.zeros(size, np.float32),
        np.zeros((size, size), np.float32),
    )
    lay_out(prior)
    return prior


def ratings_of(counts, num_others, seed=0):
    """Row n has counts[n] ratings."""
    generator = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    others = generator.integers(0, num_others, starts[-1]).astype(np.int32)
    values = generator.integers(1, 6, starts[-1]).astype(np.float32)
    return RowRatings(starts, read_only(others), read_only(values))


def some_rows(ratings, first, stop):
    """Those of some rows alone."""
    begin, end = ratings.starts[first], ratings.starts[stop]
    return RowRatings(
        ratings.starts[first : stop + 1] - begin,
        read_only(ratings.others[begin:end].copy()),
        read_only(ratings.values[begin:end].copy()),
    )


@dataclass
class Made:
    """Rows of a side with made ratings for made rows of the other side."""

    dim: int
    counts: tuple[int, ...]
    noise: float = 0.0
    weighted: float = 0.0
    key: int = 7
    own: Side = field(init=False)
    other: Side = field(init=False)
    prior: Prior = field(init=False)
    ratings: RowRatings = field(init=False)
    terms: np.ndarray = field(init=False)

    def __post_init__(self):
        generator = np.random.default_rng(self.dim)
        self.own = made_side(generator, len(self.counts), self.dim)
        self.other = made_side(generator, 60, self.dim)
        self.prior = made_prior(generator, self.dim)
        self.ratings = ratings_of(self.counts, 60)
        self.right = self.prior.right[None, :].copy()
        self.memory = np.zeros(memory_floats(self.dim), np.float32)
        self.terms = np.zeros(len(self.counts))

    @property
    def rule(self):
        numbers = self.noise, self.weighted, 0
        return Rule(*(np.float32(number) for number in numbers), np.uint64(self.key))

    def draw(self, first=0, stop=None):
        """Makes some rows, and gives all of them: (n, dim + 1), the bias first."""
        stop = len(self.counts) if stop is None else stop
        draw_rows(
            some_rows(self.ratings, first, stop),
            first,
            self.own,
            self.other,
            MEAN,
            PRECISION,
            self.prior,
            self.right,
            self.rule,
            self.terms[first:stop],
            self.memory,
        )
        return self.rows

    @property
    def rows(self):
        return np.column_stack([self.own.bias, self.own.factors])

    def targets(self, row):
        """Of its ratings: t, the lines (1, q), and the trusts of the other rows, in float64."""
        places = slice(*self.ratings.starts[row : row + 2])
        others = self.ratings.others[places]
        t = self.ratings.values[places] - np.float64(MEAN) - self.other.bias[others]
        lines = np.column_stack([np.ones(len(others)), self.other.factors[others]])
        return t, lines.astype(np.float64), self.other.trust[others].astype(np.float64)

    def system(self, row):
        """M and b."""
        t, lines, trusts = self.targets(row)
        h = np.float64(PRECISION) * np.float64(self.own.trust[row])
        added = self.weighted * max(trusts.sum(), 1) * np.eye(self.dim + 1)
        matrix = h * (lines.T * trusts) @ lines + self.prior.matrix + added
        right = self.right[min(row, len(self.right) - 1)].astype(np.float64)
        return matrix, h * (lines.T * trusts) @ t + right

    def solved(self):
        """M^-1 b of all rows."""
        return np.array([np.linalg.solve(*self.system(row)) for row in range(len(self.counts))])
