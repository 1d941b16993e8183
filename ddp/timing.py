"""Where the time goes: spans that never overlap, so that they add up to the wall.

A span opened inside another pauses it. Its seconds are kept under its path ("publish/lock_wait"), so that one table
gives both the phase (everything below "publish") and the kind ("lock_wait" wherever it happened).
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OTHER = "other"  # what no span covers
START = "start"  # the phase before the first span

# The outermost spans, which add up to the wall, and the kinds of cost inside them.
WORKER_PHASES = ("compute", "evaluate", "publish", "wait", "receive", OTHER)
AGGREGATOR_PHASES = ("wait", "gather", "average", "broadcast", "evaluate", "record", OTHER)
KINDS = ("lock_wait", "lock_hold", "serialise", "transfer", "deserialise")


@dataclass(slots=True, kw_only=True)
class Account:
    """What one round cost: `seconds` by path of the span, disjoint, summing to `wall_s`; `num_bytes` pickled, by phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    num_bytes: dict[str, int] = field(default_factory=dict)

    @property
    def wall_s(self) -> float:
        return sum(self.seconds.values())

    def phase_s(self, name: str) -> float:
        """Seconds of the outermost span `name`, with everything inside it."""
        return sum(seconds for path, seconds in self.seconds.items() if path.split("/")[0] == name)

    def kind_s(self, name: str) -> float:
        """Seconds of the innermost spans called `name`, wherever they were opened."""
        return sum(seconds for path, seconds in self.seconds.items() if path.split("/")[-1] == name)


def total_account(accounts: Iterable[Account]) -> Account:
    """The sum of several accounts, path by path."""
    seconds: Counter[str] = Counter()
    num_bytes: Counter[str] = Counter()
    for account in accounts:
        seconds.update(account.seconds)  # floats: a Counter adds what it is given
        num_bytes.update(account.num_bytes)
    return Account(seconds=dict(seconds), num_bytes=dict(num_bytes))


class Spans:
    """A stopwatch for one thread of execution. `clock` gives seconds; tests pass a fake one."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._path: list[str] = []
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._bytes: defaultdict[str, int] = defaultdict(int)
        self._since = clock()
        self.phase = START  # the outermost span that is open, or was last

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times the block as `name`, inside whatever span is open; closes it on an exception too."""
        self._settle()
        if not self._path:
            self.phase = name
        self._path.append(name)
        try:
            yield
        finally:
            self._settle()
            self._path.pop()

    def move(self, seconds: float, source: str, to: str) -> None:
        """Credits to `to` some of the seconds of `source`: what compiled code did in it that is not what it was opened for."""
        self._seconds[source] -= seconds
        self._seconds[to] += seconds

    def count_bytes(self, num_bytes: int) -> None:
        """Adds pickled bytes to the outermost open span."""
        self._bytes[self._path[0] if self._path else OTHER] += num_bytes

    def take(self) -> Account:
        """Everything since the last `take` (or the start), and starts anew."""
        self._settle()
        account = Account(seconds=dict(self._seconds), num_bytes=dict(self._bytes))
        self._seconds.clear()
        self._bytes.clear()
        return account

    def _settle(self) -> None:
        """Credits the time since the last switch to the innermost open span."""
        now = self._clock()
        self._seconds["/".join(self._path) or OTHER] += now - self._since
        self._since = now
