"""Several samples of a model side by side in one, whose prediction is the mean of theirs.

A sample of dim k takes k + 2 columns, and the whole has no biases. With s samples:

    user columns   (p, b_u, 1) / sqrt(s)   of each sample
    item columns   (q, 1, b_i) / sqrt(s)

    <user, item> = sum_s (<p, q> + b_u + b_i) / s
"""

from collections.abc import Sequence

import numpy as np

from ddp.model.parameters import Parameters, Rows, Vector
from ddp.ratings.arrays import IndexArray, IntArray

MORE = 2  # columns of a sample besides its factors


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


def predicted_by_each(
    joined: Rows, number: int, users: IndexArray | IntArray, items: IndexArray | IntArray
) -> Vector:
    """The prediction of each of the `number` samples for each pair, float32 (n, number)."""
    user_rows = joined.views["user_factors"][users].reshape(len(users), number, -1)
    item_rows = joined.views["item_factors"][items].reshape(len(items), number, -1)
    predictions: Vector = np.einsum("nsd,nsd->ns", user_rows, item_rows)
    predictions *= np.float32(number)
    predictions += joined.views["global_mean"]
    return predictions
