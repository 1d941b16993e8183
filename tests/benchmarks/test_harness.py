"""The parts of all benchmarks: turns, ratios, and figures as tables show them."""

import pytest

from benchmarks.harness import Row, Unavailable, add_ratio, in_turn, shown


def test_candidates_take_turns_and_one_that_cannot_leaves_a_gap():
    turns = []

    def candidate(name):
        def measure():
            turns.append(name)
            if name == "b":
                raise Unavailable("no b here")
            return {"s": float(len(turns))}

        return measure

    a, b, c = in_turn([({"name": name}, candidate(name)) for name in "abc"], repeats=2)
    assert turns == ["a", "b", "c", "a", "c"]
    assert (a.figures, c.figures) == ({"s": [1.0, 4.0]}, {"s": [3.0, 5.0]})
    assert (b.figures, b.note, b.cell("s")) == ({}, "no b here", "-")


def test_ratios_are_of_neighbours():
    fast, slow, gap = (
        Row(labels={}, figures={"s": [1.0, 2.0]}),
        Row(labels={}, figures={"s": [10.0, 40.0]}),
        Row(labels={}),
    )
    add_ratio([fast, slow, gap], "times as fast", "s", slow, faster=True)
    add_ratio([fast, slow, gap], "times as long", "s", fast, faster=False)
    assert fast.figures["times as fast"] == [10.0, 20.0]
    assert slow.figures["times as long"] == [10.0, 20.0]
    assert gap.figures == {}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([3.0, 1.0, 2.0], "2.00 (1.00 - 3.00)"),
        ([0.01234], "0.012"),
        ([12.345, 12.345], "12.3"),
        ([1234.5, 1000.0], "1117 (1000 - 1234)"),
        ([0.0], "0"),
    ],
)
def test_figures_are_shown_with_three_digits(values, text):
    assert shown(values) == text
