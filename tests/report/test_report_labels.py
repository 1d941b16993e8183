"""Labels that are too long lose their middle, and stay different."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import page_of, read
from report_files import write_run

from ddp.report.comparing import give_labels
from ddp.report.cutting import cut_apart

NAMES = [
    f"backend={backend},workers={n},local_epochs=1" for backend in ("thread", "shm") for n in (1, 2)
]


@given(st.lists(st.text("ab,=1", max_size=40), max_size=12), st.integers(8, 20))
def test_texts_that_differ_still_differ_and_fit(texts, most):
    short = cut_apart(texts, most)
    assert list(short) == list(dict.fromkeys(texts))
    assert len(set(short.values())) == len(short)
    assert all(len(text) <= most for text in short.values())
    if all(len(text) <= most for text in texts):
        assert all(text == whole for whole, text in short.items())


@pytest.mark.parametrize(
    ("texts", "most", "expected"),
    [
        (
            NAMES,
            25,
            [f"backend={backend},workers={n}…" for backend in ("thread", "shm") for n in (1, 2)],
        ),
        (["one-word-of-many", "another"], 9, ["one-…many", "another"]),
        (["/a/way/to/file-1.csv", "/a/way/to/file-2.csv"], 12, ["…1.csv", "…2.csv"]),
        (["x" * 20 + "1" + "x" * 20, "x" * 20 + "2" + "x" * 20], 9, ["xxxxxxx…1", "xxxxxxx…2"]),
    ],
)
def test_what_all_share_is_dropped_first(texts, most, expected):
    assert list(cut_apart(texts, most).values()) == expected


@pytest.mark.usefixtures("fonts")
def test_runs_are_called_by_their_names_where_these_differ(tmp_path):
    for number, name in enumerate(NAMES):
        write_run(tmp_path / str(number), name=name, seed=number)
    runs = read(tmp_path)
    give_labels(runs)
    assert [run.label for run in runs] == NAMES
    page = page_of(tmp_path)
    cells = [attrs for tag, attrs in page.tags if tag == "td" and attrs.get("title") == NAMES[0]]
    assert cells[-1]["data-phone"] == "…thread…1…"
    write_run(tmp_path / "again", name=NAMES[0], seed=9)
    runs = read(tmp_path)
    give_labels(runs)
    assert [run.label for run in runs][:2] == ["seed=0", "seed=1"]
