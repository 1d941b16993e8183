"""The first signal ends a program in good order, wherever it comes."""

import subprocess
import sys
from signal import SIGHUP, SIGINT, SIGTERM

import pytest

# A destructor in whose middle the signal comes: Python drops what it raises.
PROGRAM = """
import signal, sys, threading
from ddp.machine.signals import end_in_good_order, exit_code

class Dropped:
    def __del__(self):
        signal.raise_signal({number})
        sum(range(10))  # the handler runs at one of these instructions

end_in_good_order()
try:
    dropped = Dropped()
    del dropped
    threading.Event().wait(60)
except KeyboardInterrupt as error:
    print("in good order")
    sys.exit(exit_code(error))
"""


@pytest.mark.parametrize("number", [SIGINT, SIGTERM, SIGHUP])
def test_a_signal_is_not_lost_in_a_destructor(number):
    program = PROGRAM.format(number=int(number))
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + number, "in good order\n", "")
