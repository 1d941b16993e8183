"""Names of the workers, of the aggregator and of the aggregate in files, tags and tables.

A lane is one row of a time line: a worker or the aggregator. Files and tags name the lane, or the
other source of a row, in a column or field `who`:

| name | its figures are of |
|---|---|
| `worker_name(...)` | a worker |
| AGGREGATOR | the aggregator: its seconds and bytes |
| AGGREGATED | the aggregate: its errors; in rounds.csv also the aggregator |
| POOLED | all workers together, each on its own parts |
| KEPT | the aggregate that the run keeps: that of its best or of its last round |
| ONE_WORKER | the one worker that the run is compared with |
| LAST_SAMPLE | the last sample alone, where the aggregate is the mean of samples |
"""

AGGREGATED, AGGREGATOR, POOLED, KEPT, ONE_WORKER, LAST_SAMPLE = (
    "aggregated",
    "aggregator",
    "workers_pooled",
    "kept",
    "one_worker",
    "last_sample",
)
PARTS = ("valid", "test")


def worker_name(worker: int) -> str:
    """The name of a worker in tags and tables."""
    return f"worker_{worker}"
