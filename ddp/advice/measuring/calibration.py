"""Reads the constants of this machine from their file; measures those that are missing there.

Processes of their own measure (ddp/advice/measuring/measure.py), and print JSON.
"""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from ddp.advice.constants import BACKENDS, Constants, Exchange, Exchanges, Training
from ddp.advice.measuring.measure import EXCHANGES
from ddp.config.trainer import AutogradTrainer, TrainerOptions
from ddp.errors import BackendError
from ddp.machine.cores import cpu_quota, num_cores
from ddp.machine.files import atomic_file
from ddp.machine.load import busy_share
from ddp.timing.gil import FREE_THREADED

# Of the file. Raise it when a measurement changes, or a trainer or a backend that it uses.
FORMAT = 7
# By trainer: what else it imports to compile its kernels, so that no measurement includes that.
COMPILE = {
    "fused": "import ddp.aggregation.mean, ddp.machine.compiled.gates, ddp.trainers.fused",
    **dict.fromkeys(("gibbs", "als"), "import ddp.trainers.sweeper"),
}
PACKAGES = ("torch", "numba", "numpy")
USUAL_S = {
    EXCHANGES: 6,
    "fused": 4,
    "adam": 13,
    "sgd": 13,
    "gibbs": 15,
    "als": 10,
}  # per measurement, on two cores
TIMEOUT_S = 300.0  # of a measurement; it takes about 15 s
BUSY = 0.1  # share of all cores; if other programs use more, the constants are wrong
Tell = Callable[[str], None]
Kind = TypeVar("Kind", Exchange, Exchanges, Training)


def calibration_file() -> Path:
    """The file of the constants. A user who deletes it has them measured again."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ddp" / "calibration.json"


def calibrate(trainer: TrainerOptions, tell: Tell = print, file: Path | None = None) -> Constants:
    """The constants for that trainer. `tell` gets a line before a measurement begins.

    It replaces a file that is damaged, or belongs to another machine, version, number of cores or
    CPU quota. It measures again what it has measured while other programs used more than BUSY of
    the machine, if they use less now. Raises BackendError if the measurement fails.
    """
    file = file or calibration_file()
    known = read(file)
    name = trainer.optimizer if isinstance(trainer, AutogradTrainer) else trainer.name
    missing = _to_measure(known["busy"], (EXCHANGES, name), tell)
    # One process measures both exchanges and fused, because the exchanges are measured with fused.
    together = [missing] if name == "fused" and missing else [[part] for part in missing]
    for parts in together:
        measured = _measure(parts)
        known["training"] |= measured.pop("training")
        known["busy"] |= dict.fromkeys(parts, measured.pop("busy"))
        known |= measured
        try:
            with atomic_file(file) as out:
                out.write(json.dumps(known, indent=1).encode())
        except OSError as error:
            tell(
                f"warning: {error.filename}: {error.strerror}; the next advise=true measures again"
            )
    return Constants(
        cores=num_cores(),
        exchanges=_exchanges(known["exchanges"]),
        training=_checked(Training, known["training"][name]),
    )


def _to_measure(busy: dict[str, float], needed: Sequence[str], tell: Tell) -> list[str]:
    """Those of the needed parts that it must measure.

    `busy`: part -> the share of the machine that other programs used while it was measured.
    """
    wrong = [part for part in needed if busy.get(part, 1.0) > BUSY]
    if not wrong:
        return []
    share = busy_share()
    parts = [part for part in wrong if part not in busy or share < busy[part]]
    if kept := [busy[part] for part in wrong if part not in parts]:
        tell(
            f"warning: other programs used {max(kept):.0%} of this machine when it was measured, so"
            " the constants are wrong; they use no less now: advise=true measures again when they"
            " do"
        )
    if parts:
        before = max((busy[part] for part in parts if part in busy), default=0.0)
        why = f"again, because other programs used {before:.0%} of it before" if before else "once"
        seconds = sum(USUAL_S[part] for part in parts)
        tell(f"measuring this machine, {why}: {' and '.join(parts)}, about {seconds} s ...")
    if parts and share > BUSY:
        tell(
            f"warning: other programs use {share:.0%} of this machine, so the constants will be"
            " wrong: advise=true measures again when they have ended"
        )
    return parts


def read(file: Path) -> dict[str, Any]:
    """The content of the file, without constants if it is damaged or of another machine."""
    empty: dict[str, Any] = {"format": FORMAT, "machine": machine(), "training": {}, "busy": {}}
    with suppress(
        OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError
    ):
        known = json.loads(file.read_text(encoding="utf-8"))
        if {key: known[key] for key in ("format", "machine")} == {
            key: empty[key] for key in ("format", "machine")
        }:
            _exchanges(known["exchanges"])
            for training in known["training"].values():
                _checked(Training, training)
            if all(0 <= known["busy"][part] <= 1 for part in (EXCHANGES, *known["training"])):
                return dict(known)
    return empty


def machine() -> dict[str, Any]:
    """The machine and versions that the constants belong to."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cores": num_cores(),
        "quota": cpu_quota(),
        "python": platform.python_version(),
        "free_threaded": FREE_THREADED,
        "gil": getattr(sys.flags, "gil", None),  # given by -X gil or PYTHON_GIL
        "versions": {name: version(name) for name in PACKAGES},
    }


def _measure(parts: Sequence[str]) -> dict[str, Any]:
    for part in COMPILE.keys() & parts:
        _python("-c", COMPILE[part])
    printed = _python("-m", "ddp.advice.measuring.measure", *parts)
    try:
        measured: dict[str, Any] = json.loads(printed.splitlines()[-1])
        for training in measured["training"].values():
            _checked(Training, training)
        if EXCHANGES in parts:
            _exchanges(measured[EXCHANGES])
        if not 0 <= measured["busy"] <= 1:
            raise ValueError(f"busy is {measured['busy']}")
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise BackendError(f"this machine could not be measured: {error}") from error
    return measured


def _python(*arguments: str) -> str:
    """Runs Python with our modules in its path, and returns its output."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent.parent.parent), *sys.path])
    }
    command = [sys.executable, *arguments]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"this machine could not be measured within {TIMEOUT_S:g} s: {' '.join(command)}"
        ) from error
    if done.returncode != 0:
        raise BackendError(
            f"this machine could not be measured: {' '.join(command)} ended with"
            f" {done.returncode}:\n{done.stderr}"
        )
    return done.stdout


def _exchanges(values: dict[str, Any]) -> Exchanges:
    backends = {name: _checked(Exchange, values[name]) for name in BACKENDS}
    return _checked(Exchanges, values | backends)


def _checked(kind: type[Kind], values: dict[str, Any]) -> Kind:
    """The dataclass with these values.

    Raises ValueError or TypeError unless all are finite numbers of at least 0.
    """
    made = kind(**values)
    for field in fields(made):
        value = getattr(made, field.name)
        if not isinstance(value, Exchange) and not (
            type(value) in (float, int) and math.isfinite(value) and value >= 0
        ):
            raise ValueError(f"{field.name} is {value}")
    return made
