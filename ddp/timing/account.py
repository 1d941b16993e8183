"""The account of some stretch of time: seconds by path of the span, and bytes."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ddp.timing.kinds import KINDS, PICKLE_KINDS
from ddp.timing.paths import innermost_of, kind_of, phase_of


@dataclass(slots=True, kw_only=True)
class Account:
    """The cost of some stretch of time.

    | field | |
    |---|---|
    | `seconds` | by path of the span: disjoint, and their sum is `wall_s` |
    | `num_bytes` | pickled bytes, by phase |
    | `num_copied` | copied bytes, by phase |
    | `waited_for` | seconds of "wait", by the worker that they were for; only split=stratified |
    | `slices` | when each path ran (see `read_slices`), with the same sums; empty in a total, and |
    |          | without a meter |
    """

    seconds: dict[str, float] = field(default_factory=dict)
    num_bytes: dict[str, int] = field(default_factory=dict)
    num_copied: dict[str, int] = field(default_factory=dict)
    waited_for: dict[int, float] = field(default_factory=dict)
    slices: bytes = b""

    @property
    def wall_s(self) -> float:
        return sum(self.seconds.values())

    def by_phase(self) -> defaultdict[str, float]:
        """Seconds of each outermost span, with all spans inside it."""
        return self._added(phase_of)

    def by_innermost(self) -> defaultdict[str, float]:
        """Seconds of each innermost span, in all phases together."""
        return self._added(innermost_of)

    def by_kind(self) -> dict[str, float]:
        """Seconds of each kind that has any, in the order of the table."""
        seconds = self._added(kind_of)
        return {kind: seconds[kind] for kind in KINDS if seconds[kind] != 0}

    def _added(self, name_of: Callable[[str], str]) -> defaultdict[str, float]:
        seconds: defaultdict[str, float] = defaultdict(float)
        for path, value in self.seconds.items():
            seconds[name_of(path)] += value
        return seconds

    def phase_s(self, name: str) -> float:
        """Seconds of the outermost span `name`, with all spans inside it."""
        return self.by_phase()[name]

    def kind_s(self, name: str) -> float:
        """Seconds of the innermost spans `name`, in all phases together."""
        return self.by_innermost()[name]

    @property
    def pickle_s(self) -> float:
        """Seconds of pickling: `serialise` and `deserialise`."""
        by_innermost = self.by_innermost()
        return sum(by_innermost[name] for name in PICKLE_KINDS)


def total_account(accounts: Iterable[Account]) -> Account:
    """The sum of several accounts, path by path."""
    seconds: Counter[str] = Counter()
    num_bytes: Counter[str] = Counter()
    num_copied: Counter[str] = Counter()
    waited_for: Counter[int] = Counter()
    for account in accounts:
        seconds.update(account.seconds)  # a Counter adds floats as well
        num_bytes.update(account.num_bytes)
        num_copied.update(account.num_copied)
        waited_for.update(account.waited_for)
    return Account(
        seconds=dict(seconds),
        num_bytes=dict(num_bytes),
        num_copied=dict(num_copied),
        waited_for=dict(waited_for),
    )
