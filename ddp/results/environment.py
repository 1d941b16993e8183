"""The environment of a run: versions and machine."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ddp.machine.cores import num_cores
from ddp.timing.gil import has_gil, turned_on_by

PACKAGES = ("torch", "numba", "numpy", "pandas", "hydra-core", "omegaconf", "tensorboard")


def environment() -> dict[str, Any]:
    """Versions and machine, for result.json.

    Call it after all imports: triton's can turn the GIL on again.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "usable_cores": num_cores(),
        "gil_enabled": has_gil(),
        "gil_turned_on_by": turned_on_by(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _cpu_model() -> str | None:
    """The name that Linux gives, or else Python; None if neither gives one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )
    return found or platform.processor() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
