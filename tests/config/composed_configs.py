"""Configurations of tests, each composed once, and the options of conf/."""

from functools import cache

from composing import CONF, composed

from ddp.config.options import OPTIONS
from ddp.config.schema import Config
from ddp.launch.composed import load_config

NAMED = ("experiment", "sweep")
EVERY_OPTION = [(group, option) for group, options in OPTIONS.items() for option in options]
# Settings that an option needs: split=files a file per worker, data=csv a file.
COMPANIONS = {
    ("split", "stratified"): ("aggregation=none",),
    ("split", "auto"): ("aggregation=none",),
    ("split", "both"): ("trainer=gibbs",),
    **{("split", name): ("aggregation=rows",) for name in ("iid", "user", "item", "time")},
    **{("split", name): ("aggregation=rows",) for name in ("copies", "dirichlet")},
    ("split", "files"): (
        *("aggregation=rows", "data=csv", "data.paths=[a.csv,b.csv]", "workers=2"),
    ),
    ("data", "csv"): ("data.path=ratings.csv",),
}


@cache
def config_of(*overrides: str) -> Config:
    return load_config(composed(*overrides))


def names_in(folder: str) -> list[str]:
    return sorted(path.stem for path in (CONF / folder).glob("*.yaml"))
