"""The exchange that a test gives to a worker, and the worker's messages."""

import pytest
from jobs import prepare
from noting import Noting


@pytest.fixture
def told():
    """The messages of the worker."""
    return []


@pytest.fixture
def exchange(make_config, told):
    """The worker's exchange."""
    return Noting(prepare(make_config()), told)
