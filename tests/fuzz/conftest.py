"""`make fuzz` gives the tests here more inputs (FUZZ_INPUTS), and so more time; without, they are a
short part of the suite.
"""

import os

import pytest

DAY_S = 24 * 3600.0


def pytest_itemcollected(item):
    if "FUZZ_INPUTS" in os.environ:
        item.add_marker(pytest.mark.watchdog(DAY_S))
