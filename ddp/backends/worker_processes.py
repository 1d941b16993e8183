"""The common part of process and shm: one process per worker, its start, its messages, its end.

    parent (aggregator)                             worker's process
      start    --spawn or fork-------------------->  run_process
               <--Asking---------------------------
      _admit   --job------------------------------>  connect: its job and its exchange
               <--messages------- pipe --- rounds->  worker_loop
      waits for the pipe, and for the sentinel of the process, which says that it has ended

If the parent dies, the worker ends itself (`serve_parent`).
"""

import pickle
import signal
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from ddp.backends.concurrent import ConcurrentBackend
from ddp.backends.forkserver import ensure_server, interrupts_blocked, server_id
from ddp.backends.peer import Deadline, Peer
from ddp.backends.process_files import check_open_files
from ddp.backends.process_memory import check_memory
from ddp.backends.worker_process import Connect, run_process
from ddp.errors import WorkerError
from ddp.machine.child import Arrival, context_of, enter
from ddp.machine.memory import available_bytes
from ddp.timing.spans import Spans
from ddp.tracking.messages import Asking, Failed, Message
from ddp.trainers.trainer import trainer_for
from ddp.workers.backend import OnMessage
from ddp.workers.job import Job, Task

STOP_GRACE_S = 1.0  # after SIGTERM, before SIGKILL
# after SIGKILL: a busy machine takes a while to free the RAM of many processes
KILL_GRACE_S = 60.0
FINISH_GRACE_S = 5.0  # for a process that has done all its work to end


@dataclass(slots=True, kw_only=True)
class ProcessPeer(Peer):
    """`asked`: the worker has asked for its job. `attached`: it has opened the segment (shm)."""

    asked: bool = False
    attached: bool = False


class WorkerProcesses(ConcurrentBackend[ProcessPeer]):
    """One process per worker; the aggregator runs in the parent.

    `start_method`: spawn or forkserver.
    """

    def __init__(
        self,
        start_method: str,
        task: Task,
        jobs: Sequence[Job],
        on_message: OnMessage,
        spans: Spans | None,
        poll_interval_s: float | None,
    ) -> None:
        super().__init__(task, jobs, on_message, spans, poll_interval_s, ProcessPeer)
        self.start_method = start_method
        self.context = context_of(start_method)
        self.processes: dict[int, BaseProcess] = {}
        self.pipes: dict[int, Connection] = {}

    @abstractmethod
    def _open(self) -> list[Connect]:
        """Creates all that carries vectors. Gives a `Connect` for each worker, which is pickled."""

    @abstractmethod
    def _admit(self, worker: int) -> None:
        """Sends the worker the data that its `Connect` reads."""

    def load(self) -> None:
        if self.config.trainer.compiled:
            trainer_for(self.config.trainer)  # workers find its kernels on disk

    def start(self) -> None:
        check_open_files(self.config)
        check_memory(self.config, self.start_method, available_bytes())
        if self.start_method == "forkserver":
            ensure_server(self.config.trainer.name)
        for worker, connect in zip(self.workers, self._open(), strict=True):
            self._start_one(worker, connect)
        # A worker gets its job when it asks for it. As an argument of `Process` the ratings would
        # fill the pipe to a child that still imports torch, and the parent would wait for the child
        # before it could start the next one.
        self._await(
            lambda: [w for w in self.workers if not self.peers[w].asked],
            Deadline(self.config.round_timeout),
        )

    def _start_one(self, worker: int, connect: Connect) -> None:
        ours, theirs = self.context.Pipe()
        self.pipes[worker] = ours
        began = self.peers[worker].began = time.perf_counter()
        # mypy does not see that every context with a name has `Process`
        process = self.context.Process(  # type: ignore[attr-defined]
            target=enter,
            args=(Arrival(), run_process, began, worker, theirs, connect, self.wrap),
            name=f"worker-{worker}",
            daemon=True,
        )
        # A forked worker inherits this from the server, a spawned one from this process.
        with interrupts_blocked() if self.start_method == "spawn" else nullcontext():
            process.start()
        self.processes[worker] = process
        # the worker holds the only other end: if it dies, ours reads end-of-file
        theirs.close()

    def servers(self) -> dict[str, int]:
        server = server_id() if self.start_method == "forkserver" else None
        return {} if server is None else {"forkserver": server}

    def drop(self, worker: int) -> None:
        super().drop(worker)
        process = self.processes.pop(worker)
        process.kill()
        process.join(KILL_GRACE_S)
        self.peers[worker].ended = time.perf_counter()
        process.close()
        self.pipes.pop(worker).close()

    def stop(self) -> None:
        if all(self.peers[worker].finished for worker in self.workers):
            self._join(FINISH_GRACE_S)
        for end, grace_s in (
            (BaseProcess.terminate, STOP_GRACE_S),
            (BaseProcess.kill, KILL_GRACE_S),
        ):
            for process in self.processes.values():
                if process.is_alive():
                    end(process)
            self._join(grace_s)
        for process in self.processes.values():
            process.close()
        for pipe in self.pipes.values():
            pipe.close()
        self.processes.clear()
        self.pipes.clear()

    def _join(self, timeout_s: float) -> None:
        """Waits until all processes have ended, or for `timeout_s`; notes when each ended."""
        deadline = time.monotonic() + timeout_s
        running = {
            process.sentinel: worker
            for worker, process in self.processes.items()
            if self.peers[worker].ended is None
        }
        while running and (
            ready := connection.wait(list(running), max(0.0, deadline - time.monotonic()))
        ):
            for sentinel in ready:
                assert isinstance(sentinel, int)
                self.peers[running.pop(sentinel)].ended = time.perf_counter()
        for process in self.processes.values():
            process.join(max(0.0, deadline - time.monotonic()))

    def _handle(self, message: Message) -> None:
        if isinstance(message, Asking):
            self._admit(message.worker)
            self.peers[message.worker].asked = True
        else:
            super()._handle(message)

    def _messages(self, timeout_s: float) -> list[Message]:
        running = [worker for worker in self.workers if not self.peers[worker].finished]
        sentinels = {self.processes[worker].sentinel: worker for worker in running}
        ending = {
            process.sentinel: self.peers[worker]
            for worker, process in self.processes.items()
            if self.peers[worker].finished and self.peers[worker].ended is None
        }
        ready = connection.wait(
            [*(self.pipes[worker] for worker in running), *sentinels, *ending], timeout_s
        )
        for end in ready:
            if isinstance(end, int) and end in ending:
                ending[end].ended = time.perf_counter()
        messages = [
            self._decode(worker, content)
            for worker in running
            for content in drain(self.pipes[worker])
        ]
        if not messages:  # the last messages of a worker come before its death
            for sentinel, worker in sentinels.items():
                if sentinel in ready:
                    raise self._death_of(worker)
        return messages

    def _decode(self, worker: int, content: bytes) -> Message:
        """The message that a worker has sent as `content`."""
        try:
            return self._decoded(worker, content)
        except Exception as error:
            reason = f"its message cannot be read: {type(error).__name__}: {error}"
            return Failed(worker=worker, error=self._error_of(worker, reason))

    def _decoded(self, worker: int, content: bytes) -> Message:
        message: Message = pickle.loads(content)  # a worker of this run pickled it a moment ago
        return message

    @contextmanager
    def _pipe_to(self, worker: int) -> Iterator[Connection]:
        """The worker's pipe, to send into. A dead worker is no error here.

        The next wait for messages finds that it has died.
        """
        with suppress(BrokenPipeError, ConnectionResetError):
            yield self.pipes[worker]

    def _death_of(self, worker: int) -> WorkerError:
        process = self.processes[worker]
        process.join(STOP_GRACE_S)
        code = process.exitcode
        how = (
            f"exit code {code}"
            if code is None or code >= 0
            else f"signal {signal.Signals(-code).name}"
        )
        return self._error_of(worker, f"the process died ({how})", code)


def drain(pipe: Connection) -> list[bytes]:
    """All whole messages that lie in the pipe.

    A closed pipe or half a message is no error here: the worker's sentinel says that it has ended.
    """
    contents: list[bytes] = []
    try:
        while pipe.poll():
            contents.append(pipe.recv_bytes())
    except (EOFError, OSError):
        pass
    return contents
