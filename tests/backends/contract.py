"""The contract suite, `test_contract_*.py`: every backend computes, keeps and leaves the same."""

import numpy as np
import pytest

# Its workers take seconds to start: the default suite has it once, the long suite everywhere.
SPAWNED = pytest.param("process spawned", marks=pytest.mark.slow)
WITH_STORE = ("thread", "thread polling", "process", "process polling", SPAWNED)
CONCURRENT = (*WITH_STORE, "shm")


def store_of(backend):
    return getattr(backend, "shared", {})


def same(run, reference):
    """The two results agree bit for bit."""
    assert len(run.vectors) == len(reference.vectors) > 0
    for vector, expected in zip(run.vectors, reference.vectors, strict=True):
        assert vector.dtype == np.float32
        assert vector.tobytes() == expected.tobytes()
    assert run.rows() == reference.rows()
    assert run.aggregates() == reference.aggregates()
