"""Trackers get every event of a run. The run never asks which trackers there are."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddp.machine.printable import printable
from ddp.tracking.messages import Event


class Tracker:
    """Ignores every event. A subclass overrides `on` for the events that it wants.

    `trouble`: the reason why it could not write; None if it could.
    """

    trouble: str | None = None

    def open(self) -> None:
        """The run has its directory, and begins."""

    def on(self, event: Event) -> None:
        """Something has happened, see ddp/tracking/messages.py."""

    def close(self) -> None:
        """No event comes after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts about a run that a tracker of the group `tracker` gets when it is made.

    | field       | meaning                                                            |
    |-------------|--------------------------------------------------------------------|
    | `directory` | the run directory; a tracker may write into it after `open`        |
    | `settings`  | the config as one row, see `ddp.config.schema.settings`            |
    | `varied`    | the settings that its sweep varies; None: not known, or no sweep   |
    | `command`   | the command that began the run, as a person types it               |
    """

    directory: Path
    settings: Mapping[str, Any]
    varied: Sequence[str] | None = None
    command: str = ""

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.settings.get("name") or self.directory.name)


class Guarded(Tracker):
    """Passes every event on to a tracker that a run can do without.

    If that tracker raises an exception, this one prints a warning, and the run goes on without it.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self.tracker = name, tracker

    def open(self) -> None:
        try:
            self.tracker.open()
        except Exception as error:
            self._give_up(error)

    def on(self, event: Event) -> None:
        if self.trouble is None:
            try:
                self.tracker.on(event)
            except Exception as error:
                self._give_up(error)

    def close(self) -> None:
        if self.trouble is not None:
            with suppress(Exception):  # the first trouble is the one to tell
                self.tracker.close()
            return
        try:
            self.tracker.close()
        except Exception as error:
            self._give_up(error)
        self.trouble = self.trouble or self.tracker.trouble

    def _give_up(self, error: Exception) -> None:
        reason = f"tracker={self.name}: {type(error).__name__}: {error}"
        self.trouble = f"{reason}; the run goes on without it"
        print(f"warning: {printable(self.trouble)}", file=sys.stderr)


class Everyone(Tracker):
    """Passes every event on to several trackers, in order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = trackers

    def open(self) -> None:
        for tracker in self.trackers:
            tracker.open()

    def on(self, event: Event) -> None:
        for tracker in self.trackers:
            tracker.on(event)

    def close(self) -> None:
        with ExitStack() as stack:  # closes the others also when one cannot be closed
            for tracker in reversed(self.trackers):
                stack.callback(tracker.close)
