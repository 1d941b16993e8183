"""A trained model that predicts by the data's own ids, with numpy alone."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from ddp.counting import counted
from ddp.model.parameters import Parameters, Vector
from ddp.model.rows import predicted
from ddp.model.samples import Noise, moments
from ddp.ratings.arrays import IndexArray
from ddp.results.ids import Id, Ids, KnownIds

if TYPE_CHECKING:
    from ddp.model.torch_module import CollabFiltering

Unknown = Literal["partial", "error"]
Deviation = Literal["prediction", "rating"]
NO_SAMPLES = "this model holds no samples, so no deviation is known: train it with trainer=gibbs"


class SavedModel:
    """A trained model, as `ddp.load_model` returns it."""

    def __init__(
        self,
        parameters: Parameters,
        scale: tuple[float, float],
        catalogue: dict[str, npt.NDArray[Any]],
        noise: Noise | None = None,
    ) -> None:
        self.noise = noise  # of the samples that lie side by side in the parameters
        self.precisions = () if noise is None else noise.precisions
        self.parameters = parameters
        self.rating_min, self.rating_max = scale
        self.user_ids, self.item_ids = catalogue["user_ids"], catalogue["item_ids"]
        self.titles = catalogue.get("titles")
        self.known_users = KnownIds(self.user_ids, "user")
        self.known_items = KnownIds(self.item_ids, "item")
        self._seen_starts, self._seen_items = catalogue["seen_starts"], catalogue["seen_items"]

    @cached_property
    def model(self) -> "CollabFiltering":
        """The model as a torch module, over the same memory."""
        from ddp.model.torch_module import CollabFiltering

        own = self.parameters
        return CollabFiltering(
            own.num_users, own.num_items, own.dim, biases=own.biases, vector=own.vector
        )

    @overload
    def predict(
        self, users: Ids, items: Ids, unknown: Unknown = "partial", std: Literal[False] = False
    ) -> Vector | float: ...

    @overload
    def predict(
        self,
        users: Ids,
        items: Ids,
        unknown: Unknown = "partial",
        *,
        std: Literal[True] | Deviation,
    ) -> tuple[Vector | float, Vector | float]: ...

    def predict(
        self,
        users: Ids,
        items: Ids,
        unknown: Unknown = "partial",
        std: bool | Deviation = False,
    ) -> Vector | float | tuple[Vector | float, Vector | float]:
        """The predicted rating of each pair of a user's and an item's id, within the scale.

        Ids come in lists, arrays or columns of pandas. A single id goes with every id of the other
        side; two single ids give one number. `unknown` is for ids that the model's data does not
        have: "partial" predicts from the known id of the pair, or gives the mean rating if both are
        unknown; "error" raises KeyError. Raises ValueError for a value that is no id.

        `std` adds the standard deviation of each prediction, for a model that holds samples
        (trainer=gibbs; else ValueError):

        | `std`              | the deviation of                                                    |
        |--------------------|---------------------------------------------------------------------|
        | True, "prediction" | the mean rating that the user would give: how sure the model is     |
        | "rating"           | a single rating: the noise of ratings comes on top                  |
        """
        refuse = _refuses(unknown)
        user_rows = self.known_users.rows(users, refuse=refuse)
        item_rows = self.known_items.rows(items, refuse=refuse)
        if user_rows.ndim and item_rows.ndim and len(user_rows) != len(item_rows):
            raise ValueError(
                f"{counted(len(user_rows), 'user')} but {counted(len(item_rows), 'item')}: they"
                " are taken in pairs"
            )
        user_rows, item_rows = np.broadcast_arrays(user_rows, item_rows)
        pairs = np.atleast_1d(user_rows), np.atleast_1d(item_rows)

        def told(values: Vector) -> Vector | float:
            return values if user_rows.ndim else float(values[0])

        predictions = told(self.predict_rows(*pairs))
        return (predictions, told(self.deviations(*pairs, _kind(std)))) if std else predictions

    def top_items(
        self, user: Id, n: int = 10, unknown: Unknown = "partial", minus_std: float = 0.0
    ) -> list[tuple[int | str, str, float]]:
        """The `n` best items that the user has not rated: id, title, predicted rating.

        The title is "" where the data has none; equal predictions come in the order of the ids.
        `unknown`: as in `predict`; of an unknown user all items count as not rated.

        With `minus_std` the best items are those with the highest lower bound: the prediction less
        so many of its standard deviations. They are known for a model that holds samples.
        """
        if n < 0:
            raise ValueError(f"n={n}: must not be negative")
        row = self.known_users.rows(user, refuse=_refuses(unknown))
        if row.ndim:
            raise ValueError(f"{counted(len(row), 'user')}: give one id")
        # of row -1 a range that ends before it begins
        seen = self._seen_items[self._seen_starts[row] : self._seen_starts[row + 1]]
        unseen = np.setdiff1d(np.arange(len(self.item_ids)), seen)
        users = np.full(len(unseen), row)
        predictions = bounds = self.predict_rows(users, unseen)
        if minus_std:
            deviations = self.deviations(users, unseen, "prediction")
            bounds = predictions - minus_std * np.nan_to_num(deviations)
        best = np.argsort(-bounds, kind="stable")[:n]
        return [
            (
                self.item_ids[item].item(),
                "" if self.titles is None else str(self.titles[item]),
                float(prediction),
            )
            for item, prediction in zip(unseen[best], predictions[best], strict=True)
        ]

    def predict_rows(self, users: IndexArray, items: IndexArray) -> Vector:
        """The same as `predict`, by rows of the parameters; -1 is an unknown user or item."""
        if self.precisions:
            predictions = self._moments(users, items)[0]
        else:
            predictions = predicted(self.parameters, users, items)
        alone = (users < 0) | (items < 0)
        if alone.any():
            user_terms, item_terms = self._terms_alone
            terms = user_terms[users[alone]] + item_terms[items[alone]]
            predictions[alone] = terms + self.parameters.views["global_mean"]
        return predictions.clip(self.rating_min, self.rating_max)

    def deviations(self, users: IndexArray, items: IndexArray, kind: Deviation) -> Vector:
        """The standard deviations of predictions, by rows of the parameters; see `predict`.

        They are NaN for unknown users and items. Raises ValueError for a model without samples.
        """
        if self.noise is None:
            raise ValueError(NO_SAMPLES)
        variances = self._moments(users, items)[1]
        if kind == "rating":
            variances += self.noise.variances(users, items)
        variances[(users < 0) | (items < 0)] = np.nan
        deviations: Vector = np.sqrt(variances)
        return deviations

    def _moments(self, users: IndexArray, items: IndexArray) -> tuple[Vector, Vector]:
        """The mean and the variance of the samples' predictions for each pair."""
        number = len(self.precisions)
        return moments(self.parameters, number, users, items, (self.rating_min, self.rating_max))

    @cached_property
    def _terms_alone(self) -> tuple[Vector, Vector]:
        """The terms of all users, and of all items, where the other id of the pair is unknown.

        The prediction is the mean plus this term: the bias, or, in a model without biases, the
        product with the average factors of the other side, where each user or item counts once per
        rating. The last term is 0, that of an unknown id.
        """
        views = self.parameters.views
        if self.parameters.biases:
            terms = views["user_bias"], views["item_bias"]
        else:
            num_rated = np.diff(self._seen_starts)
            num_raters = np.bincount(self._seen_items, minlength=len(self.item_ids))
            users, items = views["user_factors"], views["item_factors"]
            terms = users @ _average(items, num_raters), items @ _average(users, num_rated)
        return np.append(terms[0], np.float32(0)), np.append(terms[1], np.float32(0))


def _average(factors: Vector, counts: IndexArray) -> Vector:
    average: Vector = (counts / max(counts.sum(), 1)).astype(np.float32) @ factors
    return average


def _kind(std: bool | Deviation) -> Deviation:
    if std is True:
        return "prediction"
    if std not in ("prediction", "rating"):
        raise ValueError(f"std={std!r}: must be True, False, 'prediction' or 'rating'")
    return std


def _refuses(unknown: str) -> bool:
    if unknown not in ("partial", "error"):
        raise ValueError(f"unknown={unknown!r}: must be 'partial' or 'error'")
    return unknown == "error"
