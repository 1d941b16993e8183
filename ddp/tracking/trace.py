"""What was when: a lane per worker and one for the aggregator, as Perfetto and chrome://tracing
read it (Chrome trace format).
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterator

from ddp.timing.kinds import kind_of
from ddp.timing.paths import PATH_NUMBERS, PATHS, read_slices
from ddp.tracking.messages import AggregateRound, Finished, Started, WorkerRound
from ddp.tracking.tracker import AGGREGATOR, Tracker, worker_name

# of a run: afterwards all but the last two rounds of each lane are kept as a slice per kind
MOST_SLICES = 50_000
NUMBERS = 3 * 8  # bytes of a slice
KINDS = {path: kind_of(path) for path in PATHS}


class Trace(Tracker):
    """Keeps slices, round by round."""

    def __init__(self) -> None:
        self._rounds: dict[int | None, list[tuple[int | None, bytes]]] = {}
        self._num_slices = 0
        self._finished: dict[int, Finished] = {}

    def add(self, worker: int | None, round_index: int | None, slices: bytes) -> None:
        """What a worker (None: the aggregator) did in a round (None: before its first or after its
        last).
        """
        if not slices:
            return
        rounds = self._rounds.setdefault(worker, [])
        # What belongs to no round comes after the last one, which is to stay whole; so is the one
        # before it: in a run that is interrupted it is the last that all lanes have.
        if self._num_slices > MOST_SLICES and len(rounds) > 1 and round_index is not None:
            rounds[-2] = (rounds[-2][0], condensed(rounds[-2][1]))
        rounds.append((round_index, slices))
        self._num_slices += len(slices) // NUMBERS

    def started(self, message: Started) -> None:
        self._finished.pop(message.worker, None)  # of the life before, if a round begins again
        self.add(message.worker, None, message.account.slices)

    def worker_round(self, row: WorkerRound) -> None:
        self.add(row.worker, row.round_index, row.account.slices)

    def aggregate_round(self, row: AggregateRound) -> None:
        self.add(None, row.round_index, row.account.slices)

    def finished(self, message: Finished) -> None:
        self.add(message.worker, None, message.account.slices)
        self._finished[message.worker] = message

    def ended(self, worker: int, began: float, ended: float) -> None:
        if worker in self._finished:
            at_s = self._finished[worker].at_s
            self.add(worker, None, array("d", (PATH_NUMBERS["stop"], at_s, ended - at_s)).tobytes())

    def as_json(self, title: str) -> Iterator[str]:
        """The file, piece by piece; microseconds from its first slice on."""
        yield '{"displayTimeUnit":"ms","traceEvents":[\n'
        yield _named("process_name", 0, title)
        began_ns = min(
            (_ns(read_slices(rounds[0][1])[0][1]) for rounds in self._rounds.values()), default=0
        )
        for worker in sorted(self._rounds, key=lambda worker: -1 if worker is None else worker):
            lane = 0 if worker is None else worker + 1
            yield ",\n" + _named(
                "thread_name", lane, AGGREGATOR if worker is None else worker_name(worker)
            )
            last_ns = 0
            for round_index, content in self._rounds[worker]:
                about = "" if round_index is None else f'"round":{round_index}'
                for path, start_s, seconds in read_slices(content):
                    start, end = (
                        max(_ns(start_s) - began_ns, last_ns),
                        _ns(start_s + seconds) - began_ns,
                    )
                    if end > start:
                        last_ns = end  # sums of floats may reach a nanosecond into the next slice
                        kind = KINDS[path]
                        yield (
                            f',\n{{"ph":"X","name":"{kind}","pid":0,"tid":{lane},'
                            f'"ts":{start / 1e3:.3f},"dur":{(end - start) / 1e3:.3f},"args":{{{about}}}}}'
                        )
        yield "\n]}\n"


def condensed(content: bytes) -> bytes:
    """A slice for each path, one after another: the same sums, without the order."""
    slices = read_slices(content)
    seconds: Counter[str] = Counter()
    for path, _, value in slices:
        seconds[path] += value  # type: ignore[assignment]  # floats: a Counter adds what it is given
    numbers, start = array("d"), slices[0][1] if slices else 0.0
    for path, value in seconds.items():
        numbers.extend((PATH_NUMBERS[path], start, value))
        start += value
    return numbers.tobytes()


def _named(what: str, lane: int, name: str) -> str:
    return json.dumps(
        {"ph": "M", "name": what, "pid": 0, "tid": lane, "args": {"name": name}},
        separators=(",", ":"),
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
