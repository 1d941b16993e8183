"""A saved model for the tests of this folder."""

from pathlib import Path

import pytest
from some_model import options, some_ratings, some_vector

from ddp.results.saved_model import save_model


@pytest.fixture
def saved(tmp_path) -> Path:
    save_model(tmp_path, options(), some_vector(), some_ratings())
    return tmp_path
