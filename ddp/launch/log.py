"""The form of the lines that Hydra logs about a sweep; conf/config.yaml names it."""

import logging

from ddp.machine.printable import printable


class Printable(logging.Formatter):
    """Shows control characters as escapes: Hydra logs the overrides of each job."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record).expandtabs(4))
