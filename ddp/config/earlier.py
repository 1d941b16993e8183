"""Reads the configs that earlier versions saved as what they were."""

from collections.abc import Mapping
from typing import Any


def as_saved(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.yaml, or the config of a result.json or checkpoint, in the settings of today.

    Earlier versions kept their last aggregate. With split=stratified their aggregation had no
    effect, whatever it was.
    """
    told = {"keep": "last"} | dict(config)
    split, aggregation = told.get("split"), told.get("aggregation")
    stratified = isinstance(split, Mapping) and split.get("name") == "stratified"
    if stratified and isinstance(aggregation, Mapping):
        told["aggregation"] = {"name": "none"}
    return told
