"""The bits of a file and of this program side by side: the runs that differ."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.bits.runs import Bits, Digests

FORMAT = "bits of ddp, 1"


def machine() -> dict[str, str]:
    """All that rounding depends on besides the code: the processor and the libraries."""
    from llvmlite import binding

    from ddp.results.environment import environment

    here = environment()
    libraries = {name: str(here["versions"][name]) for name in ("numpy", "torch", "numba")}
    features = hashlib.sha256(binding.get_host_cpu_features().flatten().encode()).hexdigest()[:16]
    processor = f"{here['cpu_model']}, {binding.get_host_cpu_name()}, features {features}"
    return {"processor": processor, **libraries}


def between_backends(bits: Bits) -> list[str]:
    """A line for each run that differs from another backend's of the same configuration."""
    lines = []
    for name, of_job in bits.items():
        first = next(iter(of_job))
        for backend, found in of_job.items():
            if parts := differing(of_job[first], found):
                lines.append(f"{name} on {backend}: another {parts} than on {first}")
    return lines


def against(known: Bits, found: Bits, only: str = "") -> list[str]:
    """A line for each run that differs from the known one, or that only one of the two has."""
    lines = []
    runs = [(name, backend) for bits in (known, found) for name in bits for backend in bits[name]]
    for name, backend in dict.fromkeys(runs):
        before, now = known.get(name, {}).get(backend), found.get(name, {}).get(backend)
        if now is None:
            if only in f"{name} on {backend}":
                lines.append(f"{name} on {backend}: in the file, but no run of this program")
        elif before is None:
            lines.append(f"{name} on {backend}: not in the file")
        elif parts := differing(before, now):
            lines.append(f"{name} on {backend}: another {parts} than in the file")
    return lines


def differing(one: Digests, other: Digests) -> str:
    """The parts of a run that differ: "", "state", "rows" or "state and rows"."""
    return " and ".join(part for part in other if one.get(part) != other[part])


class Foreign(Exception):
    """A file that nothing can be compared with. The message says why."""


def read(file: Path, here: dict[str, str]) -> Bits:
    """The bits in a file that `write` made on such a machine. Raises Foreign for any other."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except OSError as error:
        raise Foreign(f"{file} cannot be read: {error.strerror}; make it with `write`") from None
    except ValueError:
        content = {}
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Foreign(f"{file} is no file of bits of this program; make one with `write`")
    for what, value in here.items():
        if content["machine"].get(what) != value:
            raise Foreign(
                f"{file} comes from another machine: its {what} is "
                f"{content['machine'].get(what)}, here it is {value}. "
                "Bits may differ between them: write the file anew on this machine."
            )
    bits: Bits = content["bits"]
    return bits
