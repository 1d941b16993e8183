"""A small job with a fault, and the outcome in its files."""

import json

import pytest
from faults import DEADLY
from jobs import IN_PROCESS, SWEEPING

from ddp.results.saved_model import MODEL_FILE

SPLITS = {
    "iid": ("split=iid", "aggregation=uniform"),
    "stratified": ("split=stratified", "aggregation=none"),
    **SWEEPING,
}
EXACT = tuple(SWEEPING)  # the number of workers changes no bit of the model
# equal bits are a law of the last aggregate
JOB = (
    *("trainer=fused", "workers=3", "rounds=4", "local_epochs=2", "checkpoint_every=1"),
    "keep=last",
)
ROUNDS = 4


def possible(name, kind):
    """Whether the program of the test survives the fault."""
    return not (name in IN_PROCESS and kind in DEADLY)


def slow_unless(default, *values):
    """A parameter that only the long suite has, unless it is one of `default`."""
    marks = () if values[0] in default else pytest.mark.slow
    return pytest.param(*values, marks=marks, id=", ".join(values))


def timeout(name, kind):
    """Options with which a hang ends soon; forked workers need 10 ms.

    Any other fault must be noticed without a timeout.
    """
    seconds = 3600 if kind != "hang" else 0.3 if name in IN_PROCESS else 1
    return f"round_timeout={seconds}", "agg_timeout=3600"


def bits(directory):
    """The saved model of a run; of a run that samples it has the samples of all its rounds."""
    return (directory / MODEL_FILE).read_bytes()


def outcome(directory):
    """The result.json of a run."""
    return json.loads((directory / "result.json").read_text())
