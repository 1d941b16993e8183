"""Several samples of a model side by side in one, whose prediction is the mean of theirs.

A sample of dim k takes k + 2 columns, and the whole has no biases. With s samples:

    user columns   (p, b_u, 1) / sqrt(s)   of each sample
    item columns   (q, 1, b_i) / sqrt(s)

    <user, item> = sum_s (<p, q> + b_u + b_i) / s
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import IndexArray, IntArray

MORE = 2  # columns of a sample besides its factors
CHUNK = 1 << 20  # numbers of samples at a time, to save RAM
Indices = IndexArray | IntArray


def side_by_side(samples: Sequence[Parameters]) -> Parameters:
    """The samples in one model, in their order."""
    first, width = samples[0], samples[0].dim + MORE
    joined = Parameters(first.num_users, first.num_items, len(samples) * width, biases=False)
    share = np.float32(len(samples) ** -0.5)
    for place, sample in enumerate(samples):
        columns = slice(place * width, (place + 1) * width)
        for kind, bias_at, one_at in (("user", -2, -1), ("item", -1, -2)):
            own = joined.views[f"{kind}_factors"][:, columns]
            np.multiply(sample.views[f"{kind}_factors"], share, out=own[:, :-MORE])
            np.multiply(sample.views[f"{kind}_bias"], share, out=own[:, bias_at])
            own[:, one_at] = share
    joined.views["global_mean"][:] = first.views["global_mean"]
    return joined


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of ratings around the predictions of samples.

    `precisions`: of each sample. `users`, `items`: the mean of 1 / trust over the samples, float32;
    see ddp/trainers/posterior/trusts.py.
    """

    precisions: tuple[float, ...]
    users: Vector
    items: Vector

    def variances(self, users: Indices, items: Indices) -> Vector:
        """That of the rating of each pair around its mean."""
        common = np.float32(np.mean(1 / np.array(self.precisions)))
        variances: Vector = common * self.users[users] * self.items[items]
        return variances


def moments(
    joined: Rows, number: int, users: Indices, items: Indices, scale: tuple[float, float]
) -> tuple[Vector, Vector]:
    """The mean and the variance over the `number` samples of the prediction for each pair.

    The prediction of each sample is clipped to the scale.
    """
    means, variances = np.empty(len(users), np.float32), np.empty(len(users), np.float32)
    length = max(1, CHUNK // joined.dim)
    for start in range(0, len(users), length):
        some = slice(start, start + length)
        each = _by_each(joined, number, users[some], items[some]).clip(*scale)
        means[some], variances[some] = each.mean(axis=1), each.var(axis=1)
    return means, variances


def _by_each(joined: Rows, number: int, users: Indices, items: Indices) -> Vector:
    """The prediction of each of the `number` samples for each pair, float32 (n, number)."""
    user_rows = joined.views["user_factors"][users].reshape(len(users), number, -1)
    item_rows = joined.views["item_factors"][items].reshape(len(items), number, -1)
    predictions: Vector = np.einsum("nsd,nsd->ns", user_rows, item_rows)
    predictions *= np.float32(number)
    predictions += joined.views["global_mean"]
    return predictions
