"""A discrete-event simulation of a machine: cores that everybody shares, one GIL, memory that all copy through.

Who is simulated is a generator that yields what it does next: `Work`, `Delay` or `Wait`. Between two events everything that
works goes on at a constant rate, so the next event is found by division, and a run of minutes costs milliseconds. (The GIL could
be a mutex that is held in slices; with two of them a batch and 30,000 batches a run that would take a thousand times as long,
and its hand-over, which is what costs, would still be a constant that had to be measured.)
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

QUEUE, GIL, MEMORY = "run queue", "GIL wait", "memory"  # kinds of seconds that work loses; the others are named by the work
ROUNDING = 1e-12  # seconds: with less left, work is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What workers share. `bandwidth`: of memory, bytes/s.

    `handoff_s`: what a step (a batch) costs more when two threads go for the GIL, since each kernel gives it up and takes it
    again; with n threads `(n / 2) ** handoff_growth` times that. On one core nobody wakes up while the other still runs, so it
    costs nothing there.
    """

    cores: int
    bandwidth: float = float("inf")
    handoff_s: float = 0.0
    handoff_growth: float = 0.0

    def handoff(self, threads: int) -> float:
        """Seconds a step, with so many threads that take steps."""
        return self.handoff_s * (threads / 2) ** self.handoff_growth if threads > 1 and self.cores > 1 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What takes `seconds` on a core when nobody else is there; they are counted as `kind`.

    `steps`: how often it goes for the GIL among other threads, and `held_s`: how long it holds it, of these seconds (both 0 in a
    process of its own); `num_bytes`: that go through memory. `divided`: whether what it loses by others counts apart.
    """

    seconds: float
    kind: str
    steps: float = 0.0
    held_s: float = 0.0
    num_bytes: float = 0.0
    divided: bool = True


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds in which no core is needed."""

    seconds: float
    kind: str


class Gate:
    """A number that only grows. Who waits for it goes on when it is large enough."""

    def __init__(self) -> None:
        self.value = 0
        self.waiting: list[tuple[int, Actor]] = []
        self.opened: list[Actor] = []  # who may go on: the simulation's own list, once somebody has waited

    def raise_to(self, value: int) -> None:
        """Lets everybody pass who has waited for this or less."""
        self.value = max(self.value, value)
        self.opened += [actor for least, actor in self.waiting if least <= self.value]
        self.waiting = [(least, actor) for least, actor in self.waiting if least > self.value]

    def add_one(self) -> None:
        """One more has come."""
        self.raise_to(self.value + 1)


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the gate's number is `least`."""

    gate: Gate
    least: int
    kind: str


Script = Generator[Work | Delay | Wait, None, None]


@dataclass(slots=True, eq=False)
class Actor:
    """One that is simulated. `seconds`: its life by kind, which add up to `end`."""

    script: Script
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    end: float = 0.0
    work: Work | None = None
    left_s: float = 0.0
    kind: str = ""
    since: float = 0.0


def simulate(machine: Machine, scripts: Sequence[Script]) -> list[Actor]:
    """Runs all scripts to their ends; the actors, in this order. Raises RuntimeError if they wait for each other for ever."""
    actors = [Actor(script) for script in scripts]
    working: list[Actor] = []
    delayed: list[tuple[float, int, Actor]] = []
    opened: list[Actor] = []
    now, number, num_waiting = 0.0, 0, 0
    ready = deque(actors)
    while ready or working or delayed:
        while ready:
            actor = ready.popleft()
            step = next(actor.script, None)
            for other in opened:
                other.seconds[other.kind] += now - other.since
            num_waiting -= len(opened)
            ready += opened
            opened.clear()
            match step:
                case None:
                    actor.end = now
                case Work():
                    actor.work, actor.left_s = step, step.seconds
                    working.append(actor)
                case Delay():
                    number += 1
                    heapq.heappush(delayed, (now + step.seconds, number, actor))
                    actor.seconds[step.kind] += step.seconds
                case Wait() if step.gate.value >= step.least:
                    ready.append(actor)
                case Wait():
                    step.gate.opened = opened
                    step.gate.waiting.append((step.least, actor))
                    actor.kind, actor.since = step.kind, now
                    num_waiting += 1
        now = _to_the_next_event(machine, now, working, delayed, ready)
    if num_waiting:
        raise RuntimeError("the simulated workers wait for each other for ever")
    return actors


def _to_the_next_event(
    machine: Machine, now: float, working: list[Actor], delayed: list[tuple[float, int, Actor]], ready: deque[Actor]
) -> float:
    """Lets everybody work until the first has done or a delay is over; moves those to `ready`, and gives the time then."""
    rates = _rates(machine, [actor.work for actor in working if actor.work is not None])
    step_s = min((actor.left_s / rate[-1] for actor, rate in zip(working, rates, strict=True)), default=float("inf"))
    if delayed:
        step_s = min(step_s, max(delayed[0][0] - now, 0.0))
    if step_s == float("inf"):
        return now
    for actor, (share, with_gil, rate) in zip(working, rates, strict=True):
        assert actor.work is not None
        actor.left_s -= rate * step_s
        actor.seconds[actor.work.kind] += (rate if actor.work.divided else 1.0) * step_s
        if not actor.work.divided:
            continue
        for kind, lost in ((QUEUE, 1.0 - share), (GIL, share - with_gil), (MEMORY, with_gil - rate)):
            if lost > 0:
                actor.seconds[kind] += lost * step_s
    ready += (actor for actor in working if actor.left_s <= ROUNDING)
    working[:] = [actor for actor in working if actor.left_s > ROUNDING]
    now += step_s
    while delayed and delayed[0][0] <= now + ROUNDING:
        ready.append(heapq.heappop(delayed)[2])
    return now


def _rates(machine: Machine, works: Sequence[Work]) -> list[tuple[float, float, float]]:
    """Of each work: its share of a core, how fast it goes with the GIL as it is, and with the memory as it is."""
    if not works:
        return []
    share = min(1.0, machine.cores / len(works))
    handoff_s = machine.handoff(sum(work.steps > 0 for work in works))
    with_gil = [share / (1.0 + handoff_s * work.steps / work.seconds) if work.seconds > 0 else share for work in works]
    held = sum(rate * work.held_s / work.seconds for rate, work in zip(with_gil, works, strict=True) if work.seconds > 0)
    if held > 1.0:  # nobody can hold it for more than a second in a second
        with_gil = [rate / held if work.held_s > 0 else rate for rate, work in zip(with_gil, works, strict=True)]
    traffic = sum(rate * work.num_bytes / work.seconds for rate, work in zip(with_gil, works, strict=True) if work.seconds > 0)
    crowded = max(1.0, traffic / machine.bandwidth)
    rates = [rate / crowded if work.num_bytes > 0 else rate for rate, work in zip(with_gil, works, strict=True)]
    return list(zip([share] * len(works), with_gil, rates, strict=True))
