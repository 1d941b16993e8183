"""The colours of what waits and of what the exchange costs can be told apart."""

import math
from itertools import combinations

import pytest

from ddp.timing.kinds import KINDS as TABLE
from ddp.timing.kinds import OFF_CORE_KINDS

# from Machado et al. 2009
DEUTERANOPIA = ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969))
TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = (0.9505, 1.0, 1.089)
LEAST_DISTANCE = 10  # in CIELAB, where 2.3 can just be seen


def product(matrix, vector):
    return [sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix]


def lab(colour, *, all_cones):
    values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        ((value + 0.055) / 1.055) ** 2.4 if value > 0.04045 else value / 12.92 for value in values
    ]
    seen = (
        linear
        if all_cones
        else [min(max(value, 0.0), 1.0) for value in product(DEUTERANOPIA, linear)]
    )
    x, y, z = (
        value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116
        for value in (
            part / white for part, white in zip(product(TO_XYZ, seen), WHITE, strict=True)
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("all_cones", [True, False])
def test_what_waits_and_what_exchanges_cost_can_be_told_apart(mode, all_cones):
    colours = {name: getattr(kind, mode) for name, kind in TABLE.items()}
    kinds = (
        "compute",
        *OFF_CORE_KINDS,
        "serialise",
        "transfer",
        "deserialise",
        "copy",
        "checkpoint",
    )
    for one, other in combinations(kinds, 2):
        distance = math.dist(*(lab(colours[kind], all_cones=all_cones) for kind in (one, other)))
        assert distance > LEAST_DISTANCE, (one, other)
