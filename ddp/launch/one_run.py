"""One job of a command: check the config, run it, show the result."""

import dataclasses
import tempfile
from pathlib import Path

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddp.backends.forkserver import ensure_server
from ddp.config.options import ProcessBackend, ShmBackend
from ddp.config.schema import settings
from ddp.errors import UserError
from ddp.launch.composed import load_config, load_simulate
from ddp.launch.exits import explain
from ddp.launch.resume import finished_rmse, make_room
from ddp.machine.files import atomic_file, naming
from ddp.results.run_directory import find_checkpoints

COMPOSED = ".hydra/{}.yaml"  # in every job's directory: what Hydra composed
JOB_MARK = COMPOSED.format("config")

failures: dict[str, tuple[int, str]] = {}  # of this process's sweep: directory -> exit code, why


def run_job(composed: DictConfig) -> float:
    """One job: check, run, show; the final aggregated test RMSE, for Hydra's sweepers.

    In a sweep a job that fails says so at once and gives NaN, and the next one starts; alone it
    ends the program. (An option that does not exist is found by Hydra before the first job, and
    ends the sweep.)
    """
    hydra = HydraConfig.get()
    output_dir = Path(hydra.runtime.output_dir)
    try:
        if wants_advice(composed):
            return _advise(composed)
        if composed.get("resume") is None:
            _keep_composed(composed, hydra)
        config = load_config(composed)
        load_simulate(composed)  # refuses what only advise=true reads
        resume = composed.get("resume") is not None
        if composed.get("sweep_resume") and hydra.mode == RunMode.MULTIRUN:
            rmse = finished_rmse(output_dir, config)
            if rmse is not None:
                print(f"{output_dir}: has ended well before, test RMSE {rmse:.4f}")
                return rmse
            resume = make_room(output_dir)
        if isinstance(config.backend, ProcessBackend | ShmBackend):
            with naming(Path("TMPDIR")):
                # multiprocessing has its sockets there; where there is no such place it would just
                # die
                tempfile.gettempdir()
            if config.backend.chosen_start_method == "forkserver":
                # its imports run beside ours, and beside the loading of the ratings
                ensure_server(config.trainer.name)
        # Late: torch is imported only once the config is known to be good.
        from rich.console import Console

        from ddp.experiment import run
        from ddp.results.summary import print_result
        from ddp.timing.meter import process_began
        from ddp.tracking.tensorboard import TensorBoard
        from ddp.tracking.terminal import make_display
        from ddp.tracking.tracker import Tracker

        console = Console()
        trackers: list[Tracker] = [make_display(config, console)]
        if config.tensorboard:
            trackers.append(TensorBoard(output_dir, settings(dataclasses.asdict(config))))
        began = process_began() if hydra.mode == RunMode.RUN else None
        result = run(config, output_dir, trackers, resume=resume, began=began)
        if config.display != "none":
            print_result(result, console)
        return result.test_rmse
    except KeyboardInterrupt as error:
        _note_how_to_go_on(error, output_dir)
        raise
    except Exception as error:
        if not isinstance(error, UserError):
            _note_how_to_go_on(error, output_dir)
        code = explain(error)
        if hydra.mode != RunMode.MULTIRUN:
            raise SystemExit(code) from error
        failures[hydra.runtime.output_dir] = (code, f"{type(error).__name__}: {error}")
        return float("nan")


def wants_advice(composed: DictConfig) -> bool:
    """Whether the command asks for advice instead of a run."""
    return composed.get("advise") not in (None, False)


def _advise(composed: DictConfig) -> float:
    """Prints what a run would cost instead of running: no model, no directory, no RMSE."""
    config, simulate = load_config(composed), load_simulate(composed)
    assert simulate is not None
    from rich.console import Console

    from ddp.advice.advise import advise

    advise(config, simulate, Console())
    return float("nan")


def _note_how_to_go_on(error: BaseException, output_dir: Path) -> None:
    if find_checkpoints(output_dir):
        error.add_note(f"to go on from where it was: python train.py resume={output_dir}")


def _keep_composed(composed: DictConfig, hydra: HydraConf) -> None:
    """What Hydra would write as .hydra/*.yaml; it would leave half of a file on a full disk, and
    not say which.
    """
    parts = {"config": composed, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, part in parts.items():
        with atomic_file(Path(hydra.runtime.output_dir) / COMPOSED.format(name)) as file:
            file.write(OmegaConf.to_yaml(part).encode())
