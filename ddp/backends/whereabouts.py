"""Where a worker was when it was last heard of: what an error says of one that is heard of no more."""

from ddp.timing.spans import START
from ddp.tracking.messages import EpochDone, Message, Published, Started, WorkerRound


class Whereabouts:
    """`round_index`: None before its first; `phase`: the span that it was about to open."""

    def __init__(self, first_round: int, local_epochs: int) -> None:
        self.round_index: int | None = None
        self.phase = START
        self._first_round = first_round
        self._local_epochs = local_epochs

    def note(self, message: Message) -> None:
        """It has said this."""
        match message:
            case Started():
                self.round_index, self.phase = self._first_round, "compute"
            case EpochDone(round_index=round_index, epoch=epoch):
                is_last = epoch == self._local_epochs - 1
                self.round_index, self.phase = round_index, "publish" if is_last else "compute"
            case Published(round_index=round_index):
                self.round_index, self.phase = round_index, "wait"
            case WorkerRound(round_index=round_index):
                self.round_index, self.phase = round_index + 1, "compute"
