"""Counts as people read them."""

import pytest

from ddp.counting import counted, in_round, round_of


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 rounds"), (1, "1 round"), (2, "2 rounds"), (-1, "-1 rounds"), (2000, "2,000 rounds")],
)
def test_only_one_has_no_s(number, text):
    assert counted(number, "round") == text


def test_the_first_round_is_round_1():
    assert round_of(0) == 1
    assert (in_round(None), in_round(0)) == ("before its first round", "in round 1")
