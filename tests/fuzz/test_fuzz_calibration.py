"""A file of a machine's constants with any content is used as a whole or not at all."""

import json
import math
from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st
from inputs import damaged, fuzzed, no_hang
from machines import EXCHANGES, TRAINING

from ddp.advice.measuring.calibration import FORMAT, machine, read

PIECES = [
    b"{}",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b'"',
    b"[" * 5000,
    b"9" * 5000,
    b"\\ud800",
    b"\xff",
    b"0",
    b"true",
    b"e-5",
]
KNOWN = {
    "format": FORMAT,
    "machine": machine(),
    "training": {name: asdict(one) for name, one in TRAINING.items()},
    "exchanges": asdict(EXCHANGES),
    "busy": dict.fromkeys(("exchanges", *TRAINING), 0.05),
}


@fuzzed()
@given(content=damaged(st.just(json.dumps(KNOWN).encode()), PIECES))
def test_any_file(tmp_path, content):
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    with no_hang():
        known = read(file)
    assert known["machine"] == machine()
    assert known["format"] == FORMAT
    assert all(0 <= known["busy"][name] <= 1 for name in known["training"])
    for name, training in known["training"].items():
        assert isinstance(name, str)
        assert all(math.isfinite(value) and value >= 0 for value in training.values())
