"""Ctrl-C, SIGTERM and SIGHUP: the first ends a run in good order, the second at once."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ddp.machine.files import remove_unfinished
from ddp.machine.sockets import remove_folder

WORKER_THREAD = "worker-"  # the beginning of the names of threads that may outlive a run
AGAIN_AFTER_S = 0.01  # until a signal comes again that was raised where Python drops exceptions
SHOW_CURSOR = "\x1b[?25h"  # a progress bar has hidden it


class Terminated(KeyboardInterrupt):
    """SIGTERM of a scheduler, or SIGHUP of a terminal. It ends a run like Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


_interrupted = False
_holding = False
_held: list[int] = []  # the signal that came while signals were held back


def end_in_good_order() -> None:
    """From now on the first signal ends the run in good order, a second one at once.

    The first SIGINT raises KeyboardInterrupt in the main thread, the first SIGTERM or SIGHUP raises
    Terminated. Under `nohup` the program goes on ignoring SIGHUP.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    sys.unraisablehook = _raise_again


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code after this signal, as shells count: 128 + its number."""
    return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted  # noqa: PLW0603  # a process has one handler per signal
    if _interrupted and number == signal.SIGHUP:
        return  # a terminal that closes sends several
    if _interrupted:
        _leave_at_once(number)
    _interrupted = True
    if _holding:
        _held.append(number)
    else:
        _raise(number)


def _raise(number: int) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _raise_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeats a signal that came during a `__del__` or a weak reference's callback.

    Python drops an exception that such a function raises.
    """
    global _interrupted  # noqa: PLW0603
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    number = exit_code(unraisable.exc_value) - 128
    _interrupted = False
    main = threading.main_thread().ident
    # a signal to this thread wakes it also where it waits
    threading.Timer(AGAIN_AFTER_S, signal.pthread_kill, (main, number)).start()


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Delays the first signal to the end of the block. A second one ends the process at once."""
    global _holding  # noqa: PLW0603
    _holding = True
    try:
        yield
    finally:
        _holding = False
    if _held:
        _raise(_held.pop())


def _leave_at_once(number: int) -> None:
    """Kills the children, removes what a killed process would leave, and ends this process."""
    for child in multiprocessing.active_children():
        child.kill()
    remove_folder()
    remove_unfinished()
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), f"\r\n{SHOW_CURSOR}".encode())
    os._exit(128 + number)
