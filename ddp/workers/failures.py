"""The choice of `on_failure`: a run ends, drops a worker or starts again when a worker fails."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ddp.config.schema import Config
from ddp.errors import WorkerError
from ddp.tracking.messages import Failure
from ddp.workers.state import RunState


class Failures:
    """Decides what follows a failure, and tells the trackers. `dropped`: the dropped workers.

    | config                       | after a failure                                               |
    |------------------------------|---------------------------------------------------------------|
    | `on_failure=abort`           | the run ends                                                  |
    | `on_failure=drop`            | the round goes on without the worker                          |
    | `on_failure=drop`, where     | the round begins again without the worker, since others need  |
    | rows have owners             | the rows that it held                                         |
    | `on_failure=restart`         | the round begins again with all workers                       |

    A round begins again from the state after the round before, which a checkpoint would hold.
    """

    def __init__(
        self, config: Config, tell: Callable[[Failure], None], dropped: Sequence[int] = ()
    ) -> None:
        self.config = config
        self.tell = tell
        self.dropped = list(dropped)

    def survive(self, error: WorkerError) -> None:
        """Drops the worker in the middle of a round. Raises the error if that is not possible."""
        if self.config.has_owners or not self._may_drop(error):
            raise error
        self._drop(error)

    def go_back(self, error: WorkerError, state: RunState) -> RunState:
        """The state from which the round begins again, after an error that `survive` has raised.

        Raises the error if the run must end.
        """
        if self._may_drop(error):
            self._drop(error)
            # With split=stratified the workers that remain get other blocks.
            trainer_states = {} if self.config.stratified else state.trainer_states
            return replace(state, dropped=tuple(self.dropped), trainer_states=trainer_states)
        if (
            self.config.on_failure == "restart"
            and not error.diverged
            and state.restarts < self.config.max_restarts
        ):
            self.tell(Failure.of(error, "restart"))
            return replace(state, restarts=state.restarts + 1)
        self.tell(Failure.of(error, "abort"))
        raise error

    def _may_drop(self, error: WorkerError) -> bool:
        remaining = self.config.workers - len(self.dropped) - 1
        return self.config.on_failure == "drop" and remaining >= self.config.min_workers

    def _drop(self, error: WorkerError) -> None:
        self.dropped.append(error.worker)
        self.tell(Failure.of(error, "drop"))
