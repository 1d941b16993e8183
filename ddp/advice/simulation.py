"""A discrete-event simulation of a run: workers that share cores, one GIL and the bandwidth of RAM.

An actor (a worker or the aggregator) is a generator that yields its next step: `Work`, `Delay` or
`Wait`. Between two events all work goes on at a constant rate, so a division finds the next event,
and the simulation of a run of minutes takes milliseconds. Actors whose work has the same nature
form a crowd and go at the same rate, so 64 workers take hardly longer to simulate than one.

The GIL is a rate too, not a mutex that actors hold in slices. A mutex would make the simulation a
thousand times as long (two slices per batch, 30,000 batches per run), and the cost of handing it
over, the part that matters, would still be a measured constant.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from ddp.advice.kinds import GIL, MEMORY, QUEUE
from ddp.advice.machine_model import Machine, Nature

ROUNDING = 1e-12  # work that has at most this share left is done

# Seconds of work done, and seconds lost to the run queue, the GIL and the bandwidth of RAM.
Progress = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step that takes `seconds` alone on a core, counted as `kind`.

    | field | meaning |
    |---|---|
    | `steps` | how often it asks for the GIL beside other threads; 0 in a process of its own |
    | `held_s` | those of its seconds in which it holds the GIL; 0 in a process of its own |
    | `num_bytes` | bytes that it moves through RAM |
    | `divided` | seconds that it loses to others count as GIL, QUEUE or MEMORY, not as `kind` |
    """

    seconds: float
    kind: str
    steps: float = 0.0
    held_s: float = 0.0
    num_bytes: float = 0.0
    divided: bool = True

    @property
    def nature(self) -> Nature:
        """The demands that decide how fast the work goes beside other work."""
        per_s = (amount / self.seconds for amount in (self.steps, self.held_s, self.num_bytes))
        return Nature(*per_s)


@dataclass(frozen=True, slots=True)
class Delay:
    """A step that takes `seconds` and needs no core."""

    seconds: float
    kind: str


class Gate:
    """A number that only grows. An actor that waits for a value goes on when it is reached."""

    def __init__(self) -> None:
        self.value = 0
        self.waiting: list[tuple[int, Actor]] = []
        # Actors that may go on. The first wait puts the simulation's own list here.
        self.opened: list[Actor] = []

    def raise_to(self, value: int) -> None:
        """Raises the number to `value`, and lets pass every actor that waits for this or less."""
        self.value = max(self.value, value)
        self.opened += [actor for least, actor in self.waiting if least <= self.value]
        self.waiting = [(least, actor) for least, actor in self.waiting if least > self.value]

    def add_one(self) -> None:
        """Raises the number by one."""
        self.raise_to(self.value + 1)


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that lasts until the number of `gate` is at least `least`."""

    gate: Gate
    least: int
    kind: str


Script = Generator[Work | Delay | Wait, None, None]


@dataclass(slots=True, eq=False)
class Actor:
    """A simulated worker or aggregator. `seconds`: its life by kind; they add up to `end`."""

    script: Script
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    end: float = 0.0
    work: Work | None = None
    kind: str = ""
    since: float = 0.0
    before: Progress = (0.0, 0.0, 0.0, 0.0)  # of its crowd, when its work began


@dataclass(slots=True, eq=False)
class Crowd:
    """All actors whose work has the same nature, so that all go at the same rate.

    The actor with the least work left is the first to finish. `progress`: the seconds that an actor
    would have done and lost if it had been here from the beginning. `actors`: a heap of (the `done`
    at which the actor finishes, a number that breaks ties, the actor).
    """

    nature: Nature
    progress: Progress = (0.0, 0.0, 0.0, 0.0)
    actors: list[tuple[float, int, Actor]] = field(default_factory=list)

    def enter(self, actor: Actor, work: Work, number: int) -> None:
        """The actor begins the work. `number`: breaks ties, the smaller one goes first."""
        actor.work, actor.before = work, self.progress
        heapq.heappush(self.actors, (self.progress[0] + work.seconds, number, actor))

    def left_s(self) -> float:
        """Seconds that the first actor to finish still needs, alone on a core."""
        return max(self.actors[0][0] - self.progress[0], 0.0)

    def leave(self) -> Iterator[Actor]:
        """Takes out the actors that have finished, and adds the seconds that it took them."""
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
    """Runs all scripts to their ends, and returns their actors in the same order.

    Raises RuntimeError if actors wait for each other for ever.
    """
    actors = [Actor(script) for script in scripts]
    crowds: dict[Nature, Crowd] = {}
    delayed: list[tuple[float, int, Actor]] = []
    opened: list[Actor] = []
    ready, now, number, num_waiting = deque(actors), 0.0, 0, 0
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
        now = _advance(machine, now, crowds, delayed, ready)
    if num_waiting:
        raise RuntimeError("the simulated workers wait for each other for ever")
    return actors


def _advance(
    machine: Machine,
    now: float,
    crowds: dict[Nature, Crowd],
    delayed: list[tuple[float, int, Actor]],
    ready: deque[Actor],
) -> float:
    """Lets all actors work until the first one finishes or a delay ends; returns the time then.

    Actors that have finished their step move to `ready`.
    """
    rates = machine.rates([(len(crowd.actors), crowd.nature) for crowd in crowds.values()])
    step_s = min(
        (crowd.left_s() / rate.in_all for crowd, rate in zip(crowds.values(), rates, strict=True)),
        default=float("inf"),
    )
    if delayed:
        step_s = min(step_s, max(delayed[0][0] - now, 0.0))
    if step_s == float("inf"):
        return now
    now += step_s
    for crowd, (on_core, with_gil, in_all) in zip(list(crowds.values()), rates, strict=True):
        done_s, queued_s, gil_s, memory_s = crowd.progress
        crowd.progress = (
            done_s + in_all * step_s,
            queued_s + (1.0 - on_core) * step_s,
            gil_s + (on_core - with_gil) * step_s,
            memory_s + (with_gil - in_all) * step_s,
        )
        ready += crowd.leave()
        if not crowd.actors:
            del crowds[crowd.nature]
    while delayed and delayed[0][0] <= now + ROUNDING:
        ready.append(heapq.heappop(delayed)[2])
    return now
