"""Fixtures for tests of whole runs."""

from pathlib import Path

import pytest

# A Hydra callback that writes down the value that each job returned: Hydra's sweepers optimise it.
SPY = """
from pathlib import Path
from hydra.experimental.callback import Callback

class Spy(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        directory = Path(config.hydra.runtime.output_dir)
        (directory / "returned.txt").write_text(repr(job_return.return_value))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The directory from which a module's commands start."""
    directory = tmp_path_factory.mktemp("home")
    (directory / "spying.py").write_text(SPY)
    return directory
