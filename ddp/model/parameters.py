"""The state of a model: named parameters that are views of one flat float32 vector, without torch.

rating(u, i) = global_mean + user_bias[u] + item_bias[i] + <user_factors[u], item_factors[i]>
(Koren, Bell, Volinsky: Matrix factorization techniques for recommender systems, IEEE Computer 2009,
eq. 4). The mean is that of the training ratings. As in the source, training does not change it: a
step per rating would make it follow the last few ratings.
"""

from math import prod

import numpy as np
import numpy.typing as npt

from ddp.config import seeding
from ddp.config.model import Model

Vector = npt.NDArray[np.float32]
EMPTY_VECTOR: Vector = np.empty(0, np.float32)


def parameter_shapes(
    num_users: int, num_items: int, dim: int, biases: bool
) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter, in the order in which they lie in the vector."""
    shapes: dict[str, tuple[int, ...]] = {
        "user_factors": (num_users, dim),
        "item_factors": (num_items, dim),
    }
    if biases:
        shapes |= {"user_bias": (num_users,), "item_bias": (num_items,)}
    return shapes | {"global_mean": (1,)}


class Rows:
    """The parameters of some users and items.

    `views`: name -> view of the vector of a `Parameters`.
    """

    def __init__(self, views: dict[str, Vector]) -> None:
        self.views = views
        self.num_users, self.dim = views["user_factors"].shape
        self.num_items = len(views["item_factors"])
        self.biases = "user_bias" in views

    def block(self, users: slice, items: slice) -> "Rows":
        """The parameters of a range of these users and a range of these items."""
        ranges = {
            "user_factors": users,
            "user_bias": users,
            "item_factors": items,
            "item_bias": items,
        }
        return Rows(
            {name: view[ranges.get(name, slice(None))] for name, view in self.views.items()}
        )


class Parameters(Rows):
    """The parameters of all users and items, in one flat float32 vector.

    `vector` is the whole state, and the views give names to its parts. The constructor does not
    copy the `vector` that it gets; without one the parameters are zero.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        dim: int,
        *,
        biases: bool = True,
        vector: Vector | None = None,
    ) -> None:
        shapes = parameter_shapes(num_users, num_items, dim, biases)
        length = sum(prod(shape) for shape in shapes.values())
        self.vector: Vector = np.zeros(length, np.float32) if vector is None else vector
        if self.vector.shape != (length,) or self.vector.dtype != np.float32:
            raise ValueError(
                f"expected a float32 vector of length {length}, got {self.vector.dtype}"
                f" {self.vector.shape}"
            )
        views: dict[str, Vector] = {}
        start = 0
        for name, shape in shapes.items():
            views[name] = self.vector[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        super().__init__(views)

    def like(self) -> "Parameters":
        """New parameters of the same sizes, at zero."""
        return Parameters(self.num_users, self.num_items, self.dim, biases=self.biases)


def initial_vector(
    model: Model,
    num_users: int,
    num_items: int,
    global_mean: float,
    seed: int,
    *member: int,
) -> Vector:
    """The state that every worker starts from, float32 (n,).

    It has normal factors, zero biases and the mean of the training ratings. The draws depend on
    `seed` and `member` only. `member`: in an ensemble the worker, which has a start of its own.
    """
    start = Parameters(num_users, num_items, model.dim, biases=model.biases)
    # the two factor matrices come first in the vector
    num_factors = (num_users + num_items) * model.dim
    random = seeding.stream(seed, "init", *member).standard_normal(num_factors, dtype=np.float32)
    start.vector[:num_factors] = random * np.float32(model.init_std)
    start.vector[-1] = global_mean
    return start.vector
