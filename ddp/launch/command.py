"""The door: what Hydra composed is checked and converted here, and what goes wrong becomes a
   message and an exit code.

Besides train.py this and ddp/launch/composed.py are the only modules that know Hydra.

Exit codes: 0 all went well; 1 a run failed; 2 a mistake in what we were given; 130 interrupted; 143
terminated.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from ddp.launch.exits import INTERRUPTED, TERMINATED, explain, report_error
from ddp.launch.help import help_text
from ddp.launch.one_run import failures
from ddp.launch.resume import resumed_arguments
from ddp.launch.sweep import end_sweep, sweep_dirs
from ddp.machine.signals import WORKER_THREAD, Terminated, end_in_good_order


def launch(task: Callable[[], Any]) -> int:
    """Runs the Hydra application and gives its exit code. Prints one message for a mistake of the
    user's, no stack trace.
    """
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text())
        return 0
    # argparse wants flags before overrides; people write them anywhere.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda argument: argument not in ("-m", "--multirun"))
    # Hydra passes exceptions on to us, instead of printing them and ending with 1
    os.environ["HYDRA_FULL_ERROR"] = "1"
    end_in_good_order()
    code = 0
    try:
        sys.argv[1:] = resumed_arguments(sys.argv[1:])
        task()
    except Terminated as error:
        code = report_error(
            "terminated; what was finished is in the run directory", TERMINATED, error
        )
    except KeyboardInterrupt as error:
        code = report_error(
            "interrupted; what was finished is in the run directory", INTERRUPTED, error
        )
    except Exception as error:
        code = explain(error)
    if sweep_dirs:
        code = end_sweep(sweep_dirs[-1], code)
    code = code or min((failed for failed, _ in failures.values()), default=0)
    if any(thread.name.startswith(WORKER_THREAD) for thread in threading.enumerate()):
        # One that hangs was left behind. In an interpreter that shuts down it could crash: leave
        # without.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
