"""Writes a trained model and loads it again, to predict by the data's own ids.

The files contain no pickle.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ddp.config.model import Model
from ddp.errors import DataError
from ddp.machine.files import atomic_file, in_fixed_order
from ddp.machine.npz import read_arrays
from ddp.model.parameters import Parameters, Vector, parameter_shapes
from ddp.model.samples import Noise
from ddp.ratings.arrays import Ratings
from ddp.results.predicting import SavedModel

MODEL_FILE, CATALOGUE_FILE = "model.safetensors", "catalogue.npz"
NOISES = ("user_noise", "item_noise")  # tensors of a model that holds samples


def save_model(
    directory: Path,
    options: Model,
    vector: Vector,
    ratings: Ratings,
    noise: Noise | None = None,
) -> None:
    """Writes model.safetensors and catalogue.npz.

    The first has the named parameters; the second has ids, titles, and the items that each user has
    rated. `noise`: that of the samples that lie side by side in the model, if it has any.
    """
    _save_parameters(directory / MODEL_FILE, options, vector, ratings, noise)
    _save_catalogue(directory / CATALOGUE_FILE, ratings)


def _save_parameters(
    path: Path, options: Model, vector: Vector, ratings: Ratings, noise: Noise | None
) -> None:
    parameters = Parameters(
        ratings.num_users, ratings.num_items, options.dim, biases=options.biases, vector=vector
    )
    metadata = {"rating_min": repr(ratings.rating_min), "rating_max": repr(ratings.rating_max)}
    tensors = dict(parameters.views)
    if noise is not None:
        metadata["precisions"] = json.dumps(noise.precisions)
        tensors |= zip(NOISES, (noise.users, noise.items), strict=True)
    with atomic_file(path) as file:
        file.write(in_fixed_order(save(tensors, metadata)))


def _save_catalogue(path: Path, ratings: Ratings) -> None:
    # by user, then by item
    # In place: with a copy for each step, this would be the largest moment of a run.
    pairs = ratings.users.astype(np.int64)
    pairs *= ratings.num_items
    pairs += ratings.items
    pairs.sort()
    starts = np.searchsorted(pairs, np.arange(ratings.num_users + 1) * ratings.num_items)
    seen_items = np.empty(len(pairs), np.int32)
    np.remainder(pairs, ratings.num_items, out=seen_items, casting="same_kind")
    del pairs
    arrays: dict[str, npt.NDArray[Any]] = {
        "user_ids": ratings.user_ids,
        "item_ids": ratings.item_ids,
        "seen_starts": starts,
        "seen_items": seen_items,
    }
    if ratings.titles is not None:
        arrays["titles"] = ratings.titles
    with atomic_file(path) as file:
        # numpy's stub takes **arrays for allow_pickle
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_model(run_dir: str | Path) -> SavedModel:
    """Loads the final model of a run.

    Raises DataError if the directory holds none, or a damaged one.
    """
    directory = Path(run_dir)
    try:
        with safe_open(directory / MODEL_FILE, framework="numpy") as file:
            names = file.keys()  # `file` is no dict and cannot be iterated
            tensors = {name: file.get_tensor(name) for name in names}
            metadata: dict[str, str] = file.metadata() or {}
        saved = _model_of(tensors, metadata, read_arrays(directory / CATALOGUE_FILE))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{directory} holds no complete model ({error}); a finished run has {MODEL_FILE} and"
            f" {CATALOGUE_FILE}"
        ) from None
    return saved


def _model_of(
    tensors: dict[str, npt.NDArray[Any]],
    metadata: dict[str, str],
    catalogue: dict[str, npt.NDArray[Any]],
) -> SavedModel:
    """Makes a model of the contents of its two files.

    Raises KeyError, TypeError or ValueError if they do not fit.
    """
    num_users, dim = tensors["user_factors"].shape
    num_items = len(catalogue["item_ids"])
    if (len(catalogue["user_ids"]), num_items) != (num_users, len(tensors["item_factors"])):
        raise ValueError("the model and the catalogue are of different runs")
    _check_catalogue(catalogue)
    biases = "user_bias" in tensors
    for name, shape in parameter_shapes(num_users, num_items, dim, biases).items():
        if (
            tensors[name].shape != shape
            or tensors[name].dtype != np.float32
            or not np.isfinite(tensors[name]).all()
        ):
            raise ValueError(f"{name} is not made of finite 32-bit numbers in shape {shape}")
    scale = float(metadata["rating_min"]), float(metadata["rating_max"])
    if not -math.inf < scale[0] <= scale[1] < math.inf:
        raise ValueError(f"the scale is {scale[0]:g} to {scale[1]:g}")
    parameters = Parameters(num_users, num_items, dim, biases=biases)
    for name, view in parameters.views.items():
        view[...] = tensors[name]
    noise = _noise_of(tensors, metadata, parameters) if "precisions" in metadata else None
    return SavedModel(parameters, scale, catalogue, noise)


def _noise_of(
    tensors: dict[str, npt.NDArray[Any]], metadata: dict[str, str], parameters: Parameters
) -> Noise:
    """The noise of a model that holds samples. Raises KeyError, TypeError or ValueError."""
    precisions = tuple(map(float, json.loads(metadata["precisions"])))
    if (
        parameters.biases
        or not precisions
        or parameters.dim % len(precisions)
        or not all(0 < each < math.inf for each in precisions)
    ):
        raise ValueError(f"it does not hold {len(precisions)} samples")
    lengths = parameters.num_users, parameters.num_items
    users, items = (tensors[name] for name in NOISES)
    for noise, length in zip((users, items), lengths, strict=True):
        if (
            noise.shape != (length,)
            or noise.dtype != np.float32
            or not ((noise > 0) & (noise < np.inf)).all()
        ):
            raise ValueError("its noise is not made of positive 32-bit numbers")
    return Noise(precisions, users, items)


def _check_catalogue(catalogue: dict[str, npt.NDArray[Any]]) -> None:
    """Raises KeyError or ValueError unless the catalogue is complete.

    It needs sorted ids, a title per item or no titles, and each user's range of rated items.
    """
    users, items, starts, seen = (
        catalogue[name] for name in ("user_ids", "item_ids", "seen_starts", "seen_items")
    )
    titles = catalogue.get("titles")
    for ids in (users, items):
        if (
            ids.ndim != 1
            or not ids.size
            or ids.dtype.kind not in "iU"
            or not (ids[1:] > ids[:-1]).all()
        ):
            raise ValueError("the ids are not in order")
    if titles is not None and (titles.shape != items.shape or titles.dtype.kind != "U"):
        raise ValueError("there is not one title per item")
    for positions, highest in ((starts, len(seen) if seen.ndim else 0), (seen, len(items) - 1)):
        inside = (
            positions.ndim == 1
            and positions.dtype.kind == "i"
            and ((positions >= 0) & (positions <= highest)).all()
        )
        if not inside:
            raise ValueError("what users have rated is not among the items")
    if starts.shape != (len(users) + 1,) or (starts[1:] < starts[:-1]).any():
        raise ValueError("what users have rated is not listed user by user")
