"""`ddp.run`: one run that Python code asks for, as `python train.py` would make it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import current_process
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from ddp.config.checks import expanded
from ddp.config.command import quoted
from ddp.config.defaults import CONF
from ddp.config.schema import Config
from ddp.errors import ConfigError, UserError
from ddp.launch.composed import load_config, load_simulate, question
from ddp.launch.hydra_errors import composition_message
from ddp.launch.one_run import keep_composed, prepare_for_processes, run_and_show
from ddp.launch.quoting import sign_quoted, tilde_quoted
from ddp.launch.resume import nothing_left, resumed_arguments
from ddp.results.run_directory import CONFIG_FILE, directory_taken

if TYPE_CHECKING:
    from ddp.results.run_result import RunResult

# what Hydra knows about the program that it runs; the rest is the same for every program
OF_ONE_PROGRAM = (GlobalHydra, HydraConfig, VersionBase)


def run(*overrides: str, **settings: Any) -> "RunResult":
    """Trains one run, and gives its result, when it has ended.

    | argument    | meaning                                                                    |
    |-------------|----------------------------------------------------------------------------|
    | `overrides` | settings as on the command line, such as "trainer.lr=0.1"                  |
    | `settings`  | scalars and groups by name: `workers=3`, `backend="process"`; they come     |
    |             | after `overrides`                                                          |

    The run has the directory, the files, the bars and the trackers that `python train.py` with the
    same settings would have; `display="none"` prints nothing. Each call is a run of its own. A
    script calls it below `if __name__ == "__main__":`, because workers in processes import the
    script.

    Raises UserError for settings or data that are refused, WorkerError, AggregationError or
    BackendError for a run that fails.
    """
    if getattr(current_process(), "_inheriting", False):
        raise UserError(
            "a worker imports this script, and must not start a run of its own: put the call of"
            ' ddp.run below `if __name__ == "__main__":`'
        )
    named = [_argument(key, value) for key, value in settings.items()]
    arguments = [sign_quoted(tilde_quoted(override)) for override in (*overrides, *named)]
    with _hydra_of_our_own():
        composed = _compose(resumed_arguments(arguments, sweep=False))
        config, hydra = _checked(composed), composed.hydra
    output_dir = Path(hydra.runtime.output_dir)
    is_there, resume = (output_dir / CONFIG_FILE).exists(), composed.get("resume") is not None
    if is_there and not resume:
        raise directory_taken(output_dir)
    if not is_there:
        keep_composed(_without_hydra(composed), hydra)
    if resume and (told := nothing_left(output_dir, config)):
        raise UserError(told)
    prepare_for_processes(config)
    return run_and_show(config, hydra, output_dir, resume=resume)


def _argument(key: str, value: Any) -> str:
    """The override that gives the key this value."""
    if isinstance(value, Mapping):
        raise ConfigError(key, value, f'write each setting as a text, as in "{key}.name=value"')
    if isinstance(value, PathLike):
        value = fspath(value)
    value = value.item() if hasattr(value, "item") else value  # a number of numpy
    is_group = (CONF / key).is_dir()
    if is_group and isinstance(value, list | tuple):
        return f"{key}=[{','.join(map(str, value))}]"
    return f"{key}={value if is_group and isinstance(value, str) else quoted(value)}"


@contextmanager
def _hydra_of_our_own() -> Iterator[None]:
    """Within the block Hydra knows of no other program; afterwards it knows what it knew before."""
    known = Singleton._instances
    before: dict[type, Singleton] = {
        kind: known.pop(kind) for kind in OF_ONE_PROGRAM if kind in known
    }
    try:
        yield
    finally:
        for kind in OF_ONE_PROGRAM:
            known.pop(kind, None)
        known.update(before)


def _compose(arguments: list[str]) -> DictConfig:
    """The configuration, with that of Hydra. Raises UserError."""
    try:
        with initialize_config_dir(str(CONF), version_base="1.3", job_name="train"):
            composed = compose("config", arguments, return_hydra_config=True)
        HydraConfig.instance().set_config(composed)  # resolves ${hydra:...}
        runtime, run_dir = composed.hydra.runtime, expanded(str(composed.hydra.run.dir))
        with read_write(composed), read_write(runtime), open_dict(runtime):
            runtime.output_dir = str(Path(run_dir).absolute())
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        message = composition_message(error)
        raise error if message is None else UserError(message) from None
    return composed


def _checked(composed: DictConfig) -> Config:
    """The config of a single run. Raises ConfigError."""
    if composed.hydra.mode == RunMode.MULTIRUN:
        chosen = composed.hydra.runtime.choices.get("sweep")
        raise ConfigError("sweep", chosen, "ddp.run makes one run: call it for each of them")
    own = _without_hydra(composed)
    if asked := question(own):
        raise ConfigError(asked, True, f"ddp.run trains: write python train.py {asked}=true")
    load_simulate(own)
    return load_config(own)


def _without_hydra(composed: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
