"""Matrix factorisation with biases, whose parameters are named views of one flat float32 vector.

rating(u, i) = global_mean + user_bias[u] + item_bias[i] + <user_factors[u], item_factors[i]>
(Koren, Bell, Volinsky: Matrix factorization techniques for recommender systems, IEEE Computer 2009, eq. 4).
"""

from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ddp import options, seeding

Vector = npt.NDArray[np.float32]

EVALUATION_CHUNK = 1 << 18  # ratings predicted at a time: bounds the temporaries at dim 256 to 2 x 256 MiB


def parameter_shapes(num_users: int, num_items: int, dim: int, biases: bool) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter, in the order in which they lie in the vector."""
    shapes: dict[str, tuple[int, ...]] = {"user_factors": (num_users, dim), "item_factors": (num_items, dim)}
    if biases:
        shapes |= {"user_bias": (num_users,), "item_bias": (num_items,)}
    return shapes | {"global_mean": (1,)}


class CollabFiltering(nn.Module):
    """The model. `vector` (float32, flat) is all of its state: whoever writes into it changes the parameters in place.

    A given `vector` is used as it is, not copied; without one the parameters start at zero.
    """

    user_factors: Tensor
    item_factors: Tensor
    user_bias: Tensor
    item_bias: Tensor
    global_mean: Tensor

    def __init__(self, num_users: int, num_items: int, dim: int, *, biases: bool = True, vector: Vector | None = None) -> None:
        super().__init__()
        shapes = parameter_shapes(num_users, num_items, dim, biases)
        length = sum(prod(shape) for shape in shapes.values())
        self.vector: Vector = np.zeros(length, np.float32) if vector is None else vector
        if self.vector.shape != (length,) or self.vector.dtype != np.float32:
            raise ValueError(f"expected a float32 vector of length {length}, got {self.vector.dtype} {self.vector.shape}")
        flat = torch.from_numpy(self.vector)
        start = 0
        for name, shape in shapes.items():
            # A Parameter made from a view shares its storage and is still a leaf, so any torch optimiser writes
            # straight into the vector.
            self.register_parameter(name, nn.Parameter(flat[start : start + prod(shape)].view(shape)))
            start += prod(shape)
        self.biases = biases

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predictions, float32 (n,), not clipped, for int32 or int64 `users` and `items` (n,)."""
        factors = functional.embedding(users, self.user_factors) * functional.embedding(items, self.item_factors)
        predictions = factors.sum(-1) + self.global_mean
        if self.biases:
            predictions = predictions + self.user_bias.index_select(0, users) + self.item_bias.index_select(0, items)
        return predictions

    @torch.no_grad()
    def predict(self, users: Tensor, items: Tensor, rating_min: float, rating_max: float) -> Vector:
        """Predictions (n,) clipped to the rating scale, computed in chunks and without gradients."""
        chunks = [
            self(users[start : start + EVALUATION_CHUNK], items[start : start + EVALUATION_CHUNK])
            for start in range(0, len(users), EVALUATION_CHUNK)
        ]
        if not chunks:
            return np.zeros(0, np.float32)
        clipped: Vector = torch.cat(chunks).clamp_(rating_min, rating_max).numpy()
        return clipped


def initial_vector(model: options.Model, num_users: int, num_items: int, global_mean: float, seed: int) -> Vector:
    """The state that every worker starts from: normal factors, zero biases, the training mean. Depends on the seed only."""
    start = CollabFiltering(num_users, num_items, model.dim, biases=model.biases)
    num_factors = (num_users + num_items) * model.dim  # both factor matrices come first in the vector
    random = seeding.stream(seed, "init").standard_normal(num_factors, dtype=np.float32)
    start.vector[:num_factors] = random * np.float32(model.init_std)
    start.vector[-1] = global_mean
    return start.vector
