"""Reads one round of a run from its trace.json."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ddp.report.rounds import number
from ddp.results.earlier import is_earlier, read_round
from ddp.results.table import harmless
from ddp.timing.kinds import KINDS, OTHER

MAX_TRACE_BYTES = 200 << 20  # a longer one takes gigabytes to read


@dataclass(slots=True, kw_only=True)
class Slice:
    """A stretch of one kind of time in a lane, in seconds from the start of the run."""

    kind: str
    start_s: float
    end_s: float


@dataclass(slots=True, kw_only=True)
class TracedRound:
    """The slices of one round, by lane: the aggregator, then the workers.

    `number` counts rounds from 1.
    """

    number: int
    lanes: dict[str, list[Slice]]


def read_traced_round(path: Path) -> TracedRound | None:
    """The last round in which every lane has slices, or else the last round; None without rounds.

    Raises OSError, ValueError, or any error that a damaged file leads to.
    """
    if path.stat().st_size > MAX_TRACE_BYTES:
        raise ValueError(f"has more than {MAX_TRACE_BYTES >> 20} MB, and is not read")
    names: dict[int, str] = {}
    rounds: defaultdict[int, defaultdict[int, list[Slice]]] = defaultdict(lambda: defaultdict(list))
    trace = json.loads(path.read_bytes())
    for event in trace["traceEvents"]:
        arguments = event.get("args") or {}
        if event["ph"] == "M" and event["name"] == "thread_name":
            names[event["tid"]] = harmless(str(arguments["name"]))
        elif event["ph"] == "X" and isinstance(arguments.get("round"), int):
            start_us, duration_us = number(event["ts"]), number(event["dur"])
            if start_us is not None and duration_us is not None and duration_us > 0:
                kind = event["name"] if event["name"] in KINDS else OTHER
                piece = Slice(
                    kind=kind, start_s=start_us / 1e6, end_s=(start_us + duration_us) / 1e6
                )
                rounds[arguments["round"]][event["tid"]].append(piece)
    if not rounds:
        return None
    whole = [told for told, lanes in rounds.items() if len(lanes) >= len(names)]
    last = max(whole or rounds)
    return TracedRound(
        number=read_round(last, earlier=is_earlier(trace.get("otherData") or {})),
        lanes={names.get(tid, str(tid)): rounds[last][tid] for tid in sorted(rounds[last])},
    )
