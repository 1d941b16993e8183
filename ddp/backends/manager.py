"""A dict in a process of its own (`Manager().dict()`), with a deadline for each call.

aggregator --call--> ManagerStore --proxy--> manager's process: the dict
                         |                       ^
                     Watchdog -------kill--------+   if the answer does not come in time
worker -------------------------proxy------------+
"""

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.managers import DictProxy, SyncManager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ddp.counting import round_of
from ddp.errors import BackendError
from ddp.machine.child import serve_parent
from ddp.machine.sockets import make_folder

STOP_GRACE_S = 1.0
KEY_BYTES = 32

Answer = TypeVar("Answer")


class Watchdog:
    """Kills a process that does not answer in time, since a call to a proxy has no deadline.

    One thread serves all calls. It wakes up at most once in the time that a call may take.
    """

    def __init__(self, process: BaseProcess) -> None:
        self.has_killed = False
        self._process = process
        self._changed = threading.Condition()
        self._until = math.inf  # the deadline of the call that runs now
        self._wakes_at = math.inf
        self._is_over = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Kills the process if the block takes longer."""
        until = time.monotonic() + seconds
        with self._changed:
            self._until = until
            if until < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._until = math.inf

    def stop(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                remaining_s = self._until - time.monotonic()
                if remaining_s <= 0:
                    self.has_killed = True
                    self._process.kill()
                    self._until = remaining_s = math.inf
                self._wakes_at = self._until
                self._changed.wait(None if remaining_s == math.inf else remaining_s)


class ManagerStore(MutableMapping[str, Any]):
    """The dict, for the aggregator. Every call raises BackendError if the manager is dead.

    | name            | meaning                                                           |
    |-----------------|-------------------------------------------------------------------|
    | `timeout_s`     | seconds; a manager that takes longer for an answer is killed      |
    | `round_index()` | gives the round that an error names                               |
    | `proxy`         | the dict for the workers, between `start` and `stop`              |

    The manager listens on a socket in a folder that only its user can enter
    (ddp/machine/sockets.py), and asks for a random key that only this run has.
    """

    def __init__(
        self, context: BaseContext, timeout_s: float, round_index: Callable[[], int]
    ) -> None:
        self.timeout_s = timeout_s
        self.round_index = round_index
        self.proxy: DictProxy[str, Any]
        self._manager = SyncManager(ctx=context, authkey=secrets.token_bytes(KEY_BYTES))
        self._process: BaseProcess | None = None
        self._watchdog: Watchdog

    def start(self) -> None:
        """Starts the process."""
        make_folder()
        self._manager.start(serve_parent)
        # no public name leads to the process
        self._process = self._manager._process  # type: ignore[attr-defined]
        assert self._process is not None
        self._watchdog = Watchdog(self._process)
        self.proxy = self._manager.dict()

    def process_id(self) -> dict[str, int]:
        """The id of the process, by its name, while it runs."""
        process_id = None if self._process is None else self._process.pid
        return {} if process_id is None else {"manager": process_id}

    def stop(self) -> None:
        """Asks the process to end; kills it if it does not."""
        if self._process is None:
            return
        with self._watchdog.within(STOP_GRACE_S):
            vars(self).pop("proxy", None)  # the end of the last proxy calls the manager
            self._manager.shutdown()
        self._watchdog.stop()
        if not self._process.is_alive():
            self._process.close()  # frees its descriptors
        self._process = None

    def check(self, timeout_s: float) -> None:
        """Raises BackendError unless the manager answers within `timeout_s`."""
        self._ask(lambda: len(self.proxy), timeout_s)

    def _ask(self, call: Callable[[], Answer], timeout_s: float | None = None) -> Answer:
        if timeout_s is None:
            timeout_s = self.timeout_s
        try:
            with self._watchdog.within(timeout_s):
                return call()
        except (EOFError, ConnectionError) as error:
            how = f"died ({type(error).__name__})"
            if self._watchdog.has_killed:
                how = f"did not answer for {timeout_s:g} s"
            reason = f"round {round_of(self.round_index())}: the manager's process {how}"
            raise BackendError(reason) from error

    def __getitem__(self, key: str) -> Any:
        return self._ask(lambda: self.proxy[key])

    def get(self, key: str, default: Any = None) -> Any:
        return self._ask(lambda: self.proxy.get(key, default))

    def __setitem__(self, key: str, value: Any) -> None:
        self._ask(lambda: self.proxy.__setitem__(key, value))

    def __delitem__(self, key: str) -> None:
        self._ask(lambda: self.proxy.__delitem__(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ask(self.proxy.keys))

    def __len__(self) -> int:
        return self._ask(lambda: len(self.proxy))
