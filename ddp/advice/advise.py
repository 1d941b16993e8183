"""`python train.py advise=true`: which backend, how many workers, why, and up to where. Nothing is
trained, nothing is written but the machine's constants (ddp/advice/measuring/calibration.py).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from ddp.advice.constants import Constants
from ddp.advice.cost_model import AVERAGE, COMPUTE, EVALUATE, EXCHANGE, RECORD, START, WAIT
from ddp.advice.crossover import find_crossovers, in_words
from ddp.advice.measuring.calibration import calibrate, calibration_file
from ddp.advice.prediction import Prediction, Surroundings, predict
from ddp.advice.simulation import GIL, MEMORY, QUEUE
from ddp.advice.sizes import Sizes, sizes_of
from ddp.config.defaults import default_option
from ddp.config.options import Backend, PollingBackend, Simulate
from ddp.config.schema import Config
from ddp.errors import ConfigError, UserError
from ddp.ratings.arrays import Ratings
from ddp.ratings.load import load_ratings

BACKENDS = ("serial", "thread", "process", "shm")
THE_QUESTION = ("thread", "process")  # the document's
KINDS = (START, COMPUTE, EVALUATE, GIL, QUEUE, MEMORY, EXCHANGE, WAIT, AVERAGE, RECORD)
SHOWN_S = 0.0005  # seconds of less than this are not shown, and no reason
LARGE = 0.02  # a kind has a column if it is this much of a wall
MOST_WORKERS = 16  # crossovers are looked for with, if split=stratified
MOST_STRATIFIED = 128  # are predicted in some seconds
# a second reason, or what the first outweighs, is told if it is this much of the first
MATTERS = 0.2


@dataclass(slots=True, kw_only=True)
class Advisor:
    """Predicts for one set of ratings, on one machine."""

    ratings: Ratings
    constants: Constants
    around: Surroundings
    # by number of workers: no other value that is varied changes them
    sizes: dict[int, Sizes] = field(default_factory=dict)

    def predictions(self, config: Config, names: Sequence[str] = BACKENDS) -> list[Prediction]:
        """Of these backends, with the config's number of workers; the fastest first. UserError if
        it cannot be dealt so.
        """
        if config.workers not in self.sizes:
            self.sizes[config.workers] = sizes_of(config, self.ratings)
        sizes = self.sizes[config.workers]
        compared = [
            replace(config, backend=backend)
            for backend in backends(config)
            if backend.name in names
        ]
        found = [predict(one, sizes, self.constants, self.around) for one in compared]
        return sorted(found, key=lambda prediction: prediction.wall_s)

    def crossovers(self, config: Config, names: Sequence[str]) -> list[str]:
        """Where another one of these backends becomes the fastest, with the config's number of
        workers.
        """
        if config.stratified and config.workers > MOST_WORKERS:
            return [
                f"not looked for with more than {MOST_WORKERS} workers and split=stratified: it"
                " would take minutes"
            ]
        return in_words(
            find_crossovers(config, lambda varied: self.predictions(varied, names)[0].backend)
        )


def advise(config: Config, simulate: Simulate, console: Console) -> None:
    """Prints the advice."""
    if config.stratified and config.workers > MOST_STRATIFIED:
        raise ConfigError(
            "workers",
            config.workers,
            f"with split=stratified advise=true goes up to {MOST_STRATIFIED}: their turns are many",
        )
    began = time.perf_counter()
    ratings = load_ratings(config.data, config.seed)
    data_s = time.perf_counter() - began
    constants = calibrate(
        config.trainer, tell=lambda text: console.print(text, highlight=False, soft_wrap=True)
    )
    around = Surroundings(
        cores=simulate.cores,
        bandwidth=None if simulate.bandwidth is None else simulate.bandwidth * 1e9,
        straggler=simulate.straggler,
        data_s=data_s,
    )
    advisor = Advisor(ratings=ratings, constants=constants, around=around)
    asked = advisor.predictions(config)
    cores = around.cores or constants.cores
    everywhere = {config.workers: asked}
    for workers in other_workers(config, cores):
        try:
            everywhere[workers] = advisor.predictions(with_workers(config, workers))
        # so many the ratings cannot be dealt to, or the machine's cores are no number of files
        except UserError:
            continue
    table = _table(everywhere, f"predicted wall, s: {where(simulate, constants)}")
    console.print(table, width=_width(table, console), crop=False)
    for line in advice(config, asked, everywhere):
        console.print(line, highlight=False, soft_wrap=True)
    for names, title in (
        (BACKENDS, "the fastest"),
        (THE_QUESTION, f"the faster of {' and '.join(THE_QUESTION)}"),
    ):
        console.print(
            f"\n{title} with workers={config.workers}, all else as asked", highlight=False
        )
        for line in advisor.crossovers(config, names):
            console.print(f"  {line}", highlight=False, soft_wrap=True)
    for line in _sources(config, simulate, constants):
        console.print(line, style="dim", highlight=False, soft_wrap=True)


def backends(config: Config) -> list[Backend]:
    """One of each kind: the config's own as it is, the others as conf/ has them; if it polls,
    others do that can.
    """
    own = config.backend
    found: list[Backend] = []
    for name in BACKENDS:
        backend: Backend = own if name == own.name else default_option("backend", name)
        if isinstance(backend, PollingBackend) and isinstance(own, PollingBackend):
            backend = replace(backend, poll_interval_s=own.poll_interval_s)
        found.append(backend)
    return found


def other_workers(config: Config, cores: int) -> list[int]:
    """Numbers of workers that may be better: powers of two and all cores, up to the larger of what
    is asked and what there is.
    """
    most = max(config.workers, cores)
    powers = [1 << n for n in range(most.bit_length()) if 1 << n <= most]
    return [workers for workers in sorted({*powers, cores, most}) if workers != config.workers]


def with_workers(config: Config, workers: int) -> Config:
    """The same job with another number of workers."""
    return replace(config, workers=workers, min_workers=min(config.min_workers, workers))


def other_workers_change(config: Config) -> str:
    """What another number of workers changes besides the wall, in words; none where it is
    nothing.
    """
    if config.stratified and config.trainer.compiled:
        # one serial SGD over all ratings, in whichever order (ddp/ratings/strata.py); other
        # optimizers keep a state per block
        return ""
    if config.split.copies:  # not even the work is the same: each trains on all ratings
        return "with split=copies another number of workers does another amount of work, for another model"
    return "another number of workers trains another model"


def advice(
    config: Config, asked: Sequence[Prediction], everywhere: dict[int, list[Prediction]]
) -> list[str]:
    """What to do, and why."""
    fastest, *others = asked
    lines = [
        f"with workers={fastest.workers} the fastest is backend={fastest.backend},"
        f" {seconds(fastest.wall_s)}"
    ]
    lines += [
        f"  {slower.backend} takes {seconds(slower.wall_s)}: {why(fastest, slower)}"
        for slower in others
    ]
    best = min(
        (found[0] for found in everywhere.values()), key=lambda prediction: prediction.wall_s
    )
    if best.workers != fastest.workers:
        but = f" ({changes})" if (changes := other_workers_change(config)) else ""
        lines.append(
            f"of all it is backend={best.backend} with workers={best.workers},"
            f" {seconds(best.wall_s)}{but}"
        )
        lines.append(f"  {fastest.backend} with workers={fastest.workers}: {why(best, fastest)}")
    return lines


def why(faster: Prediction, slower: Prediction) -> str:
    """Kind by kind: what the slower one takes longer with, and what that outweighs."""
    more = {kind: slower.seconds.get(kind, 0.0) - faster.seconds.get(kind, 0.0) for kind in KINDS}
    lost = sorted((kind for kind in KINDS if more[kind] > SHOWN_S), key=lambda kind: -more[kind])
    gained = sorted((kind for kind in KINDS if more[kind] < -SHOWN_S), key=lambda kind: more[kind])
    if not lost:
        return "hardly anything is different"
    told = [kind for kind in lost[:2] if more[kind] > MATTERS * more[lost[0]]]
    gained = [kind for kind in gained if -more[kind] > MATTERS * more[lost[0]]]
    if gained:  # and as many more as it takes to outweigh that
        while len(told) < len(lost) and sum(more[kind] for kind in told) <= -more[gained[0]]:
            told.append(lost[len(told)])
    reasons = " and ".join(f"{seconds(more[kind])} more {kind}" for kind in told)
    return f"{reasons} outweigh {seconds(-more[gained[0]])} less {gained[0]}" if gained else reasons


def seconds(value: float) -> str:
    """With two digits that mean something."""
    if value >= 0.0995:  # which as milliseconds would be 1e+02
        return f"{value:.1f} s" if value >= 10 else f"{value:.2f} s"
    return f"{value * 1e3:.2g} ms"


def where(simulate: Simulate, constants: Constants) -> str:
    """On which machine."""
    others = [f"{simulate.cores} cores"] if simulate.cores is not None else []
    others += [f"{simulate.bandwidth:g} GB/s"] if simulate.bandwidth is not None else []
    others += [f"a straggler of {simulate.straggler:g}"] if simulate.straggler > 1 else []
    return f"simulated, {', '.join(others)}" if others else f"this machine, {constants.cores} cores"


def _sources(config: Config, simulate: Simulate, constants: Constants) -> list[str]:
    file = calibration_file()
    lines = [
        f"\nmeasured: the constants, on this machine with {constants.cores} cores ({file}: delete"
        " it to measure anew)"
    ]
    if where(simulate, constants).startswith("simulated"):
        lines.append("simulated: every number above; nothing was measured on such a machine")
        if simulate.bandwidth is None and constants.training.bandwidth:
            together = constants.training.bandwidth / 1e9
            lines.append(
                f"assumed: its memory is this one's, {together:.1f} GB/s of large batches"
                " (simulate.bandwidth)"
            )
        if constants.cores == 1 and simulate.cores not in (None, 1):
            lines.append(
                "unknown: what the GIL costs threads on several cores; one core could not tell, it"
                " counts as nothing"
            )
    set_but_unknown = {
        "straggler_timeout": config.straggler_timeout is not None,
        "torch_threads": config.torch_threads != 1,
    }
    lines += [f"not in the prediction: {key}" for key, is_set in set_but_unknown.items() if is_set]
    return [
        *lines,
        "the wall: imports + start + train + stop + save of result.json, without reading the data",
    ]


def _table(everywhere: dict[int, list[Prediction]], title: str) -> Table:
    all_of_them = [prediction for found in everywhere.values() for prediction in found]
    large = [
        kind
        for kind in KINDS
        if any(one.seconds.get(kind, 0.0) > LARGE * one.wall_s for one in all_of_them)
    ]
    best = min(prediction.wall_s for prediction in all_of_them)
    table = Table(title=title, box=None, pad_edge=False)
    for column in ("workers", "backend", "wall", *large, "rest"):
        longest = max(map(len, column.split()))
        table.add_column(
            column,
            justify="left" if column == "backend" else "right",
            min_width=max(longest, len("0.000")),
        )
    for workers in sorted(everywhere):
        for one in everywhere[workers]:
            shown = [one.seconds.get(kind, 0.0) for kind in large]
            cells = [_cell(value) for value in (one.wall_s, *shown, one.wall_s - sum(shown))]
            table.add_row(
                str(workers), one.backend, *cells, style="bold" if one.wall_s == best else ""
            )
    return table


def _width(table: Table, console: Console) -> int:
    """A table that is piped, or wider than its terminal, is not folded."""
    return max(
        console.width, Measurement.get(console, console.options.update(width=1000), table).minimum
    )


def _cell(value: float) -> str:
    return (
        ""
        if value <= SHOWN_S
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 0.1
        else f"{value:.3f}"
    )
