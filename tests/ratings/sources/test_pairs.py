"""A file of pairs, without ratings, is read whatever separates and names its columns."""

import gzip

import pytest

from ddp.errors import DataError
from ddp.ratings.sources.pairs import read_pairs


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "pairs.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " ", "   "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("header", ["", "user{}item"])
def test_pairs_at_any_separator(tmp_path, separator, end, header):
    lines = [header.format(separator)] * bool(header) + [f"196{separator}242", f"a{separator}b"]
    pairs = read_pairs(written(tmp_path, end.join(lines) + end))
    assert (pairs.users, pairs.items) == (["196", "a"], ["242", "b"])
    assert pairs.lines == ([2, 3] if header else [1, 2])


@pytest.mark.parametrize(
    ("header", "user", "item"),
    [
        ("", 0, 1),
        ("user,item,rating", 0, 1),
        ("userId,movieId,title", 0, 1),
        ("movieId,userId,rating", 1, 0),
        ("rating,item_id:token,user_id:token", 2, 1),
        ("\ufeffUser-ID,ISBN,Book-Rating", 0, 1),
        ('"reviewerID","asin","overall"', 0, 1),
        ("index,customer,product", 1, 2),
    ],
)
def test_the_names_of_the_header_tell_the_columns(tmp_path, header, user, item):
    rows = [["7", "8", "9"], [" 10", "eleven, or 12", "13 "]]
    text = "".join(",".join(f'"{field}"' for field in row) + "\n" for row in rows)
    pairs = read_pairs(written(tmp_path, f"{header}\n{text}"))
    assert pairs.users == [row[user] for row in rows]
    assert pairs.items == [row[item] for row in rows]


@pytest.mark.parametrize(
    ("text", "users", "lines"),
    [
        ("kunde,ware\n1,2\n3,4\n", ["1", "3"], [2, 3]),  # numbers below
        ("kunde,ware\n1,b\n3,d\n", ["1", "3"], [2, 3]),
        ("member_code,movie\na,b\n", ["a"], [2]),
        ("ware,customer\na,b\n", ["b"], [2]),
        ("film,kunde\na,b\n", ["b"], [2]),
        ("ann,david\nbob,eve\n", ["ann", "bob"], [1, 2]),  # "david" ends like userid
        ("ann,242\n1,2\n3,4\n", ["ann", "1", "3"], [1, 2, 3]),
        ("7,8\n", ["7"], [1]),
        ("\n\n7,8\n\n9,10\n", ["7", "9"], [3, 5]),
        ('7,"a\nb"\n9,"c ""d"""\n', ["7", "9"], [1, 3]),
        ("user,item\n", [], []),
        ("7,8", ["7"], [1]),
    ],
)
def test_a_header_is_told_from_a_pair(tmp_path, text, users, lines):
    pairs = read_pairs(written(tmp_path, text))
    assert (pairs.users, pairs.lines) == (users, lines)
    assert len(pairs.items) == len(users)


def test_other_encodings_and_packed_files(tmp_path):
    text = "user,item\nZoë,Amélie\n"
    for encoding in ("utf-8-sig", "utf-16"):
        assert read_pairs(written(tmp_path, text, encoding)).items == ["Amélie"]
    packed = tmp_path / "pairs.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_pairs(packed).users == ["Zoë"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty. It should have one pair"),
        (" \n\n", "is empty. It should have one pair"),
        ("1\n2\n", "no separator gives two fields in each line. The first line is '1'."),
        ("1,2\n3,4\n5\n", ":3: 1 fields, where 2 were expected"),
        ("1,2\n3,4\n5,6,7\n", ":3: 3 fields, where 2 were expected"),
        ("user,item\n1,2\n,4\n", ":3: the user is missing"),
        ('user,item\n1,2\n3," "\n', ":3: the item is missing"),
        ('1,2\n3,"4\n5,6\n', ":2: unexpected end of data. Is a quote left open?"),
        ('1,2\n3,"4\n5,6\n7,"8\n', ":2: ',' expected after '\"'. Is a quote left open?"),
        ("user,genre,year\n1,2,3\n", ": no column for the item; the header has user, genre"),
        ("user,film,movie\n1,2,3\n", ": 'film' and 'movie' may both be the item"),
    ],
)
def test_a_file_that_is_no_list_of_pairs(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as refused:
        read_pairs(path)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)


def test_an_id_that_is_not_utf_8_is_named(tmp_path):
    path = written(tmp_path, "user,item\nann,1\nZoë,2\n", "latin-1")
    with pytest.raises(DataError, match=r":3: the user 'Zo\ufffd' is not UTF-8 text"):
        read_pairs(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read: No such file"):
        read_pairs(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_pairs(tmp_path)
