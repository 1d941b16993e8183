"""A run whose every step a test can look at."""

from jobs import prepare as prepared_of


class Driven:
    """A run that calls `prepare(backend)` before its start, and `look` after each of its steps.

    The moment in `look(moment, round_index, backend)` is "message", "gather", "broadcast",
    "finish" or "stop".
    """

    def __init__(self, config, *, look=None, evaluate=None, prepare=None, jobs=None):
        from ddp.backends.make import make_backend
        from ddp.tracking.history import History

        self.config, self.look, self.history = config, look or (lambda *_: None), History()
        self.prepared = prepared_of(config)
        self.jobs = jobs(self.prepared.make_jobs()) if jobs else self.prepared.make_jobs()
        if self.prepared.strata is not None:  # all workers train in one vector
            self.prepared.vector = self.jobs[0].vector
        self.evaluate = evaluate or self._evaluate
        self.aggregated = self.jobs[0].make_aggregate()
        self.vectors = []
        self.messages = []
        self.backend = make_backend(self.prepared, self.jobs, self._listen)
        if prepare:
            prepare(self.backend)

    def _listen(self, message):
        self.messages.append(message)
        self.history.on(message)
        self.look("message", getattr(message, "round_index", None), self.backend)

    def _evaluate(self, vector):
        self.aggregated.vector[:] = vector
        return tuple(
            self.jobs[0].evaluate(self.aggregated, part)
            for part in (self.prepared.valid, self.prepared.test)
        )

    def _errors(self, vector):
        from ddp.aggregation.aggregator import Errors

        return Errors(*self.evaluate(vector))

    def run(self):
        from ddp.aggregation.aggregator import Aggregator
        from ddp.aggregation.make import make_combine

        combine = make_combine(self.prepared)
        backend, before = self.backend, self.prepared.vector
        self._watch(backend, "gather")
        self._watch(backend, "broadcast")
        try:
            backend.start()
            backend.spans.take()
            for done in Aggregator(backend, combine, before, self._errors).rounds():
                self.vectors.append(done.vector.copy())
                self.history.on(done.row)
            self.look("finish", self.config.rounds - 1, backend)
        finally:
            backend.stop()
            self.look("stop", None, backend)
        return self

    def _watch(self, backend, step):
        """Calls `look` when the real step is done."""
        real = getattr(backend, step)

        def watched(round_index, *args):
            result = real(round_index, *args)
            self.look(step, round_index, backend)
            return result

        setattr(backend, step, watched)

    def rows(self):
        """All that must not depend on the backend: the workers' rows in order, without times."""
        rows = sorted(self.history.worker_rounds, key=lambda row: (row.round_index, row.worker))
        return [
            (
                *(row.round_index, row.worker, row.train_loss, row.valid, row.test),
                *(row.best_epoch, row.aggregate_received),
            )
            for row in rows
        ]

    def aggregates(self):
        """The same of the aggregator."""
        return [(r.round_index, r.valid, r.test, r.weights) for r in self.history.aggregate_rounds]
