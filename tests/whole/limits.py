"""Jobs that find the limits, and a look at their runs."""

from ddp.tracking.messages import AggregateRound
from ddp.tracking.tracker import Tracker

SPLITS = ("stratified", "iid")
QUIET = (
    *("display=none", "tensorboard=false", "reference=false"),
    *("round_timeout=100", "agg_timeout=100"),
)
JOB = ("trainer=fused", "model=tiny", "rounds=2", "local_epochs=2", "aggregation=uniform", *QUIET)
WITHOUT_VALIDATION = ("split.valid_fraction=0", "select_on=last")


class Watch(Tracker):
    """Looks at a run after some of its rounds, counted from 1."""

    def __init__(self, look, *rounds):
        self.look, self.rounds, self.seen = look, rounds, []

    def on(self, event):
        if isinstance(event, AggregateRound) and event.round_index + 1 in self.rounds:
            self.seen.append(self.look())
