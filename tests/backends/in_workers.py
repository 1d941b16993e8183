"""Code that a test runs in the processes of workers."""


class Runs:
    """Runs the code in the process that unpickles it."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return exec, (self.code, {})


def in_workers(code):
    """For `Driven(jobs=...)`: the workers run the code when they get their jobs.

    It travels in `display`, which no worker reads.
    """

    def hide(jobs):
        jobs[0].config.display = Runs(code)
        return jobs

    return hide
