"""The model as a torch module over its parameters' vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddp.model.parameters import Parameters, Rows, Vector

# Ratings to predict at a time: at dim 256 the temporaries take at most 2 x 256 MiB.
EVALUATION_CHUNK = 1 << 18


class CollabFiltering(nn.Module):
    """Matrix factorisation with biases, over the vector of `Parameters`.

    `vector` is the whole state: a write into it changes the parameters in place. The constructor
    does not copy the `vector` that it gets; without one the parameters are zero. The global mean is
    a buffer, so no optimizer changes it.
    """

    user_factors: Tensor
    item_factors: Tensor
    user_bias: Tensor
    item_bias: Tensor
    global_mean: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int,
        *,
        biases: bool = True,
        vector: Vector | None = None,
    ) -> None:
        parameters = Parameters(num_users, num_items, dim, biases=biases, vector=vector)
        self._read(parameters)
        self.vector = parameters.vector

    @classmethod
    def over(cls, rows: Rows) -> "CollabFiltering":
        """The module whose parameters are those of `rows`; it has no vector of its own."""
        module = cls.__new__(cls)
        module._read(rows)
        return module

    def _read(self, rows: Rows) -> None:
        super().__init__()
        *learned, (_, mean) = rows.views.items()
        self.register_buffer("global_mean", torch.from_numpy(mean))
        for name, view in learned:
            # A Parameter over a view shares its memory and is still a leaf, so any torch optimizer
            # writes straight into the vector.
            self.register_parameter(name, nn.Parameter(torch.from_numpy(view)))
        self.biases = rows.biases

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Predictions, float32 (n,), not clipped, for int32 or int64 `users` and `items` (n,)."""
        factors = functional.embedding(users, self.user_factors) * functional.embedding(
            items, self.item_factors
        )
        predictions = factors.sum(-1) + self.global_mean
        if self.biases:
            predictions = (
                predictions
                + self.user_bias.index_select(0, users)
                + self.item_bias.index_select(0, items)
            )
        return predictions

    @torch.no_grad()
    def predict(self, users: Tensor, items: Tensor, rating_min: float, rating_max: float) -> Vector:
        """Predictions (n,) clipped to the rating scale, in chunks and without gradients."""
        chunks = [
            self(users[start : start + EVALUATION_CHUNK], items[start : start + EVALUATION_CHUNK])
            for start in range(0, len(users), EVALUATION_CHUNK)
        ]
        if not chunks:
            return torch.zeros(0).numpy()
        clipped: Vector = torch.cat(chunks).clamp_(rating_min, rating_max).numpy()
        return clipped
