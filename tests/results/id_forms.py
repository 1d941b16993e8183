"""Forms in which a program may hold ids."""

import numpy as np
import pandas as pd

FORMS = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "numbers and texts": lambda ids: [str(n) if n % 2 else n for n in ids],
    "texts": lambda ids: [str(n) for n in ids],
    "zeros in front": lambda ids: [f"{n:06}" for n in ids],
    "text of floats": lambda ids: [f"{n}.0" for n in ids],
    "floats": lambda ids: [float(n) for n in ids],
    "int16": lambda ids: np.array(ids, np.int16),
    "uint64": lambda ids: np.array(ids, np.uint64),
    "big endian": lambda ids: np.array(ids, ">i4"),
    "float32": lambda ids: np.array(ids, np.float32),
    "array of texts": lambda ids: np.array(ids).astype(str),
    "objects": lambda ids: np.array([str(ids[0]), *ids[1:]], object),
    "numpy's scalars": lambda ids: [np.int32(n) for n in ids],
    "every second": lambda ids: np.repeat(np.array(ids), 2)[::2],
    "Series": lambda ids: pd.Series(ids, index=[9] * len(ids)),
    "Int64": lambda ids: pd.Series(ids, dtype="Int64"),
    "string": lambda ids: pd.Series(ids).astype("string"),
    "object": lambda ids: pd.Series(ids, dtype=object),
    "categories": lambda ids: pd.Series(ids, dtype="category"),
    "categories of texts": lambda ids: pd.Series(list(map(str, ids))).astype("category"),
    "Index": pd.Index,
}
