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

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ddp.config.version import VERSION
from ddp.machine.collector import collect_seldom
from ddp.machine.open_files import raised_limit
from ddp.machine.output import outlast_readers
from ddp.machine.signals import WORKER_THREAD, end_in_good_order
from ddp.timing.gil import watch


def launch(task: Callable[[Any], Any]) -> int:
    """Runs the command, with `task` for each of its jobs, and gives its exit code.

    For a mistake of the user it prints one message and no stack trace.
    """
    collect_seldom()
    if {"--help", "-h"} & set(sys.argv[1:]):
        from ddp.launch.help import help_text

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # --help | head: end as other commands do
        print(help_text())
        return 0
    if "--version" in sys.argv[1:]:
        print(f"ddp {VERSION}")
        return 0
    watch()
    outlast_readers()
    raised_limit()  # also for the processes that advise=true starts
    end_in_good_order()
    # else numba writes a control character to a terminal as the program ends, also to a dumb one
    os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
    from ddp.launch.application import run_application  # late: --help needs no Hydra

    code = run_application(task)
    if any(thread.name.startswith(WORKER_THREAD) for thread in threading.enumerate()):
        # The thread of a worker that hangs could crash the interpreter's shutdown, so this process
        # ends without one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
