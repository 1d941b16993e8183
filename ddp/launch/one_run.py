"""One job of a command: checks the config, runs it, shows the result."""

import dataclasses
import tempfile
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddp.config.backend import ProcessBackend, ShmBackend
from ddp.config.command import in_shell
from ddp.config.schema import Config, settings
from ddp.errors import DirectoryTaken, UserError
from ddp.launch.composed import COMPOSED, asks, load_config, load_simulate
from ddp.launch.exits import explain
from ddp.launch.planned import check_score
from ddp.launch.quoting import typed
from ddp.launch.resume import finished_run, make_room, nothing_left
from ddp.launch.sweep_end import SWEEP
from ddp.launch.varied import varied_settings
from ddp.machine.files import atomic_file, naming
from ddp.machine.output import outlast_readers
from ddp.machine.printable import printable
from ddp.results.run_directory import CONFIG_FILE, directory_taken, find_checkpoints

if TYPE_CHECKING:
    from rich.console import Console

    from ddp.results.run_result import RunResult


COMPILING = "compiling for this machine, up to a minute; later runs read the result from disk"


def run_job(composed: DictConfig) -> float:
    """Runs one job and gives its score for Hydra's sweepers, see `RunResult.score`.

    In a sweep a job that fails prints its error and gives NaN, and the next one starts; alone it
    ends the program. (An option that does not exist ends the sweep before the first job: Hydra
    refuses it.)
    """
    outlast_readers()  # again, because some launchers run a job in a process of its own
    hydra = HydraConfig.get()
    output_dir = Path(hydra.runtime.output_dir)
    # hydra.job.chdir=true has gone into output_dir; settings mean the directory of the start
    with chdir(hydra.runtime.cwd) if hydra.job.chdir else nullcontext():
        return _run_job(composed, hydra, output_dir)


def _run_job(composed: DictConfig, hydra: HydraConf, output_dir: Path) -> float:
    try:
        if asks(composed):
            _answer(composed)
            return float("nan")
        return _check_run_show(composed, hydra, output_dir)
    except KeyboardInterrupt as error:
        if hydra.mode != RunMode.MULTIRUN:  # a sweep tells how to go on with all of it
            _note_how_to_go_on(error, output_dir)
        raise
    except Exception as error:
        if not isinstance(error, UserError):
            _note_how_to_go_on(error, output_dir)
        code = explain(error)
        if hydra.mode != RunMode.MULTIRUN:
            raise SystemExit(code) from error
        reason = f"{type(error).__name__}: {error}"
        SWEEP.note(hydra, code=code, reason=reason, refused=isinstance(error, DirectoryTaken))
        return float("nan")


def _check_run_show(composed: DictConfig, hydra: HydraConf, output_dir: Path) -> float:
    resume, is_single = composed.get("resume") is not None, hydra.mode == RunMode.RUN
    again = bool(composed.get("sweep_resume")) and not is_single
    if not (output_dir / CONFIG_FILE).exists():
        keep_composed(composed, hydra)
    elif not (resume or again):
        raise directory_taken(output_dir)
    config = load_config(composed)
    load_simulate(composed)  # refuses settings that only advise=true reads
    if again and (finished := finished_run(output_dir, config)):
        part = config.scored_on
        score = finished.outcome[f"{part}_rmse"]
        SWEEP.note(hydra)
        print(f"{printable(output_dir)}: has ended well before, {part} RMSE {score:.4f}")
        return score
    if not is_single:
        check_score(composed, hydra)
        SWEEP.note(hydra)
    if resume and (told := nothing_left(output_dir, config)):
        print(printable(told))
        return float("nan")
    resume = make_room(output_dir) if again else resume
    prepare_for_processes(config)
    return run_and_show(config, hydra, output_dir, resume=resume).score


def prepare_for_processes(config: Config) -> None:
    """Checks that processes can have sockets and open files, and starts the fork server.

    Multiprocessing would not say that one of them is missing. The server's imports run beside ours
    and beside the loading of the ratings.
    """
    if isinstance(config.backend, ProcessBackend | ShmBackend):
        from ddp.backends.forkserver import ensure_server  # late: a refused config needs no numpy
        from ddp.backends.process_files import check_open_files

        with naming(Path("TMPDIR")):
            tempfile.gettempdir()
        check_open_files(config)
        if config.backend.chosen_start_method == "forkserver":
            ensure_server(config.trainer.name)


def run_and_show(
    config: Config, hydra: HydraConf, output_dir: Path, *, resume: bool
) -> "RunResult":
    """Runs one job, shows its result and gives it."""
    # Late: only a good config is worth these imports.
    from ddp.experiment import run
    from ddp.results.summary import print_result
    from ddp.timing.meter import process_began
    from ddp.tracking.make import make_display, make_trackers
    from ddp.tracking.terminal import make_console
    from ddp.tracking.tracker import RunFacts
    from ddp.trainers.trainer import trainer_for

    console = make_console()
    if config.trainer.compiled and config.display != "none" and console.is_terminal:
        from ddp.machine.compiled.jit import when_compiling

        when_compiling(lambda: console.print(COMPILING, style="dim"))
    trainer_for(config.trainer)  # imports torch or numba: a part of the command's start as well
    facts = RunFacts(
        directory=output_dir,
        settings=settings(dataclasses.asdict(config)),
        varied=varied_settings(hydra),
        command=" ".join(["python", "train.py", *map(in_shell, hydra.overrides.task)]),
    )
    trackers = [make_display(config, console), *make_trackers(config.tracker, facts)]
    # a process that began for this run alone counts from its own beginning
    began = process_began() if hydra.mode == RunMode.RUN else None
    result = run(config, output_dir, trackers, resume=resume, began=began)
    if config.display != "none":
        print_result(result, console)
    return result


def _answer(composed: DictConfig) -> None:
    """Prints the answer to a question, and runs nothing: no model, no directory, no RMSE."""
    config, simulate = load_config(composed), load_simulate(composed)
    from ddp.tracking.terminal import make_console

    if simulate is None:
        _inspect(config, make_console())
        return
    from ddp.advice.advise import advise

    advise(config, simulate, make_console())


def _inspect(config: Config, console: "Console") -> None:
    """Prints what a run would say about its ratings, and how they are distributed."""
    from ddp.ratings.description import description_of, in_lines
    from ddp.ratings.inspection import tables
    from ddp.ratings.load import load_ratings
    from ddp.tracking.make import make_display
    from ddp.tracking.messages import Preparing
    from ddp.tracking.terminal import print_facts

    shown = make_display(config, console)
    shown.open()
    try:
        ratings = load_ratings(
            config.data,
            config.data_seed,
            config.split.test_file,
            lambda *told: shown.on(Preparing(*told)),
        )
    finally:
        shown.close()
    print_facts(in_lines(description_of(ratings)), console)
    console.print()
    for line in tables(ratings, console.width):
        console.print(line, soft_wrap=True)


def _note_how_to_go_on(error: BaseException, output_dir: Path) -> None:
    if find_checkpoints(output_dir):
        resume = typed("resume", str(output_dir))
        error.add_note(f"to go on from where it was: python train.py {resume}")


def keep_composed(composed: DictConfig, hydra: HydraConf) -> None:
    """Writes .hydra/*.yaml in Hydra's place.

    On a full disk Hydra would leave half of a file, and not say which.
    """
    parts = {"config": composed, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, part in parts.items():
        with atomic_file(Path(hydra.runtime.output_dir) / COMPOSED.format(name)) as file:
            file.write(OmegaConf.to_yaml(part).encode())
