"""Reads the rounds in files of earlier versions, which count from 0."""

import re
from collections.abc import Mapping
from typing import Any

from ddp.counting import round_of

# in the message of an error; epochs count likewise
TOLD_ROUND = re.compile(r"\b(round|diverged in epoch) (\d{1,9})\b")


def is_earlier(content: Mapping[str, Any]) -> bool:
    """True for the content of a file of format 1, or of none: its rounds count from 0."""
    return bool(content.get("format", 1) == 1)


def read_round(number: int, *, earlier: bool) -> int:
    """The round, counted from 1, that a file calls `number`; `earlier`: it counts from 0."""
    return round_of(number) if earlier else number


def with_rounds_from_one(result: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a result.json as this version writes it. A damaged part stays as it is."""
    told = dict(result)
    if not is_earlier(result):
        return told
    if isinstance(rmse := told.get("rmse"), dict) and "best_valid_round" in rmse:
        told["rmse"] = rmse | {"best_valid_round": _round(rmse["best_valid_round"])}
    if isinstance(failures := told.get("failures"), list):
        told["failures"] = [_failure(failure) for failure in failures]
    if isinstance(error := told.get("error"), str):
        told["error"] = _in_words(error)
    return told


def _failure(failure: Any) -> Any:
    if not isinstance(failure, dict) or "round_index" not in failure:
        return failure
    told = {key: value for key, value in failure.items() if key != "round_index"}
    if isinstance(reason := told.get("reason"), str):
        told["reason"] = _in_words(reason)
    return told | {"round": _round(failure["round_index"])}


def _round(number: Any) -> Any:
    return read_round(number, earlier=True) if type(number) is int else number


def _in_words(message: str) -> str:
    return TOLD_ROUND.sub(
        lambda told: f"{told[1]} {read_round(int(told[2]), earlier=True)}", message
    )
