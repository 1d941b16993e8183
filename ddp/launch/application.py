"""Hydra's application around the jobs, with a message and an exit code for each error."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import hydra

from ddp.errors import UserError
from ddp.launch.arguments import hydra_arguments
from ddp.launch.exits import explain, report_error
from ddp.launch.sweep_end import SWEEP
from ddp.machine.signals import Terminated, exit_code


def run_application(task: Callable[[Any], Any]) -> int:
    """Runs `task` for each job of the command, and gives the exit code of the program."""
    # With it Hydra raises an exception; without it Hydra prints the exception and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    return SWEEP.end(_code_of(task))


def _code_of(task: Callable[[Any], Any]) -> int:
    """Runs the application and gives the exit code. Prints a message for an error or a signal."""
    finished = "the run directory holds all finished work"
    # Hydra looks for the folder beside the file of the task
    application = hydra.main(version_base="1.3", config_path="conf", config_name="config")(task)
    SWEEP.arguments = sys.argv[1:]
    try:
        sys.argv[1:] = hydra_arguments(sys.argv[1:])
        _run_hydra(application)
    except KeyboardInterrupt as error:
        how = "terminated" if isinstance(error, Terminated) else "interrupted"
        return report_error(f"{how}; {finished}", exit_code(error), error)
    except Exception as error:
        return explain(error)
    return 0


def _run_hydra(application: Callable[[], Any]) -> None:
    """Runs the application. Raises UserError in place of Hydra's own end for a wrong --package."""
    if not any(argument.startswith("--package=") for argument in sys.argv[1:]):
        application()
        return
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            application()
    except SystemExit:
        if not said.getvalue():
            raise
        raise UserError(f"{said.getvalue().strip()}; --cfg job shows all of it") from None
    sys.stderr.write(said.getvalue())
