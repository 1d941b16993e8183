"""The cost of each step of the aggregator, alone on a core: added to the steps of a worker.

The names in the formulas are constants (ddp/advice/constants.py). Evaluations and vectors cost as
in ddp/advice/worker_costs.py.

| step | seconds |
|---|---|
| `average` | `average_float_s` x floats of all updates; with process also publishing them all |
| `read_messages` | `heard_s` x messages of all workers |
| `broadcast` | `message_s` x workers; with process also a vector, if workers read the aggregate |
| `evaluate_aggregate` | an evaluation of the global validation part, and one of the test part |
| `record_s` | `log_s`; in a round with a checkpoint also `checkpoint_s` |
|            | and `checkpoint_float_s` x floats of aggregate and trainer states |
| `save_s` | `save_s` + `save_float_s` x floats of the aggregate |
"""

from ddp.advice.kinds import AVERAGE, RECORD
from ddp.advice.simulation import Work
from ddp.advice.worker_costs import WorkerCosts


class Costs(WorkerCosts):
    """The steps of the workers and the aggregator of one configuration."""

    def average(self) -> Work:
        """Averaging the updates of all workers."""
        updates = [self._update_floats(worker) for worker in range(self.config.workers)]
        seconds = self.exchanges.average_float_s * sum(updates)
        if self.backend == "process":
            seconds += sum(self.publish(worker).seconds for worker in range(self.config.workers))
        return Work(seconds=seconds, kind=AVERAGE, num_bytes=self.copied_bytes // 2 * sum(updates))

    def read_messages(self) -> Work:
        """Reading the messages of all workers in a round.

        A worker sends messages about its epochs and one at the end of the round. With process it
        also sends one in each turn, because the main process carries the rows that it passes on.
        """
        turns = len(self.sizes.items) if self.stratified and self.backend == "process" else 0
        messages = sum(
            self._num_messages(worker) + self.config.local_epochs * turns + 1
            for worker in range(self.config.workers)
        )
        return Work(seconds=messages * self.exchanges.heard_s, kind=AVERAGE)

    def broadcast(self) -> Work:
        """Sending the aggregate to the workers."""
        costs = self.exchange
        seconds = costs.message_s * self.config.workers
        seconds += (
            self._copy(self.num_floats).seconds
            if self.backend == "process" and self.config.reads_aggregate
            else 0.0
        )
        return Work(seconds=seconds, kind=AVERAGE)

    def evaluate_aggregate(self) -> Work:
        """Evaluating the aggregate on the global validation and test parts."""
        parts = (self.sizes.whole_valid, self.sizes.whole_test)
        return Work(
            seconds=sum(self._evaluation_s(part, self.widening) for part in parts), kind=RECORD
        )

    def record_s(self) -> float:
        """Seconds of trackers and checkpoints per round, mostly waits for the disk."""
        costs = self.exchanges
        state_floats = sum(
            self._trainer_state_floats(worker) for worker in range(self.config.workers)
        )
        floats = self.num_floats * self.widening + state_floats
        return costs.log_s + self._checkpoints_per_round() * (
            costs.checkpoint_s + costs.checkpoint_float_s * floats
        )

    def save_s(self) -> float:
        """Seconds of saving the model after the last round."""
        return self.exchanges.save_s + self.exchanges.save_float_s * self.num_floats * self.widening
