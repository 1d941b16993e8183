"""The exchange of `serial` with a record of its calls."""

import time

from ddp.backends.serial import Serial, SerialExchange
from ddp.timing.spans import Spans


class Noting(SerialExchange):
    """An exchange that notes the moment of each call."""

    def __init__(self, prepared, told):
        super().__init__(Serial(None, prepared, prepared.make_jobs(), told.append), Spans())
        self.calls = []
        self.told = told

    def moments(self, name):
        """The moments of the calls with that name."""
        return [moment for called, moment in self.calls if called == name]

    def receive_into(self, out, round_index):
        received = super().receive_into(out, round_index)
        self.calls.append(("receive", time.perf_counter()))
        return received

    def tell(self, message):
        self.calls.append((type(message).__name__, time.perf_counter()))
        super().tell(message)
