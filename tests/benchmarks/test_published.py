"""The table that has our trainers beside published figures."""

import pytest

from benchmarks import published
from benchmarks.harness import Row
from benchmarks.quality.ways import Way


def test_published_figures_follow_ours():
    labels = {"data": "ml100k", "way": "fused", "chosen": "epochs 3"}
    own = Row(labels=labels, figures={published.U1: [0.9, 0.92, 0.91], published.SECONDS: [2.0]})
    table = published.table_of(published.DIVISIONS["ml100k"], [own])
    assert table.cells[0] == [
        "fused",
        "0.9100 (0.9000 - 0.9200)",
        "-",
        "2.00",
        "on validation: epochs 3",
    ]
    assert table.cells[-1] == [published.GLOCAL_K, "0.8889", "-", "-", published.ON_TEST]
    assert {len(cells) for cells in table.cells} == {len(table.header)}


@pytest.mark.slow
def test_folds_of_movielens_100k():
    way = Way(overrides=("workers=1",), tried={"trainer.lr": (0.001, 0.03)}, epochs=3)
    figures, chosen = published.on_folds(way, repeats=2)
    assert chosen == "lr 0.03, epochs 3"
    for name in (published.U1, published.MEAN):
        assert all(0.9 < value < 1.0 for value in figures[name])
        assert len(set(figures[name])) == 2  # a seed of the model per repeat
    assert figures[published.U1][0] > figures[published.MEAN][0]  # u1 is the hardest fold
