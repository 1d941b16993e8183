"""Fixtures for tests of whole runs."""

from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import yaml
from composing import CONF
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf, read_write

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


@cache
def composed_sweep(*groups):
    """The configuration of a sweep, without overrides of settings."""
    hydra = GlobalHydra.instance().hydra
    return hydra.compose_config("config", list(groups), RunMode.MULTIRUN)


@pytest.fixture
def sweep_config():
    """`sweep_config(*arguments)`: a block with the configuration of `python train.py -m ...`."""

    @contextmanager
    def compose(*arguments):
        groups = [each for each in arguments if each.startswith(("hydra/", "sweep="))]
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
            config = deepcopy(composed_sweep(*groups))
            with read_write(config):
                for each in arguments:
                    key, _, text = each.partition("=")
                    if each.startswith("hydra."):
                        OmegaConf.update(config, key, yaml.safe_load(text))
                        config.hydra.overrides.hydra.append(each)
                    elif each not in groups:
                        config.hydra.overrides.task.append(each)
            HydraConfig.instance().set_config(config)
            yield config

    return compose
