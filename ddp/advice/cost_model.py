"""The cost of each step of a run: those of its workers, and here those of its aggregator."""

from ddp.advice.kinds import AVERAGE, RECORD
from ddp.advice.simulation import Work
from ddp.advice.worker_costs import WorkerCosts


class Costs(WorkerCosts):
    """The steps of one configuration, as `Work` for the simulation."""

    def average(self) -> Work:
        """From the last worker's update to the aggregate."""
        updates = [self._update_floats(worker) for worker in range(self.config.workers)]
        seconds = self.exchanges.average_float_s * sum(updates)
        if self.backend == "process":
            seconds += sum(self.publish(worker).seconds for worker in range(self.config.workers))
        return Work(seconds=seconds, kind=AVERAGE, num_bytes=self.copied_bytes // 2 * sum(updates))

    def read_messages(self) -> Work:
        """Reading the messages of all workers in a round.

        A worker sends messages about its epochs, one for each group of rows that it passes through
        the main process, and one at the end of the round.
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
        """Evaluating the aggregate on the whole parts."""
        parts = (self.sizes.whole_valid, self.sizes.whole_test)
        return Work(
            seconds=sum(self._evaluation_s(part, self.widening) for part in parts), kind=RECORD
        )

    def record_s(self) -> float:
        """Seconds of trackers and checkpoints per round, mostly of waiting for the disk."""
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
