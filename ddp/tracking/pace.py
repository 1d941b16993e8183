"""The pace of a run: ratings per second of all workers together, and the time that remains.

Both are means over the training of this process, from the first worker's first epoch to the last
news of a worker or of an aggregate. Drawing them takes no part in it.
"""

import math
from collections.abc import Mapping, Sequence

from ddp.config.schema import Config
from ddp.counting import round_of
from ddp.tracking.messages import AggregateRound


class Pace:
    """Counts local epochs. All times are readings of one clock, in seconds.

    | attribute | meaning                                               |
    |-----------|-------------------------------------------------------|
    | `done`    | worker -> the local epochs that it has done in all    |
    | `row`     | the row of the newest aggregate; None: there was none |
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.done = [0] * config.workers
        self.row: AggregateRound | None = None
        self._ratings: Mapping[int, int] = {}
        self._began: float | None = None
        self._at = 0.0
        self._epochs = self._trained = 0  # since `_began`

    def begin(self, ratings: Mapping[int, int]) -> None:
        """Training begins. `ratings`: worker -> the number that it visits in a local epoch."""
        self._ratings = ratings

    def started(self, now: float) -> None:
        """A worker is about to train."""
        if self._began is None:
            self._began = self._at = now

    def epochs(self, worker: int, done: int, now: float) -> None:
        """A worker has done so many local epochs in all."""
        new = done - self.done[worker]
        self.done[worker] = done
        self._epochs += new
        self._trained += new * self._ratings.get(worker, 0)
        self._at = now

    def aggregated(self, row: AggregateRound, now: float) -> None:
        """A round has its aggregate."""
        self.row, self._at = row, now

    def rewind(self, next_round: int, last: AggregateRound | None) -> None:
        """The run goes on with this round, and the means begin anew. `last`: the row before it."""
        self.done = [next_round * self.config.local_epochs] * self.config.workers
        self.row, self._began = last, None
        self._epochs = self._trained = 0

    @property
    def round(self) -> int:
        """The newest round with an aggregate, counted from 1; before the first one also 1."""
        return round_of(0 if self.row is None else self.row.round_index)

    @property
    def training_s(self) -> float:
        """Seconds of the rounds that have their aggregate, those of resumed runs included."""
        return 0.0 if self.row is None else self.row.elapsed_s

    @property
    def per_second(self) -> float | None:
        """Ratings per second of all workers together; None: not known yet."""
        spent_s = self._spent_s
        return self._trained / spent_s if self._trained and spent_s > 0 else None

    def remaining_s(self, now: float, alive: Sequence[int]) -> float | None:
        """Seconds to the end of the last round at this pace; None: not known yet.

        `alive`: the workers that go on. `max_seconds` ends a run with a round.
        """
        if not self._epochs or not alive or self._spent_s <= 0:
            return None
        per_round = len(alive) * self.config.local_epochs
        round_s = self._spent_s * per_round / self._epochs
        rounds_done = sum(self.done[worker] for worker in alive) / per_round
        rounds_left = self.config.rounds - rounds_done
        if self.config.max_seconds is not None:
            row_round = 0 if self.row is None else self.round
            due = row_round + math.ceil((self.config.max_seconds - self.training_s) / round_s)
            rounds_left = min(rounds_left, max(due - rounds_done, 0))
        return max(rounds_left * round_s - (now - self._at), 0.0)

    @property
    def _spent_s(self) -> float:
        return 0.0 if self._began is None else self._at - self._began


def in_short(number: float) -> str:
    """A number in at most five characters: 850, 85.3k, 12.3M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * factor:
            value = number / factor
            return f"{value:.{0 if value >= 99.95 else 1}f}{unit}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """Seconds as a person reads them from a clock: 0:05, 12:34, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
