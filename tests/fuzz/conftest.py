"""`make fuzz` gives these tests more inputs (FUZZ_INPUTS) and more time than the suite does."""

import os

import pytest

DAY_S = 24 * 3600.0


def pytest_itemcollected(item):
    if "FUZZ_INPUTS" in os.environ:
        item.add_marker(pytest.mark.watchdog(DAY_S))
