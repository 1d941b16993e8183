"""How the workers of split=both keep in step: the interface that a sweeping trainer uses."""

from typing import TYPE_CHECKING, Protocol

from ddp.errors import LateRows

if TYPE_CHECKING:
    from ddp.machine.compiled.gates import Gates


class Phases(Protocol):
    """How the workers keep in step: half h of epoch s ends with phase 3 (2 s + h + 1).

    `gates`: the counters on which workers with shared memory wait; None: they share no memory, or
    one thread has all of them.
    """

    gates: "Gates | None"
    place: int
    timeout_s: float

    def share(self, phase: int) -> None:
        """Gives the others the rows and sums that this worker has made in the phase."""

    def take(self, phase: int) -> None:
        """Waits for those of all others. Raises LateRows after `timeout_s` seconds."""

    def late(self, place: int) -> LateRows:
        """The error for rows that did not come in time from the worker at this place."""
