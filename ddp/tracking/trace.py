"""trace.json: slices of time in the lane of each worker and of the aggregator.

It is in the Chrome trace format, which Perfetto and chrome://tracing read.
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterator

from ddp.counting import FORMAT, round_of
from ddp.timing.paths import PATH_NUMBERS, kind_of, read_slices
from ddp.tracking.messages import (
    AggregateRound,
    Ended,
    Event,
    Finished,
    OutsideRounds,
    Started,
    WorkerRound,
)
from ddp.tracking.tracker import Tracker
from ddp.tracking.who import AGGREGATOR, worker_name

# A run with more slices keeps only those of the last two rounds of each lane.
MOST_SLICES = 50_000
SLICE_BYTES = 3 * 8


class Trace(Tracker):
    """Keeps the slices of each lane, round by round, until the run ends."""

    def __init__(self) -> None:
        self._rounds: dict[int | None, list[tuple[int | None, bytes]]] = {}
        self._num_slices = 0
        self._finished: dict[int, Finished] = {}

    def add(self, worker: int | None, round_index: int | None, slices: bytes) -> None:
        """Adds slices to a lane.

        `worker`: None means the aggregator. `round_index`: None means before the first round or
        after the last.
        """
        if not slices:
            return
        rounds = self._rounds.setdefault(worker, [])
        # Beyond MOST_SLICES only the last two rounds keep every slice: the last one, and the last
        # one that all lanes have finished when the run is interrupted. Slices of no round condense
        # nothing, so that the last round stays whole.
        if self._num_slices > MOST_SLICES and len(rounds) > 1 and round_index is not None:
            rounds[-2] = (rounds[-2][0], condensed(rounds[-2][1]))
        rounds.append((round_index, slices))
        self._num_slices += len(slices) // SLICE_BYTES

    def on(self, event: Event) -> None:
        match event:
            case Started(worker=worker):
                self._finished.pop(worker, None)  # of its life before a restart
                self.add(worker, None, event.account.slices)
            case WorkerRound():
                self.add(event.worker, event.round_index, event.account.slices)
            case AggregateRound():
                self.add(None, event.round_index, event.account.slices)
            case OutsideRounds():
                self.add(None, None, event.account.slices)
            case Finished(worker=worker):
                self.add(worker, None, event.account.slices)
                self._finished[worker] = event
            case Ended(worker=worker) if worker in self._finished:
                at_s = self._finished[worker].at_s
                stop = array("d", (PATH_NUMBERS["stop"], at_s, event.ended_s - at_s))
                self.add(worker, None, stop.tobytes())

    def as_json(self, title: str) -> Iterator[str]:
        """The text of the file, piece by piece. Times are microseconds since the first slice."""
        yield f'{{"displayTimeUnit":"ms","otherData":{{"format":{FORMAT}}},"traceEvents":[\n'
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
                about = "" if round_index is None else f'"round":{round_of(round_index)}'
                for path, start_s, seconds in read_slices(content):
                    start = max(_ns(start_s) - began_ns, last_ns)
                    end = _ns(start_s + seconds) - began_ns
                    if end > start:
                        last_ns = end  # rounding may reach a nanosecond into the next slice
                        yield (
                            f',\n{{"ph":"X","name":"{kind_of(path)}","pid":0,"tid":{lane},'
                            f'"ts":{start / 1e3:.3f},"dur":{(end - start) / 1e3:.3f},'
                            f'"args":{{{about}}}}}'
                        )
        yield "\n]}\n"


def condensed(content: bytes) -> bytes:
    """One slice for each path, one after another: the same sums, without the order."""
    slices = read_slices(content)
    seconds: Counter[str] = Counter()
    for path, _, value in slices:
        seconds[path] += value  # type: ignore[assignment]  # a Counter adds floats as well
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
