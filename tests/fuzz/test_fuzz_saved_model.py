"""ddp.load_model gives, for any content of the two files, a model that works, or a DataError."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang

from ddp.config.model import Model
from ddp.errors import DataError
from ddp.model.parameters import parameter_shapes
from ddp.ratings.arrays import Ratings
from ddp.results.saved_model import CATALOGUE_FILE, MODEL_FILE, load_model, save_model

ARRAYS = ("user_ids", "item_ids", "seen_starts", "seen_items", "titles")
TENSORS = tuple(parameter_shapes(3, 4, 2, True))
MODEL_PIECES = [
    b"NaN",
    b"null",
    b'"F64"',
    b'"F16"',
    b'"I32"',
    b"[3,2]",
    b"[-1]",
    b"99999999999999999999",
    b"\xff" * 4,
    b"user_factors",
]
NPZ_PIECES = [
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\xff\xff\xff\xff", b"(9999999999,)"),
    *(b"'|O'", b"'<f8'", b"\x93NUMPY", b"\x08\0", b"\x0e\0"),
]

numbers = st.sampled_from([0, 1, -1, 2, 3, 4, 5, 2**31, 2**62])
arrays = st.one_of(
    st.lists(numbers, max_size=6).map(lambda values: np.array(values, np.int64)),
    st.lists(numbers, max_size=6).map(lambda values: np.array(values).astype(np.int32)),
    st.lists(st.floats(width=32), max_size=6).map(lambda values: np.array(values, np.float32)),
    st.lists(st.text(max_size=3), max_size=6).map(lambda values: np.array(values, np.str_)),
    st.sampled_from(
        [
            np.array(0),
            np.zeros((3, 1)),
            np.zeros((0, 2)),
            np.array([True, False]),
            np.array(["a", "b", "c"]),
        ]
    ),
    st.sampled_from(
        [
            np.zeros(3, "S2"),
            np.zeros(4, "M8[s]"),
            np.zeros(3, [("a", "i4")]),
            np.zeros(3, complex),
            np.zeros((3, 2), "f2"),
        ]
    ),
)


def some_ratings() -> Ratings:
    return Ratings(
        name="made", users=np.array([0, 2, 1, 0], np.int32), items=np.array([3, 1, 0, 0], np.int32),
        ratings=np.ones(4, np.float32), user_ids=np.array([3, 5, 9]),
        item_ids=np.array(["a", "b", "c", "d"]),
        titles=np.array(["", "B", "C (1995)", "D"]), rating_min=1.0, rating_max=5.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("valid")
    length = sum(int(np.prod(shape)) for shape in parameter_shapes(3, 4, 2, True).values())
    save_model(
        folder,
        Model(name="tiny", dim=2, biases=True, init_std=0.1),
        np.linspace(-1, 3, length, dtype=np.float32),
        some_ratings(),
    )
    return (folder / MODEL_FILE).read_bytes(), (folder / CATALOGUE_FILE).read_bytes()


def npz(arrays: dict[str, np.ndarray], alter: Callable[[bytes], bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", alter(member.getvalue()))
    return file.getvalue()


def with_header(content: bytes, header: object) -> bytes:
    """A safetensors file with another header."""
    (length,) = struct.unpack("<Q", content[:8])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def header_of(content: bytes) -> dict:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


header_values = st.sampled_from(
    [
        {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
        {"dtype": "I64", "shape": [3], "data_offsets": [0, 24]},
        {},
        None,
        1,
    ]
)
metadata = st.dictionaries(
    st.sampled_from(["rating_min", "rating_max"]),
    st.sampled_from(["1.0", "5", "nan", "inf", "-1e999", "", "x", "\ud800", "9" * 400]),
)


def check_usable(folder) -> None:
    model = load_model(folder)
    assert np.isfinite([model.rating_min, model.rating_max]).all()
    assert model.rating_min <= model.rating_max
    assert all(np.isfinite(tensor.numpy()).all() for tensor in model.model.state_dict().values())
    for ids in (model.user_ids, model.item_ids):
        assert ids.ndim == 1
        assert (ids[1:] > ids[:-1]).all()
    for user in model.user_ids.tolist():
        top = model.top_items(user, n=3)
        assert all(
            isinstance(title, str) and model.rating_min <= rating <= model.rating_max
            for _, title, rating in top
        )
        items = [item for item, _, _ in top]
        assert np.array_equal(
            model.predict([user] * len(items), items), [np.float32(rating) for _, _, rating in top]
        )
    unknown = model.predict(
        [*model.user_ids, *["no"] * len(model.item_ids), "no"],
        ["no"] * len(model.user_ids) + [*model.item_ids, "no"],
    )
    assert ((model.rating_min <= unknown) & (unknown <= model.rating_max)).all()


def write_and_check(folder, model: bytes, catalogue: bytes) -> None:
    (folder / MODEL_FILE).write_bytes(model)
    (folder / CATALOGUE_FILE).write_bytes(catalogue)
    with no_hang(), suppress(DataError):
        check_usable(folder)


def test_the_model_without_damage_is_usable(tmp_path, valid):
    (tmp_path / MODEL_FILE).write_bytes(valid[0])
    (tmp_path / CATALOGUE_FILE).write_bytes(valid[1])
    check_usable(tmp_path)


@fuzzed(0.4)
@given(data=st.data())
def test_any_bytes(tmp_path, valid, data):
    model, catalogue = valid
    if data.draw(st.booleans()):
        model = data.draw(damaged(st.just(model), MODEL_PIECES))
    else:
        catalogue = data.draw(damaged(st.just(catalogue), NPZ_PIECES))
    write_and_check(tmp_path, model, catalogue)


@fuzzed(0.3)
@given(
    replaced=st.dictionaries(st.sampled_from(ARRAYS), st.none() | arrays, max_size=2),
    altered=st.none()
    | st.tuples(
        st.integers(0, 140), st.sampled_from(NPZ_PIECES) | st.binary(min_size=1, max_size=2)
    ),
    compression=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_any_arrays(tmp_path, valid, replaced, altered, compression):
    def alter(content: bytes) -> bytes:
        place, piece = altered or (0, b"")
        return content[:place] + piece + content[place + len(piece) :]

    with np.load(io.BytesIO(valid[1])) as archive:
        kept = dict(archive.items()) | replaced
    kept = {name: array for name, array in kept.items() if array is not None}
    write_and_check(tmp_path, valid[0], npz(kept, alter, compression))


@fuzzed(0.3)
@given(
    replaced=st.dictionaries(st.sampled_from([*TENSORS, "more"]), header_values, max_size=2),
    notes=st.none() | metadata,
    numbers=st.lists(
        st.tuples(
            st.integers(0, 100), st.floats(-1e6, 1e6, width=32) | st.sampled_from([np.nan, np.inf])
        ),
        max_size=2,
    ),
)
def test_any_tensors(tmp_path, valid, replaced, notes, numbers):
    content = bytearray(valid[0])
    for place, number in numbers:
        struct.pack_into("<f", content, len(content) - 4 - 4 * (place % 8), number)
    header = header_of(valid[0]) | replaced
    header["__metadata__"] = header["__metadata__"] if notes is None else notes
    write_and_check(tmp_path, with_header(bytes(content), header), valid[1])
