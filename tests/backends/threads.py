"""Steps of workers on threads, at moments that the test chooses."""

import threading

from jobs import DEADLINE_S

from ddp.trainers.trainer import stepping_trainer


def after_tell(backend, told):
    """Calls `told(message)` after the real `tell` of a worker's message."""
    wrap = backend.wrap

    def wrapping(worker, exchange):
        exchange = wrap(worker, exchange)
        tell = exchange.tell

        def telling(message):
            tell(message)
            told(message)

        exchange.tell = telling
        return exchange

    backend.wrap = wrapping


class Rounds:
    """Lets the test wait until every worker has sent a message of `kind` for a round."""

    def __init__(self, backend, kind):
        self.told = set()
        self.changed = threading.Condition()
        self.kind = kind
        after_tell(backend, self._note)

    def _note(self, message):
        if isinstance(message, self.kind):
            with self.changed:
                self.told.add((message.worker, message.round_index))
                self.changed.notify_all()

    def wait(self, workers, round_index):
        with self.changed:
            assert self.changed.wait_for(
                lambda: {(w, round_index) for w in workers} <= self.told, DEADLINE_S
            )


def patch_epoch(monkeypatch, jobs, worker, before_epoch):
    """Calls `before_epoch(number)` in a worker before its epochs, counted over all rounds."""

    def making(options, model, train, **rest):
        trainer = stepping_trainer(options)(options, model, train, **rest)
        if train is jobs[worker].shard.train:
            real, number = trainer.epoch, iter(range(10**9))

            def epoch(order):
                before_epoch(next(number))
                return real(order)

            trainer.epoch = epoch
        return trainer

    monkeypatch.setattr("ddp.workers.worker.stepping_trainer", lambda options: making)
