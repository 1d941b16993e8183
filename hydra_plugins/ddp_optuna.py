"""The plugin behind `hydra/sweeper=optuna`; ddp/launch/optuna_sweep.py runs the trials.

Hydra imports this module at every start, so it imports no Optuna.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig

from ddp.errors import ConfigError

# The names are those of the plugin hydra-optuna-sweeper, which needs Optuna 2.
SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"_target_": "optuna.samplers.TPESampler", "n_startup_trials": 10},
    "random": {"_target_": "optuna.samplers.RandomSampler"},
    "cmaes": {"_target_": "optuna.samplers.CmaEsSampler"},
    "grid": {"_target_": "optuna.samplers.GridSampler"},
}


@dataclass
class OptunaOptions:
    """The settings `hydra.sweeper.*`; docs/how-to/sweep.md describes them."""

    _target_: str = "hydra_plugins.ddp_optuna.OptunaSweeper"
    _recursive_: bool = False  # the sampler is made once the study is open
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: Any = MISSING
    direction: str = "minimize"
    storage: str | None = None
    study_name: str | None = None
    n_trials: int = 20
    n_jobs: int = 1
    max_failure_rate: float = 1.0
    params: dict[str, Any] | None = None


class OptunaOfDdp(SearchPathPlugin):
    """Registers the options when all plugins are loaded.

    So they stand in place of those of hydra-optuna-sweeper, if someone has installed it as well.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        store = ConfigStore.instance()
        store.store(group="hydra/sweeper", name="optuna", node=OptunaOptions, provider="ddp")
        for name, sampler in SAMPLERS.items():
            node = {**sampler, "seed": "${seed}"}
            store.store(group="hydra/sweeper/sampler", name=name, node=node, provider="ddp")


class OptunaSweeper(Sweeper):
    """Runs jobs whose values Optuna chooses."""

    def __init__(self, **_: Any) -> None:
        pass  # the options are in the configuration that `setup` gets

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        if find_spec("optuna") is None:
            raise ConfigError(
                "hydra/sweeper",
                "optuna",
                "needs the package optuna: type `make sweepers`, or pip install -e '.[sweepers]'",
            )
        from ddp.launch.optuna_sweep import OptunaSweep  # late: it imports Optuna

        assert self.launcher is not None
        assert self.config is not None
        OptunaSweep(self.config).run(self.launcher)
