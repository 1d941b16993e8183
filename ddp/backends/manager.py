"""The process behind a `Manager().dict()`, so that it can neither be waited for without end nor be
left behind.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.managers import SyncManager
from multiprocessing.process import BaseProcess
from typing import Any

from ddp.backends.store import Store
from ddp.errors import BackendError
from ddp.machine.child import end_with_parent
from ddp.machine.sockets import make_folder

STOP_GRACE_S = 1.0
KEY_BYTES = 32


class ManagerProcess:
    """It listens on a socket in a folder that only its user can enter (ddp/machine/sockets.py), and
    asks for a random key, of this run only.
    """

    def __init__(self, context: BaseContext) -> None:
        self._manager = SyncManager(ctx=context, authkey=secrets.token_bytes(KEY_BYTES))
        self._ending = ExitStack()
        self._gave_up = False
        self._process: BaseProcess | None = None

    def start(self) -> Store:
        """Starts the process; its dict."""
        make_folder()
        self._manager.start(end_with_parent)
        self._process = getattr(self._manager, "_process", None)  # there is no public way to it
        self._ending.callback(self._manager.shutdown)
        store: Store = self._manager.dict()
        return store

    def process_id(self) -> dict[str, int]:
        """Its id, by its name, while it runs."""
        process_id = None if self._process is None else self._process.pid
        return {} if process_id is None else {"manager": process_id}

    @contextmanager
    def answers(self, round_index: int, timeout_s: float | None = None) -> Iterator[None]:
        """Says so when the manager is dead. (Pipes to workers that break are dealt with where they
           are used.)

        One that does not answer within `timeout_s` is killed: a call to it has no deadline of its
        own, and ends so.
        """
        timer = self._kill_after(timeout_s) if timeout_s is not None else None
        try:
            yield
        except (EOFError, ConnectionError) as error:
            how = (
                f"did not answer for {timeout_s:g} s"
                if self._gave_up
                else f"died ({type(error).__name__})"
            )
            raise BackendError(f"round {round_index}: the manager's process {how}") from error
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()

    def stop(self, forget: Callable[[], None]) -> None:
        """Asks it to end; makes it. `forget`: drops the last proxy, which then says goodbye to
        it.
        """
        timer = self._kill_after(STOP_GRACE_S)
        try:
            forget()
            self._ending.close()
        finally:
            timer.cancel()
            timer.join()
        if self._process is not None and not self._process.is_alive():
            self._process.close()  # its descriptors, which we would hold as long as we live
            self._process = None

    def _kill_after(self, seconds: float) -> threading.Timer:
        process = self._process

        def kill(*_: Any) -> None:
            if process is not None and process.is_alive():
                self._gave_up = True
                process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        return timer
