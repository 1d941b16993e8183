"""Files of attributes: they are joined with the ratings by id, and bad ones are refused."""

from dataclasses import replace

import numpy as np
import pytest
from delimited_files import AUTO, DEFAULTS, GOOD, HEADER, rows, write

from ddp.errors import DataError
from ddp.ratings.load import load_ratings


def load(tmp_path, *, users=None, items=None, ratings=HEADER + GOOD, base=DEFAULTS, **options):
    """The ratings of a file, with the attributes in others."""
    files = {"user_features": users, "item_features": items}
    given = {name: write(tmp_path / f"{name}.csv", text) for name, text in files.items() if text}
    path = write(tmp_path / "ratings.csv", ratings)
    return load_ratings(replace(base, path=path, **given, **options), seed=0)


def marks(features, ids):
    """Name of a column -> (id, value) of its entries."""
    edges = zip(features.names, features.starts[:-1], features.starts[1:], strict=True)
    return {
        name: list(
            zip(ids[features.rows[at:end]].tolist(), features.values[at:end].tolist(), strict=True)
        )
        for name, at, end in edges
    }


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_users_and_items_of_both_files_are_rows(tmp_path, separator):
    users = "id,sex,x\n9,F,0.5\n02, M,\n1,F,1.5\n0,M,1\n".replace(",", separator)
    items = "item,kind\n30,a\n10,a\n20,b\n5,b\n"
    ratings = load(tmp_path, users=users, items=items)
    assert ratings.user_ids.tolist() == [0, 1, 2, 9]
    assert ratings.item_ids.tolist() == [5, 10, 20, 30]
    assert (ratings.user_ids.dtype, ratings.users.dtype) == (np.int64, np.int32)
    assert rows(ratings) == [(1, 10, 3), (2, 10, 4)]
    found = marks(ratings.user_features, ratings.user_ids)
    scale = np.float32(1.5**0.5)
    assert found.pop("x") == [(0, pytest.approx(0)), (1, scale), (9, -scale)]
    assert found == {"sex=F": [(1, 1), (9, 1)], "sex=M": [(0, 1), (2, 1)]}
    found = marks(ratings.item_features, ratings.item_ids)
    assert found == {"kind=a": [(10, 1), (30, 1)], "kind=b": [(5, 1), (20, 1)]}
    told = {part: value for part, (value, how) in ratings.reading.format.items() if how == "given"}
    assert told["user attributes"] == "3 of 4 users in user_features.csv, 2 of them without ratings"
    assert told["item attributes"] == "2 of 4 items in item_features.csv, 3 of them without ratings"
    assert ratings.reading.warnings == ()


def test_an_atomic_file_of_recbole(tmp_path):
    items = (
        "item_id:token\tclass:token_seq\tage:token\n10\tWar Drama\t1\n11\tDrama\t2\n12\tWar\t1\n"
    )
    ratings = load(tmp_path, items=items)
    half = np.float32(0.5**0.5)
    assert marks(ratings.item_features, ratings.item_ids) == {
        "class=Drama": [(10, half), (11, 1)], "class=War": [(10, half), (12, 1)],
        "age=1": [(10, 1), (12, 1)],
    }  # fmt: skip


def test_ratings_whose_users_have_no_attributes_are_counted(tmp_path):
    ratings = load(
        tmp_path, users="id,sex,name\n1,F,x\n5,F,y\n6,M,z\n", ratings=HEADER + GOOD + "3,7,4,1\n"
    )
    assert ratings.user_ids.tolist() == [1, 2, 3, 5, 6]
    assert ratings.user_features.rows.tolist() == [0, 3]
    file = tmp_path / "user_features.csv"
    assert ratings.reading.warnings == (
        f"{file}: name is left out: it has one value in all rows, or another in each",
        f"{file}: has no line for 2 users of the ratings",
    )


def test_without_files_nothing_changes(tmp_path):
    plain, told = load(tmp_path), load(tmp_path, items="id,kind\n10,a\n11,a\n12,b\n")
    assert plain.user_features is plain.item_features is told.user_features is None
    assert told.user_ids is not None
    for name in ("users", "items", "ratings", "user_ids"):
        assert np.array_equal(getattr(plain, name), getattr(told, name))


def test_ids_are_compared_as_those_of_the_ratings_are(tmp_path):
    text = "u,i,r\n007,a,3\n7,b,4\n"
    users = "id,kind\n 7 ,x\n007,y\nnew,x\n8,y\n"
    options = {"user": "u", "item": "i", "rating": "r", "ids": "text"}
    ratings = load(tmp_path, ratings=text, users=users, **options)
    assert ratings.user_ids.tolist() == ["007", "7", "8", "new"]
    assert rows(ratings) == [("007", "a", 3), ("7", "b", 4)]
    assert marks(ratings.user_features, ratings.user_ids) == {
        "kind=x": [("7", 1), ("new", 1)], "kind=y": [("007", 1), ("8", 1)]
    }  # fmt: skip


def test_a_test_file_may_name_users_that_the_attributes_name(tmp_path):
    test = write(tmp_path / "test.csv", HEADER + "5,10,2,1\n1,11,2,1\n")
    users = write(tmp_path / "users.csv", "id,sex\n9,F\n5,M\n1,F\n2,M\n")
    path = write(tmp_path / "ratings.csv", HEADER + GOOD)
    ratings = load_ratings(replace(DEFAULTS, path=path, user_features=users), 0, test)
    assert ratings.user_ids.tolist() == [1, 2, 5, 9]
    assert rows(ratings) == [(1, 10, 3), (2, 10, 4), (5, 10, 2), (1, 11, 2)]
    assert ratings.test_rows.tolist() == [2, 3]
    found = marks(ratings.user_features, ratings.user_ids)
    assert found == {"sex=F": [(1, 1), (9, 1)], "sex=M": [(2, 1), (5, 1)]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": is empty. It should have one user with its attributes per line"),
        ("id\n1\n2\n", ": no separator gives two fields in each line. The first line is 'id'"),
        ("id,sex\n", ": has only a header line"),
        ("1,F\n2,M\n", ":1: begins with 1, the id of a user. Put a header above it"),
        ("id,,x\n1,2,3\n", ":1: column 1 has no name"),
        ("id,x,x\n1,2,3\n", ":1: two columns are called 'x'"),
        ("id,x\n1,2\n2\n", ":3: 1 fields, where 2 were expected"),
        ("id,x\n1,2\n,3\n", ":3: the user is missing"),
        ("id,x\n1,2\n2,3\n01,4\n", ":4: user 01 is also in line 2"),
        ("id,x\n1,a\nbob,b\n", ":3: user 'bob' is no whole number, and all users of the ratings"),
        ("id,x\n7,2\n8,3\n", ": has no user in common with the ratings. Its first column should"
         " hold ids such as 1, and holds 7"),
        ("id,x\n1,a\n2,b\n", ": has no attributes: x is left out: it has one value"),
        ("id,x\n1,\xe9\n2,b\n".encode("latin-1"), ":2: is not UTF-8 text"),
        ('id,x\n1,"a\n2,b\n', ":2: unexpected end of data"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_attributes(tmp_path, text, message):
    path = write(tmp_path / "users.csv", text)
    ratings = write(tmp_path / "ratings.csv", HEADER + GOOD)
    with pytest.raises(DataError) as refused:
        load_ratings(replace(DEFAULTS, path=ratings, user_features=path), seed=0)
    assert str(refused.value).startswith(path + message)


def test_a_file_without_a_header_of_users_with_names(tmp_path):
    with pytest.raises(DataError, match="begins with ann, the id of a user"):
        load(tmp_path, ratings="user,item,rating\nann,b,3\n", users="ann,F\nbob,F\n", base=AUTO)


def test_a_file_that_is_not_there(tmp_path):
    ratings = write(tmp_path / "ratings.csv", HEADER + GOOD)
    path = str(tmp_path / "no.csv")
    with pytest.raises(DataError, match=r"no\.csv: cannot be read: No such file .* Check the path"):
        load_ratings(replace(DEFAULTS, path=ratings, item_features=path), seed=0)
    with pytest.raises(DataError, match="is a folder"):
        load_ratings(replace(DEFAULTS, path=ratings, item_features=str(tmp_path)), seed=0)


def test_all_users_of_a_test_file_may_be_new(tmp_path):
    test = write(tmp_path / "test.csv", HEADER + "5,10,2,1\n6,10,2,1\n")
    users = write(tmp_path / "users.csv", "id,sex\n9,F\n5,M\n1,F\n2,M\n")
    data = replace(DEFAULTS, path=write(tmp_path / "ratings.csv", HEADER + GOOD))
    with pytest.raises(DataError, match="has no user in common with the data"):
        load_ratings(data, 0, test)
    ratings = load_ratings(replace(data, user_features=users), 0, test)
    assert rows(ratings) == [(1, 10, 3), (2, 10, 4), (5, 10, 2), (6, 10, 2)]
    assert ratings.user_ids[ratings.user_features.rows].tolist() == [1, 9, 2, 5]


def test_attributes_count_among_that_which_decides_a_run(tmp_path):
    plain, told = (
        load(tmp_path),
        load(tmp_path, users="id,x\n1,0.5\n2,1\n", items="i,x\n10,1\n11,2\n12,1\n"),
    )
    assert len(plain.deciding()) == 3
    numbers = [array.tolist() for array in told.deciding()[3:]]
    assert numbers == [[0, 2], [0, 1], [-1, 1], [0, 2], [0, 2], [1, 1]]
