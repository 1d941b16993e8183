"""Fixtures for the tests of backends."""

import pytest

MODES = {"notified": "backend.poll_interval_s=null", "polling": "backend.poll_interval_s=0.001"}


@pytest.fixture(params=MODES)
def mode(request):
    """The overrides of a backend of threads that are notified, and of one that polls."""
    return "backend=thread", MODES[request.param]


@pytest.fixture(scope="module")
def reference(make_config, drive):
    """`reference(*overrides)`: the serial run of that job."""
    runs = {}

    def of(*overrides):
        if overrides not in runs:
            runs[overrides] = drive(make_config(*overrides, "backend=serial"))
        return runs[overrides]

    return of
