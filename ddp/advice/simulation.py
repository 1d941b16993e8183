"""A discrete-event simulation of a machine: cores that everybody shares, one GIL, memory that all
copy through.

Who is simulated is a generator that yields what it does next: `Work`, `Delay` or `Wait`. Between
two events everything that works goes on at a constant rate, so the next event is found by division,
and a run of minutes costs milliseconds. (Who does work of the same nature forms a crowd, in which
all are equally fast: 64 workers cost hardly more than one.) (The GIL could be a mutex that is held
in slices; with two of them a batch and 30,000 batches a run that would take a thousand times as
long, and its hand-over, which is what costs, would still be a constant that had to be measured.)
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

# kinds of seconds that work loses; the others are named by the work
QUEUE, GIL, MEMORY = "run queue", "GIL wait", "memory"
ROUNDING = 1e-12  # with so small a part left, work is done

Nature = tuple[float, float, float]
Progress = tuple[float, float, float, float]  # seconds: done, and lost to QUEUE, GIL and MEMORY


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What workers share. `bandwidth`: of memory, bytes/s.

    `handoff_s`: what a step (a batch) costs more when two threads go for the GIL, since each kernel
    gives it up and takes it again; with n threads `(n / 2) ** handoff_growth` times that. On one
    core nobody wakes up while the other still runs, so it costs nothing there.
    """

    cores: int
    bandwidth: float = float("inf")
    handoff_s: float = 0.0
    handoff_growth: float = 0.0

    def handoff(self, threads: int) -> float:
        """Seconds a step, with so many threads that take steps."""
        return (
            self.handoff_s * (threads / 2) ** self.handoff_growth
            if threads > 1 and self.cores > 1
            else 0.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What takes `seconds` on a core when nobody else is there; they are counted as `kind`.

    `steps`: how often it goes for the GIL among other threads, and `held_s`: how long it holds it,
    of these seconds (both 0 in a process of its own); `num_bytes`: that go through memory.
    `divided`: whether what it loses by others counts apart.
    """

    seconds: float
    kind: str
    steps: float = 0.0
    held_s: float = 0.0
    num_bytes: float = 0.0
    divided: bool = True

    @property
    def nature(self) -> Nature:
        """What decides how fast it goes beside others, each per second of it: steps, seconds of the
        GIL, bytes.
        """
        return self.steps / self.seconds, self.held_s / self.seconds, self.num_bytes / self.seconds


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
        # who may go on: the simulation's own list, once somebody has waited
        self.opened: list[Actor] = []

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
    kind: str = ""
    since: float = 0.0
    before: Progress = (0.0, 0.0, 0.0, 0.0)  # its crowd's, when its work began


@dataclass(slots=True, eq=False)
class Crowd:
    """All whose work is of the same nature, and so goes on equally fast: who has least left is who
    has done first.

    `progress`: what each of them would have done since the crowd began, and lost. `actors`: with
    the `done` that each waits for.
    """

    nature: Nature
    progress: Progress = (0.0, 0.0, 0.0, 0.0)
    actors: list[tuple[float, int, Actor]] = field(default_factory=list)

    def enter(self, actor: Actor, work: Work, number: int) -> None:
        """Begins with the work."""
        actor.work, actor.before = work, self.progress
        heapq.heappush(self.actors, (self.progress[0] + work.seconds, number, actor))

    def left_s(self) -> float:
        """Of the one who has done first, on a core of its own."""
        return max(self.actors[0][0] - self.progress[0], 0.0)

    def leave(self) -> Iterator[Actor]:
        """Those who have done, with what it took them."""
        while self.actors and self.left_s() <= ROUNDING * (1.0 + self.progress[0]):
            actor = heapq.heappop(self.actors)[2]
            assert actor.work is not None
            done_s, *lost = (
                now - then for now, then in zip(self.progress, actor.before, strict=True)
            )
            actor.seconds[actor.work.kind] += done_s if actor.work.divided else done_s + sum(lost)
            for kind, lost_s in zip((QUEUE, GIL, MEMORY), lost, strict=True):
                if lost_s > 0 and actor.work.divided:
                    actor.seconds[kind] += lost_s
            yield actor


def simulate(machine: Machine, scripts: Sequence[Script]) -> list[Actor]:
    """Runs all scripts to their ends; the actors, in this order. Raises RuntimeError if they wait
    for each other for ever.
    """
    actors = [Actor(script) for script in scripts]
    crowds: dict[Nature, Crowd] = {}
    delayed: list[tuple[float, int, Actor]] = []
    opened: list[Actor] = []
    now, number, num_waiting = 0.0, 0, 0
    ready = deque(actors)
    while ready or crowds or delayed:
        while ready:
            actor = ready.popleft()
            number += 1
            step = next(actor.script, None)
            for other in opened:
                other.seconds[other.kind] += now - other.since
            num_waiting -= len(opened)
            ready += opened
            opened.clear()
            match step:
                case None:
                    actor.end = now
                case Work() if step.seconds > 0:
                    crowds.setdefault(step.nature, Crowd(step.nature)).enter(actor, step, number)
                case Delay():
                    heapq.heappush(delayed, (now + step.seconds, number, actor))
                    actor.seconds[step.kind] += step.seconds
                case Wait() if step.gate.value < step.least:
                    step.gate.opened = opened
                    step.gate.waiting.append((step.least, actor))
                    actor.kind, actor.since = step.kind, now
                    num_waiting += 1
                case _:  # nothing to do, or nothing to wait for
                    ready.append(actor)
        now = _to_the_next_event(machine, now, crowds, delayed, ready)
    if num_waiting:
        raise RuntimeError("the simulated workers wait for each other for ever")
    return actors


def _to_the_next_event(
    machine: Machine,
    now: float,
    crowds: dict[Nature, Crowd],
    delayed: list[tuple[float, int, Actor]],
    ready: deque[Actor],
) -> float:
    """Lets everybody work until the first has done or a delay is over; moves those to `ready`, and
    gives the time then.
    """
    rates = _rates(machine, list(crowds.values()))
    step_s = min(
        (crowd.left_s() / rate[-1] for crowd, rate in zip(crowds.values(), rates, strict=True)),
        default=float("inf"),
    )
    if delayed:
        step_s = min(step_s, max(delayed[0][0] - now, 0.0))
    if step_s == float("inf"):
        return now
    now += step_s
    for crowd, (share, with_gil, rate) in zip(list(crowds.values()), rates, strict=True):
        done_s, queued_s, gil_s, memory_s = crowd.progress
        crowd.progress = (
            done_s + rate * step_s,
            queued_s + (1.0 - share) * step_s,
            gil_s + (share - with_gil) * step_s,
            memory_s + (with_gil - rate) * step_s,
        )
        ready += crowd.leave()
        if not crowd.actors:
            del crowds[crowd.nature]
    while delayed and delayed[0][0] <= now + ROUNDING:
        ready.append(heapq.heappop(delayed)[2])
    return now


def _rates(machine: Machine, crowds: Sequence[Crowd]) -> list[tuple[float, float, float]]:
    """Of each crowd's works: their share of a core, how fast they go with the GIL as it is, and
    with the memory as it is.
    """
    sizes = [len(crowd.actors) for crowd in crowds]
    share = min(1.0, machine.cores / max(sum(sizes), 1))
    natures = [crowd.nature for crowd in crowds]
    handoff_s = machine.handoff(
        sum(size for size, (steps, _, _) in zip(sizes, natures, strict=True) if steps > 0)
    )
    with_gil = [share / (1.0 + handoff_s * steps) for steps, _, _ in natures]
    held = sum(
        size * rate * held
        for size, rate, (_, held, _) in zip(sizes, with_gil, natures, strict=True)
    )
    if held > 1.0:  # nobody can hold it for more than a second in a second
        with_gil = [
            rate / held if own > 0 else rate
            for rate, (_, own, _) in zip(with_gil, natures, strict=True)
        ]
    traffic = sum(
        size * rate * num_bytes
        for size, rate, (_, _, num_bytes) in zip(sizes, with_gil, natures, strict=True)
    )
    crowded = max(1.0, traffic / machine.bandwidth)
    rates = [
        rate / crowded if num_bytes > 0 else rate
        for rate, (_, _, num_bytes) in zip(with_gil, natures, strict=True)
    ]
    return list(zip([share] * len(crowds), with_gil, rates, strict=True))
