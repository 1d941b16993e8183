"""Timestamps as people write them, and the rows that time decides about."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from delimited_files import AUTO, load, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.errors import DataError
from ddp.ratings.sources.times import to_seconds

HEADER = "user,item,rating,when\n"
START = datetime(2020, 1, 1, 12, tzinfo=UTC)


def file_of(times: list[object]) -> str:
    return HEADER + "".join(f"{row},1,3,{time}\n" for row, time in enumerate(times))


def written(moment: datetime, way: str) -> str:
    seconds = moment.timestamp()
    return {
        "seconds": f"{seconds:.0f}",
        "as a float": f"{seconds:.1f}",
        "fractions": f"{seconds + 0.25:.2f}",
        "milliseconds": f"{seconds * 1000:.0f}",
        "microseconds": f"{seconds * 1e6:.0f}",
        "iso": moment.isoformat(),
        "iso with Z": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "with a blank": moment.strftime("%Y-%m-%d %H:%M:%S"),
        "of another zone": moment.strftime("%Y-%m-%dT%H:%M:%S") + "+02:00",
        "dates": moment.strftime("%Y-%m-%d"),
        "dates with strokes": moment.strftime("%Y/%m/%d"),
        "dates in one number": moment.strftime("%Y%m%d"),
    }[way]


WAYS = {
    "seconds": 0, "as a float": 0, "fractions": 0.25, "milliseconds": 0, "microseconds": 0,
    "iso": 0, "iso with Z": 0, "with a blank": 0, "of another zone": -7200, "dates": -43200,
    "dates with strokes": -43200, "dates in one number": -43200,
}  # fmt: skip


@pytest.mark.parametrize(("way", "off"), WAYS.items(), ids=WAYS)
def test_ways_to_write_a_time(tmp_path, way, off):
    moments = [START + timedelta(days=day) for day in (0, 3, 1, 400)]
    got = load(tmp_path / "r", file_of([written(moment, way) for moment in moments]), base=AUTO)
    assert got.timestamps.tolist() == [moment.timestamp() + off for moment in moments]
    assert got.timestamps.dtype == (np.float64 if off == 0.25 else np.int64)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1_000_000_000_000, 4_000_000_000_000), min_size=1, max_size=9))
def test_milliseconds_keep_their_order_within_a_second(tmp_path, times):
    got = load(tmp_path / "r", file_of(times), base=AUTO)
    assert got.timestamps.tolist() == [time / 1000 for time in times]
    assert got.reading.format["timestamp"] == ("when, milliseconds", "recognised")


@pytest.mark.parametrize(
    ("times", "line"),
    [
        ([1500000000, 1500000000000], 3),
        ([1500000000, "2020-01-01"], 3),
        (["2020-01-01", "2020-01-02", 1577880000], 4),
        ([1500000000, 1500000001, "soon"], 4),
        ([1500000000, 1500000001, ""], 4),
    ],
)
def test_times_of_two_kinds_are_refused_with_the_line(tmp_path, times, line):
    with pytest.raises(DataError, match=rf"r:{line}: timestamp .*data\.timestamp=null"):
        load(tmp_path / "r", file_of(times), base=AUTO)


@pytest.mark.parametrize("times", [["13/01/2020"], ["09 13, 2014"], ["yesterday"], ["2020-02-30"]])
def test_other_dates_are_refused_until_they_are_not_wanted(tmp_path, times):
    with pytest.raises(DataError, match=r"r:2: timestamp .* is not a number of seconds or an ISO"):
        load(tmp_path / "r", HEADER + f'1,1,3,"{times[0]}"\n', base=AUTO)
    got = load(tmp_path / "r", HEADER + f'1,1,3,"{times[0]}"\n', base=AUTO, timestamp=None)
    assert got.timestamps is None


def test_zero_means_no_known_time_in_any_unit():
    times, unit = to_seconds(np.array([0, 1500000000000, 0]))
    assert (times.tolist(), unit) == ([0, 1500000000, 0], "milliseconds")


def test_seconds_before_1970_and_small_counters_stay():
    for raw in ([-5, 3, 10**9], [1, 2, 3], [20200101, 3], [99999999999]):
        times, unit = to_seconds(np.array(raw))
        assert (times.tolist(), unit) == (raw, "seconds")


pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(pairs, st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=15),
    step=st.sampled_from([1, 0.25]),
)
def test_the_last_rating_is_the_last_in_time_and_then_in_the_file(tmp_path, lines, step):
    content = HEADER + "".join(
        f"{user},{item},{rating},{978300760 + time * step}\n"
        for (user, item), rating, time in lines
    )
    got = load(tmp_path / "r", content, base=AUTO, duplicates="last")
    last = {}
    for row, (pair, rating, time) in enumerate(lines):
        last[pair] = max(last.get(pair, ()), (time, row, rating))
    expected = sorted((row, (*pair, rating)) for pair, (_, row, rating) in last.items())
    assert rows(got) == [row for _, row in expected]
    again = {} if len(last) == len(lines) else {
        "rated again (duplicates=last)": len(lines) - len(last)
    }  # fmt: skip
    assert got.reading.left_out == again
    untimed = load(tmp_path / "r", content, base=AUTO, duplicates="last", timestamp=None)
    latest = {pair: rating for pair, rating, _ in lines}
    assert {(user, item): rating for user, item, rating in rows(untimed)} == latest
