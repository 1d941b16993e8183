"""The machine and the versions that a benchmark runs with, for its JSON."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ddp.machine.cores import num_cores
from ddp.machine.load import busy_share

PACKAGES = ("numpy", "torch", "numba", "pandas", "cornac", "scikit-surprise", "lenskit", "myfm")


def machine() -> dict[str, Any]:
    """The machine and the versions that a benchmark ran with.

    `others`: the share of all cores that other programs use now.
    """
    return {
        "cpu": _cpu_model(),
        "cores": num_cores(),
        "others": round(busy_share(), 2),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
