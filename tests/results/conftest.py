"""A saved model for the tests of this folder, and the command that predicts with it."""

import csv
import io
from pathlib import Path

import pytest
from some_model import options, some_ratings, some_vector

from ddp.results.saved_model import save_model


@pytest.fixture
def saved(tmp_path) -> Path:
    save_model(tmp_path, options(), some_vector(), some_ratings())
    return tmp_path


@pytest.fixture
def predict(programs, tmp_path):
    """`predict(*arguments)`: the command to its end; a pair of its rows and its standard error."""

    def predict(*arguments, code=0):
        done = programs.run("-m", "ddp.predict", *arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert (code == 0) == bool(done.stdout)
        return list(csv.reader(io.StringIO(done.stdout, newline=""))), done.stderr

    return predict
