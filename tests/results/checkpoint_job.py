"""The job of the tests of checkpoints."""

JOB = (
    "backend=serial",
    "trainer=autograd",
    "workers=2",
    "rounds=3",
    "checkpoint_every=1",
    "aggregation.outer=adam",
)
