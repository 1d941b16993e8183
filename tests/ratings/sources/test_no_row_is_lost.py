"""Each line of a rating file is one rating, or it is refused with its number."""

import numpy as np
import pytest
from delimited_files import AUTO, load, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddp.errors import DataError

NUM_LINES = 200


def lines_of(separator: str, texts: dict[int, str]) -> str:
    """A file with a column of text; `texts`: those of some lines."""
    header = separator.join(["user", "item", "rating", "headline"])
    lines = [
        separator.join([str(line // 10), str(line), str(1 + line % 5), texts.get(line, "Nice")])
        for line in range(NUM_LINES)
    ]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize("separator", ["\t", "::"])
@pytest.mark.parametrize("places", [(3, 150), (0, 1), (5,), (7, 8, 9), (NUM_LINES - 1,)])
@pytest.mark.parametrize("text", ['"Nice', '5" disc', 'so "good"', '"'])
def test_stray_quotes_take_no_line_where_quotes_are_off(tmp_path, separator, places, text):
    got = load(tmp_path / "r", lines_of(separator, dict.fromkeys(places, text)), base=AUTO)
    assert len(got) == NUM_LINES


@pytest.mark.parametrize(
    ("options", "separator"), [({}, ","), ({}, ";"), ({}, "|"), ({"quote": '"'}, "\t")]
)
@pytest.mark.parametrize("places", [(3, 150), (0, 1), (5,), (7, 8, 9), (NUM_LINES - 1,)])
def test_stray_quotes_that_take_lines_are_refused(tmp_path, options, separator, places):
    content = lines_of(separator, dict.fromkeys(places, '"Nice'))
    with pytest.raises(
        DataError, match=rf"r:{places[0] + 2}: a quote opens here.*data\.quote=false"
    ):
        load(tmp_path / "r", content, base=AUTO, **options)
    assert len(load(tmp_path / "r", content, base=AUTO, quote="")) == NUM_LINES


def test_a_text_of_a_few_lines_is_read(tmp_path):
    for num_lines in (2, 3, 9):
        text = '"' + "\n".join(["a good, film"] * num_lines) + '"'
        got = load(tmp_path / "r", lines_of(",", {0: text, 50: text, 199: text}), base=AUTO)
        assert len(got) == NUM_LINES


def test_a_text_of_many_lines_is_refused(tmp_path):
    for num_lines in (11, 40):
        content = lines_of(",", {20: '"' + "\n".join(["a film"] * num_lines) + '"'})
        with pytest.raises(DataError, match=rf"r:22: a quote opens here, and closes {num_lines}"):
            load(tmp_path / "r", content, base=AUTO)


def test_a_text_that_holds_ratings_is_refused(tmp_path):
    header, ends = "user,item,rating,headline\n", ('1,1,3,"x', '3,3,5,y"')
    content = header + f"9,9,1,z\n{ends[0]}\n2,2,4,x\n{ends[1]}\n"
    with pytest.raises(DataError, match="r:3: a quote opens here, and the lines up to its end are"):
        load(tmp_path / "r", content, base=AUTO)
    assert len(load(tmp_path / "r", content, base=AUTO, quote="")) == 4


def test_a_quote_that_closes_within_a_field_is_refused(tmp_path):
    content = 'user,item,rating,headline\n9,9,1,z\n1,1,3,"so\nlong" a film\n2,2,4,x\n'
    with pytest.raises(DataError, match="r:3: a quote opens here, and no field ends where it"):
        load(tmp_path / "r", content, base=AUTO)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_wanted_field_of_two_lines_is_refused(tmp_path, column):
    fields = ["u7", "i7", "3", "x"]
    fields[column] = f'"{fields[column]}\n"'
    content = "user,item,rating,headline\n1,1,2,x\n" + ",".join(fields) + "\n2,2,2,x\n"
    role = ("user", "item", "rating")[column]
    with pytest.raises(DataError, match=f"r:3: a quote opens here, and gives the {role} 2 lines"):
        load(tmp_path / "r", content, base=AUTO)


def test_a_quote_that_never_closes(tmp_path):
    for end in ("", "\n"):
        with pytest.raises(DataError, match="r:3: a quote opens here, and never closes"):
            load(tmp_path / "r", f'user,item,rating\n1,1,2\n2,2,"3{end}', base=AUTO)


def test_quoted_columns_between_tabs_are_quoted(tmp_path):
    content = '"user"\t"item"\t"rating"\n"1"\t"7"\t"3"\n"2"\t"8\t9"\t"4"\n'
    assert rows(load(tmp_path / "r", content, base=AUTO)) == [(1, "7", 3), (2, "8\t9", 4)]
    with pytest.raises(DataError, match=r"rating '\"3\"' is not a number.*data\.quote"):
        load(tmp_path / "r", content, base=AUTO, quote="")


def test_another_sign_may_quote(tmp_path):
    got = load(tmp_path / "r", "user,item,rating\n'a,b','c\"',3\n", base=AUTO, quote="'")
    assert rows(got) == [("a,b", 'c"', 3)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_blank_lines_comments_and_marks_change_nothing(tmp_path, end, data):
    lines = ["user,item,rating", *(f"{line},{line + 1},{1 + line % 5}" for line in range(9))]
    noise = st.sampled_from(["", " ", "\t", "# 1,2,3", " # a note", '#"'])
    noisy: list[str] = []
    for line in lines:
        noisy += data.draw(st.lists(noise, max_size=2))
        noisy.append(data.draw(st.sampled_from(["", "\ufeff"])) + line)
    content = end.join(noisy) + data.draw(st.sampled_from(["", end, end * 3]))
    got = load(tmp_path / "r", content, base=AUTO, comment="#")
    assert rows(got) == [(line, line + 1, 1 + line % 5) for line in range(9)]


@pytest.mark.parametrize("comment", ["#", "//", "%", "REM", "("])
def test_comments_keep_the_numbers_of_lines(tmp_path, comment):
    content = f"{comment} made by export\nuser,item,rating\n{comment}1,2,3\n1,2,3\n1,3,x\n"
    with pytest.raises(DataError, match=r"r:5: rating 'x'"):
        load(tmp_path / "r", content, base=AUTO, comment=comment)
    with pytest.raises(DataError, match=r"r:1: "):
        load(tmp_path / "r", content, base=AUTO)


def test_a_comment_sign_within_a_line_is_text(tmp_path):
    got = load(tmp_path / "r", "user,item,rating\na#1,b,3\na#2,#,4\n", base=AUTO, comment="#")
    assert rows(got) == [("a#1", "b", 3), ("a#2", "#", 4)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_skipped_lines(tmp_path, end):
    content = end.join(["exported, today, by me", '"', "user,item,rating", "1,2,3", "1,3,x"])
    with pytest.raises(DataError, match=r"r:5: rating 'x'"):
        load(tmp_path / "r", content, base=AUTO, skip_lines=2)
    got = load(tmp_path / "r", content.replace("x", "4"), base=AUTO, skip_lines=2)
    assert rows(got) == [(1, 2, 3), (1, 3, 4)]
    with pytest.raises(DataError, match="has no ratings"):
        load(tmp_path / "r", content, base=AUTO, skip_lines=5)


@pytest.mark.parametrize("footer", ["(300 rows)", "Total,300", "--", "1,2,3,4", "x,y,z"])
def test_a_footer_is_refused_with_its_line(tmp_path, footer):
    with pytest.raises(DataError, match="r:4: "):
        load(tmp_path / "r", f"user,item,rating\n1,2,3\n1,3,4\n{footer}\n", base=AUTO)


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "::"])
@pytest.mark.parametrize("line", ['""', '" "', '"', ".", "\u00a0", "\x01"])
def test_a_line_that_only_looks_blank_is_refused(tmp_path, line, separator):
    content = f"user,item,rating\n1,2,3\n{line}\n1,3,4\n".replace(",", separator)
    with pytest.raises(DataError, match="r:3: "):
        load(tmp_path / "r", content, base=AUTO)


@pytest.mark.parametrize("length", [130_000, 200_000, 1_000_000])
def test_a_long_text_is_read_and_a_long_id_refused(tmp_path, length):
    text = "x" * length
    got = load(tmp_path / "r", f"user,item,rating,text\n1,2,3,{text}\n2,2,3,y\n", base=AUTO)
    assert rows(got) == [(1, 2, 3), (2, 2, 3)]
    with pytest.raises(DataError, match=rf"r:2: the user has {length:,} characters"):
        load(tmp_path / "r", f"user,item,rating,text\n{text},2,3,y\n2,2,3,y\n", base=AUTO)


ODD_RATINGS = [
    ("3\u00a0", "no-break space"), ("\u20093", "no-break space"), ("True", "Write 1 for True"),
    ("false", "Write 1 for True"), ("\uff13", "Correct the line"),
    ("five", "Correct the line"), ("1_000", "Correct the line"), ("0x10", "Correct the line"),
]  # fmt: skip


@pytest.mark.parametrize(("rating", "advice"), ODD_RATINGS)
@pytest.mark.parametrize("line", [2, 40, 90])
def test_an_odd_rating_is_refused_with_its_line_and_advice(tmp_path, rating, advice, line):
    ratings = [str(1 + number % 5) for number in range(100)]
    ratings[line - 1] = rating
    content = "".join(f"{number}\t1\t{text}\n" for number, text in enumerate(ratings))
    with pytest.raises(DataError) as refusal:
        load(tmp_path / "r", content, base=AUTO)
    assert f"{tmp_path / 'r'}:{line}: rating {rating!r} is not a number." in str(refusal.value)
    assert advice in str(refusal.value)


def test_a_comma_where_a_point_was_given(tmp_path):
    with pytest.raises(DataError, match=r"r:2: rating '3,5' is not a number.*data\.decimal=comma"):
        load(tmp_path / "r", "1\t1\t2\n1\t2\t3,5\n", base=AUTO, decimal=".")


@pytest.mark.parametrize("pair", [("True", "False"), ("true", "false"), ("TRUE", "FALSE")])
def test_a_column_of_true_and_false_is_refused_as_one_of_them_is(tmp_path, pair):
    yes, no = pair
    content = f"user,item,rating\n1,2,{yes}\n1,3,{no}\n2,2,{yes}\n"
    with pytest.raises(DataError, match=rf"r:2: rating '{yes}' is not a number\. Write 1 for True"):
        load(tmp_path / "r", content, base=AUTO)
    with pytest.raises(DataError, match=rf"r:2: rating '{yes}' is not a number"):
        load(tmp_path / "r", f"user,item,rating\n1,2,{yes}\n", base=AUTO)


def test_many_lines_with_one_stray_quote_in_a_comma_file(tmp_path):
    # an odd number of quotes: the last one is open up to the end of the file
    texts = {20: '"x', 90: 'y"', 150: '"z'}
    with pytest.raises(DataError, match="r:22: a quote opens here"):
        load(tmp_path / "r", lines_of(",", texts), base=AUTO)


def test_numbers_of_users_and_items_are_those_of_the_lines(tmp_path):
    got = load(tmp_path / "r", lines_of(",", {}), base=AUTO)
    assert (len(got), got.num_users, got.num_items) == (NUM_LINES, 20, NUM_LINES)
    assert np.array_equal(np.bincount(got.users), np.full(20, 10))
