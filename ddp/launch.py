"""The door: what Hydra composed is checked and converted here, and what goes wrong becomes a message and an exit code.

Besides train.py this is the only module that knows Hydra.

Exit codes: 0 all went well; 1 a run failed; 2 a mistake in what we were given; 130 interrupted; 143 terminated.
"""

import dataclasses
import difflib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config import Config, Scalars, settings
from ddp.errors import MISSING, AggregationError, BackendError, ConfigError, UserError, WorkerError
from ddp.forkserver import ensure_server
from ddp.help import help_text
from ddp.options import OPTIONS, ProcessBackend, ShmBackend
from ddp.run_directory import CONFIG_FILE, directory_taken

FAILED, USER_ERROR, INTERRUPTED, TERMINATED = 1, 2, 130, 143
JOB_MARK = ".hydra/config.yaml"  # Hydra writes it into every job's directory ...
SWEEP_MARK = "multirun.yaml"  # ... and this into a sweep's

_failures: dict[str, tuple[int, str]] = {}  # of this process's sweep: directory -> exit code, why
_sweep_dirs: list[Path] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM, which schedulers and containers send: ends a run like Ctrl-C does."""


def _terminate(*_: object) -> None:
    raise Terminated


def launch(task: Callable[[], Any]) -> int:
    """Runs the Hydra application and gives its exit code. Prints one message for a mistake of the user's, no stack trace."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text())
        return 0
    # argparse wants flags before overrides; people write them anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes exceptions on to us, instead of printing them and ending with 1
    signal.signal(signal.SIGTERM, _terminate)
    code = 0
    try:
        task()
    except Terminated:
        code = _report("terminated; what was finished is in the run directory", TERMINATED)
    except KeyboardInterrupt:
        code = _report("interrupted; what was finished is in the run directory", INTERRUPTED)
    except Exception as error:
        code = _explain(error)
    return _end_sweep(_sweep_dirs[-1], code) if _sweep_dirs else code


def run_job(composed: DictConfig) -> float:
    """One job: check, run, show; the final aggregated test RMSE, for Hydra's sweepers.

    In a sweep a job that fails says so at once and gives NaN, and the next one starts; alone it ends the program. (An
    option that does not exist is found by Hydra before the first job, and ends the sweep.)
    """
    hydra = HydraConfig.get()
    try:
        config = load_config(composed)
        if isinstance(config.backend, ProcessBackend | ShmBackend) and config.backend.chosen_start_method == "forkserver":
            ensure_server(config.trainer.name)  # its imports run beside ours, and beside the loading of the ratings
        # Late: torch is imported only once the config is known to be good.
        from rich.console import Console

        from ddp.display import make_display, print_result
        from ddp.experiment import run
        from ddp.tracking import TensorBoard, Tracker

        console = Console()
        output_dir = Path(hydra.runtime.output_dir)
        trackers: list[Tracker] = [make_display(config, console)]
        if config.tensorboard:
            trackers.append(TensorBoard(output_dir, settings(dataclasses.asdict(config))))
        result = run(config, output_dir, trackers)
        if config.display != "none":
            print_result(result, console)
        return result.test_rmse
    except Exception as error:
        code = _explain(error)
        if hydra.mode != RunMode.MULTIRUN:
            raise SystemExit(code) from error
        _failures[hydra.runtime.output_dir] = (code, f"{type(error).__name__}: {error}")
        return float("nan")


def load_config(composed: DictConfig) -> Config:
    """The checked dataclasses for what Hydra composed. Raises ConfigError, which names the key, the value and what is allowed."""
    values = _resolved(composed)
    groups = {group: _typed(_schema(group, values.get(group)), values[group], f"{group}.") for group in OPTIONS}
    scalars = _typed(Scalars, {key: value for key, value in values.items() if key not in OPTIONS and key != "hydra"}, "")
    return Config(**{name: getattr(scalars, name) for name in _fields(Scalars)}, **groups)


def _resolved(composed: DictConfig) -> dict[Any, Any]:
    """The plain values, those of ${...} put in."""
    try:
        return cast(dict[Any, Any], OmegaConf.to_container(composed, resolve=True))
    except OmegaConfBaseException as error:
        raise _unresolved("", error) from None


def _unresolved(prefix: str, error: OmegaConfBaseException) -> ConfigError:
    return ConfigError(f"{prefix}{error.full_key or 'config'}", MISSING, f"cannot be resolved: {str(error).splitlines()[0]}")


def _schema(group: str, chosen: Any) -> type:
    name = chosen.get("name") if isinstance(chosen, dict) else chosen
    if not isinstance(chosen, dict) or not isinstance(name, str) or name not in OPTIONS[group]:
        raise ConfigError(group, name, f"choose one of {', '.join(OPTIONS[group])}")
    return OPTIONS[group][name]


def _typed(schema: type, values: dict[Any, Any], prefix: str) -> Any:
    """An instance of the dataclass `schema`; OmegaConf checks the types, its `__post_init__` the values."""
    wanted = {field.name: field.type for field in dataclasses.fields(schema)}
    for key, value in values.items():
        if key not in wanted:
            raise ConfigError(f"{prefix}{key}", value, _unknown(f"{prefix}{key}"))
    typed = OmegaConf.structured(schema)
    for key, kind in wanted.items():
        described = kind.__name__ if isinstance(kind, type) else str(kind)
        if values.get(key, MISSING) == MISSING:
            raise ConfigError(f"{prefix}{key}", MISSING, f"is not set; expected {described}")
        try:
            typed[key] = values[key]
        except (OmegaConfBaseException, OverflowError):  # the latter: a whole number that no float can hold
            raise ConfigError(f"{prefix}{key}", values[key], f"expected {described}") from None
    try:
        return OmegaConf.to_object(typed)
    except OmegaConfBaseException as error:  # a text in which ${ is not meant as OmegaConf means it
        raise _unresolved(prefix, error) from None


def _unknown(key: str) -> str:
    """What to say of a key that nothing reads."""
    group, _, name = key.partition(".")
    owners = [option for option, schema in OPTIONS.get(group, {}).items() if name in _fields(schema)]
    if owners:
        return f"the chosen {group} has no such setting; {group}={','.join(owners)} does"
    inner = [f"{group}.{name}" for group, options in OPTIONS.items() for schema in options.values() for name in _fields(schema)]
    close = difflib.get_close_matches(key, [*_fields(Scalars), *OPTIONS, "experiment", "sweep", *dict.fromkeys(inner)], n=3)
    known = f"known here: {', '.join(_fields(Scalars))}, and the groups {', '.join(OPTIONS)}"
    hint = f"did you mean {' or '.join(close)}?" if close else known
    return f"there is no such setting; {hint} (python train.py --help lists all)"


def _fields(schema: type) -> list[str]:
    return [field.name for field in dataclasses.fields(schema)]


def _explain(error: Exception) -> int:
    """Prints what went wrong, for the person who has to do something about it; the exit code for it."""
    code = FAILED
    if isinstance(error, UserError):
        message, code = str(error), USER_ERROR
    elif composition := _composition_message(error):
        message, code = composition, USER_ERROR
    elif isinstance(error, WorkerError | AggregationError | BackendError):
        message = str(error)
    elif isinstance(error, MemoryError):
        message = f"out of memory: {error}; a smaller model.dim, fewer workers or less data need less"
    elif isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    else:
        traceback.print_exception(error)
        return code
    return _report(message, code)


def _composition_message(error: Exception) -> str | None:
    """What to say of what Hydra could not compose; None if `error` is of another kind."""
    if isinstance(error, ValueError) and "Config group override must be" in str(error):  # Hydra's word for group=null
        groups = [argument for argument in sys.argv[1:] if argument.partition("=")[0] in OPTIONS]
        return f"a group cannot be null, it needs one of its options: look at {' '.join(groups)}"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    unknown = re.search(r"Could not override '([^']+)'", str(error))
    if unknown and "No match in the defaults list" not in str(error):
        return f"{unknown[1]}: {_unknown(unknown[1])}"
    parts = [str(error)]
    if isinstance(error.__cause__, OmegaConfBaseException):
        parts.append(str(error.__cause__))
    if "LexerNoViableAlt" in str(error):
        parts.append("put such a value in quotes within the quotes of your shell, as in \"data.path='~/x.csv'\"")
    return re.sub(r"\n\s*\n", "\n", "\n".join(parts).strip())


def _report(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


class Directories(Callback):
    """Configured in conf/config.yaml: refuses directories that hold runs before Hydra writes into them.

    (`claim_run_directory` refuses as well, at the last moment; but by then Hydra has overwritten what it wrote before.)
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before a single run has its directory."""
        if (Path(config.hydra.run.dir) / CONFIG_FILE).exists():
            raise SystemExit(_explain(directory_taken(Path(config.hydra.run.dir))))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep; remembers where the jobs go."""
        sweep_dir = Path(config.hydra.sweep.dir)
        if (sweep_dir / SWEEP_MARK).exists():
            raise SystemExit(_explain(directory_taken(sweep_dir)))
        _sweep_dirs.append(sweep_dir)


def _end_sweep(sweep_dir: Path, code: int) -> int:
    """Prints the table of the sweep's jobs, writes it as sweep.csv, and gives the sweep's exit code."""
    from ddp.results import in_order, print_runs, read_runs

    job_dirs = sorted((mark.parent.parent for mark in sweep_dir.rglob(JOB_MARK)), key=in_order)
    if not job_dirs:
        return code or _report("the sweep composed to no job at all: check the values given to -m or sweep=", USER_ERROR)
    runs = read_runs(job_dirs)
    for directory, (_, reason) in _failures.items():  # one that was refused has no result that says why
        runs.loc[runs["directory"].map(os.path.abspath) == directory, "error"] = reason
    print_runs(runs, sweep_dir / "sweep.csv")
    failed = int((runs["status"] != "ok").sum())
    if failed:
        _report(f"{failed} of {len(runs)} jobs did not succeed", FAILED)
    only_user_errors = len(_failures) == failed and {code for code, _ in _failures.values()} == {USER_ERROR}
    return code or (0 if not failed else USER_ERROR if only_user_errors else FAILED)
