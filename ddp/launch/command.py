"""The command `python train.py`: Hydra's application, with a message and exit code for each error.

| exit code | meaning                      |
|-----------|------------------------------|
| 0         | every run ended well         |
| 1         | a run failed                 |
| 2         | the user has made a mistake  |
| 129       | SIGHUP: the terminal is gone |
| 130       | Ctrl-C                       |
| 143       | SIGTERM                      |
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

from ddp.errors import UserError
from ddp.launch.arguments import hydra_arguments
from ddp.launch.exits import explain, report_error
from ddp.launch.help import help_text
from ddp.launch.sweep import SWEEP
from ddp.machine.open_files import raised_limit
from ddp.machine.output import outlast_readers
from ddp.machine.signals import WORKER_THREAD, Terminated, end_in_good_order, exit_code


def launch(task: Callable[[], Any]) -> int:
    """Runs the Hydra application and gives its exit code.

    For a mistake of the user it prints one message and no stack trace.
    """
    if {"--help", "-h"} & set(sys.argv[1:]):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # --help | head: end as other commands do
        print(help_text())
        return 0
    outlast_readers()
    raised_limit()  # also for the processes that advise=true starts
    # With it Hydra raises an exception; without it Hydra prints the exception and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    end_in_good_order()
    code = SWEEP.end(_code_of(task))
    if any(thread.name.startswith(WORKER_THREAD) for thread in threading.enumerate()):
        # The thread of a worker that hangs could crash the interpreter's shutdown, so this process
        # ends without one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _code_of(task: Callable[[], Any]) -> int:
    """Runs the application and gives the exit code. Prints a message for an error or a signal."""
    finished = "the run directory holds all finished work"
    try:
        sys.argv[1:] = hydra_arguments(sys.argv[1:])
        _run_hydra(task)
    except KeyboardInterrupt as error:
        how = "terminated" if isinstance(error, Terminated) else "interrupted"
        return report_error(f"{how}; {finished}", exit_code(error), error)
    except Exception as error:
        return explain(error)
    return 0


def _run_hydra(task: Callable[[], Any]) -> None:
    """Runs the application. Raises UserError in place of Hydra's own end for a wrong --package."""
    if not any(argument.startswith("--package=") for argument in sys.argv[1:]):
        task()
        return
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            task()
    except SystemExit:
        if not said.getvalue():
            raise
        raise UserError(f"{said.getvalue().strip()}; --cfg job shows all of it") from None
    sys.stderr.write(said.getvalue())
