"""A discrete-event simulation of a run: workers that share cores, one GIL and the bandwidth of RAM.

| term | meaning |
|---|---|
| script | the steps of a worker or of the aggregator, one after another |
| actor | a script that runs, and its seconds so far |
| step | `Work`, which needs a core; `Delay`, which needs none; `Wait`, which needs an open gate |
| nature | the demands of work on the GIL and on RAM (`ddp.advice.machine_model`) |
| crowd | all actors whose work has the same nature |
| event | the end of a step |

Between two events all work goes on at a constant rate, so a division finds the next event, and the
simulation of a run of minutes takes milliseconds. All actors of a crowd go at the same rate, so 64
workers take hardly longer to simulate than one.

The GIL limits the rates, like the cores. The simulation does not pass it from thread to thread:
that would be two events per batch, 60,000 for a run of 30,000 batches, and would make the
simulation a thousand times slower. It would tell no more: the seconds that a hand-over costs would
still be a measured constant (`Machine.handoff_s`).
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from ddp.advice.kinds import GIL, MEMORY, QUEUE
from ddp.advice.machine_model import Machine, Nature

ROUNDING = 1e-12  # work that has at most this share left is done

# Seconds of work done, and seconds lost because of the cores, the GIL and the bandwidth of RAM.
Progress = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step that takes `seconds` alone on a core, counted as `kind`.

    | field | meaning |
    |---|---|
    | `batches` | batches that compete with other threads for the GIL; 0 in a process of its own |
    | `held_s` | those of its seconds in which it holds the GIL; 0 in a process of its own |
    | `num_bytes` | bytes that it moves through RAM |
    | `divided` | True: seconds that it loses count as QUEUE, GIL or MEMORY; False: as `kind` |
    """

    seconds: float
    kind: str
    batches: float = 0.0
    held_s: float = 0.0
    num_bytes: float = 0.0
    divided: bool = True

    @property
    def nature(self) -> Nature:
        """The demands that decide how fast the work goes beside other work."""
        per_s = (amount / self.seconds for amount in (self.batches, self.held_s, self.num_bytes))
        return Nature(*per_s)


@dataclass(frozen=True, slots=True)
class Delay:
    """A step that takes `seconds` and needs no core."""

    seconds: float
    kind: str


class Gate:
    """A number that only grows. An actor waits at the gate until it reaches a value."""

    def __init__(self) -> None:
        self.value = 0
        self.waiting: list[tuple[int, Actor]] = []
        # Actors that may go on. `simulate` puts its own list here when the first actor waits.
        self.opened: list[Actor] = []

    def raise_to(self, value: int) -> None:
        """Raises the number to `value`, and lets every actor go on that waits for this or less."""
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
    """A simulated worker or aggregator.

    | field | meaning |
    |---|---|
    | `seconds` | its seconds by kind; they add up to `end` |
    | `end` | the time at which its script ends |
    | `work`, `before` | its last work, and the progress of its crowd when that began |
    | `kind`, `since` | the kind of its last wait, and the time at which that began |
    """

    script: Script
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    end: float = 0.0
    work: Work | None = None
    kind: str = ""
    since: float = 0.0
    before: Progress = (0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True, eq=False)
class Crowd:
    """All actors whose work has the same nature, so that all go at the same rate.

    The actor with the least work left is the first to finish. `progress`: that of an actor that has
    been here from the beginning. `actors`: a heap of (the seconds done in `progress` at which the
    actor finishes, a number that breaks ties, the actor).
    """

    nature: Nature
    progress: Progress = (0.0, 0.0, 0.0, 0.0)
    actors: list[tuple[float, int, Actor]] = field(default_factory=list)

    def enter(self, actor: Actor, work: Work, number: int) -> None:
        """The actor begins the work. If two finish together, the smaller `number` goes first."""
        actor.work, actor.before = work, self.progress
        heapq.heappush(self.actors, (self.progress[0] + work.seconds, number, actor))

    def left_s(self) -> float:
        """Seconds that the first actor to finish still needs, alone on a core."""
        return max(self.actors[0][0] - self.progress[0], 0.0)

    def leave(self) -> Iterator[Actor]:
        """Takes out the actors that have finished, and adds the seconds of their work to theirs."""
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
    """Lets all actors work until the next event, and returns its time.

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
