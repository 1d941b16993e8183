"""data.user_features=own: that which each MovieLens set tells of its users and films."""

from dataclasses import replace

import numpy as np
import pytest
from movielens_sets import RB_HEADER, U_DATA, config, left_over, small_set, write_wheel, write_zip

from ddp.errors import DataError
from ddp.ratings.load import load_ratings
from ddp.ratings.sources.sets import SETS

# as GroupLens and RecBole write the same lines
USERS = {
    "u.user": "7|24|M|writer|85711\n9|53|F|other|94043\n8|24|M|other|T8H1N\n5|53|F|writer|0\n",
    "ml-100k.user": (
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "7\t24\tM\twriter\t85711\n9\t53\tF\tother\t94043\n8\t24\tM\tother\tT8H1N\n"
        "5\t53\tF\twriter\t0\n"
    ),
}
FILMS = {
    "u.item": (
        "10|Caf\xe9 (1993)|01-Jan-1993||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "30|Second, The (1994)|02-Feb-1994||http://x|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "4|Unrated (1987)|03-Mar-1987||http://x|0|0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
        "5|unknown|||http://x|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    ),
    "ml-100k.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "10\tCaf\xe9\t1993\tAnimation Children's Comedy\n30\tSecond, The\t1994\tChildren's\n"
        "4\tUnrated\t1987\tChildren's Comedy\n5\tunknown\tunkonwn\tunknown\n"
    ),
}


def written(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        encoding = "utf-8" if name.startswith("ml-100k") or name.endswith("csv") else "latin-1"
        (folder / name).write_text(text, encoding=encoding)


def own(root, name, **features):
    return load_ratings(replace(config(root, name), **features), seed=0)


def entries(features, ids):
    """Name of an attribute -> the ids that have it."""
    edges = zip(features.names, features.starts[:-1], features.starts[1:], strict=True)
    return {name: ids[features.rows[at:end]].tolist() for name, at, end in edges}


@pytest.fixture
def ml100k(monkeypatch):
    """The set without its checksum, and without a place to fetch it from."""
    monkeypatch.setitem(SETS, "ml100k", replace(SETS["ml100k"], sha256=None, sources=()))


@pytest.mark.parametrize("users", USERS)
@pytest.mark.parametrize("films", FILMS)
def test_ml100k_in_both_forms(tmp_path, ml100k, users, films):
    files = {"u.data": U_DATA.decode(), users: USERS[users], films: FILMS[films]}
    written(tmp_path / "ml-100k", files)
    ratings = own(tmp_path, "ml100k", user_features="own", item_features="own")
    assert ratings.user_ids.tolist() == [5, 7, 8, 9]
    assert ratings.item_ids.tolist() == [4, 5, 10, 30]
    assert ratings.user_ids[ratings.users].tolist() == [7, 9, 7]
    assert ratings.item_ids[ratings.items].tolist() == [30, 10, 10]
    titles = ["Unrated (1987)", "unknown", "Caf\xe9 (1993)", "Second, The (1994)"]
    assert ratings.titles.tolist() == titles
    assert entries(ratings.user_features, ratings.user_ids) == {
        "age=24": [7, 8], "age=53": [5, 9], "gender=F": [5, 9], "gender=M": [7, 8],
        "occupation=other": [8, 9], "occupation=writer": [5, 7],
    }  # fmt: skip
    assert entries(ratings.item_features, ratings.item_ids) == {
        "genre=Children's": [4, 10, 30], "genre=Comedy": [4, 10], "decade=1990s": [10, 30],
    }  # fmt: skip
    assert ratings.item_features.values.tolist() == [
        np.float32(0.5**0.5), np.float32(0.5**0.5), 1, np.float32(0.5**0.5),
        np.float32(0.5**0.5), 1, 1,
    ]  # fmt: skip


def test_ml1m(tmp_path):
    files = {
        "ratings.dat": "3::500::1::100\n1::20::5::101\n",
        "users.dat": "1::F::1::10::48067\n3::M::56::16::70072\n9::M::1::10::1\n2::F::56::16::1\n",
        "movies.dat": (
            "20::Comma, The (1990)::Drama|War\n500::L\xfan (Moon) (1994)::War\n"
            "7::Late (2000)::War\n77::Last (2000)::Drama\n"
        ),
    }
    written(tmp_path / "ml-1m", files)
    ratings = own(tmp_path, "ml1m", user_features="own", item_features="own")
    assert ratings.titles.tolist()[:2] == ["Late (2000)", "Comma, The (1990)"]
    assert entries(ratings.user_features, ratings.user_ids) == {
        "gender=F": [1, 2], "gender=M": [3, 9], "age=1": [1, 9], "age=56": [2, 3],
        "occupation=K-12 student": [1, 9], "occupation=self-employed": [2, 3],
    }  # fmt: skip
    assert entries(ratings.item_features, ratings.item_ids) == {
        "genre=Drama": [20, 77], "genre=War": [7, 20, 500], "year=2000": [7, 77],
        "decade=1990s": [20, 500], "decade=2000s": [7, 77],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ml_latest_small", "ml25m", "ml32m"])
def test_newer_sets_tell_of_their_films_only(tmp_path, name):
    files = {
        "ratings.csv": "userId,movieId,rating,timestamp\n3,500,0.5,100\n1,20,4.5,101\n",
        "movies.csv": (
            'movieId,title,genres\n20,"Comma, The (1990)",Drama|War\n77,Odd,(no genres listed)\n'
            '500,L\xfan (1990),"War"\n78,"Odder, (1990-)",(no genres listed)\n'
        ),
    }
    written(tmp_path / SETS[name].folder, files)
    ratings = own(tmp_path, name, item_features="own")
    assert ratings.item_ids.tolist() == [20, 77, 78, 500]
    assert ratings.titles.tolist()[1] == "Odd"
    assert entries(ratings.item_features, ratings.item_ids) == {
        "genre=War": [20, 500], "year=1990": [20, 500], "decade=1990s": [20, 500]
    }  # fmt: skip
    with pytest.raises(DataError, match=f"features=own: data={name} tells nothing of its users"):
        own(tmp_path, name, user_features="own")


def test_files_of_a_set_that_lacks_them_are_fetched(tmp_path, monkeypatch, server, no_index):
    known = small_set(server.url + "/ml-100k.zip")
    monkeypatch.setitem(SETS, "ml100k", known)
    folder = tmp_path / "ml-100k"
    files = {"u.data": U_DATA.decode(), "ml-100k.item": FILMS["ml-100k.item"]}
    written(folder, files)
    before = (folder / "u.data").stat()
    with pytest.raises(DataError) as refused:
        own(tmp_path, "ml100k", user_features="own")
    assert f"{folder / 'u.user'} is not there, and no source gave it:" in str(refused.value)
    assert str(refused.value).endswith("or leave out data.user_features=own.")
    write_wheel(no_index, RB_HEADER + U_DATA)  # which has no ml-100k.user
    with pytest.raises(DataError, match=r"the archive lacks .*ml-100k\.user"):
        own(tmp_path, "ml100k", user_features="own")
    body = write_zip(tmp_path / "made.zip", {"ml-100k/u.user": USERS["u.user"].encode()})
    server.serve("/ml-100k.zip", body)
    ratings = own(tmp_path, "ml100k", user_features="own")
    assert entries(ratings.user_features, ratings.user_ids)["gender=M"] == [7, 8]
    assert left_over(folder) == ["ml-100k.item", "ratings.npz", "u.data", "u.user"]
    assert (folder / "u.data").stat() == before


def test_a_bad_line_of_a_set(tmp_path, ml100k):
    bad = FILMS["u.item"].replace("|0\n4|", "\n4|")  # one mark less
    written(tmp_path / "ml-100k", {"u.data": U_DATA.decode(), "u.item": bad, "u.user": "7|24\n"})
    with pytest.raises(DataError, match=r"u\.item:2: is no line of the published u\.item\. Delete"):
        own(tmp_path, "ml100k", item_features="own")
    with pytest.raises(DataError, match=r"u\.user:1: is no line of the published u\.user"):
        own(tmp_path, "ml100k", user_features="own")


def test_a_file_may_describe_the_users_of_a_set(tmp_path, ml100k):
    written(tmp_path / "ml-100k", {"u.data": U_DATA.decode(), "u.item": FILMS["u.item"]})
    (tmp_path / "more.csv").write_text("film,kind\n10,a\n4,a\n30,b\n")
    ratings = own(tmp_path, "ml100k", item_features=str(tmp_path / "more.csv"))
    assert entries(ratings.item_features, ratings.item_ids) == {"kind=a": [4, 10]}
    titles = ["Unrated (1987)", "Caf\xe9 (1993)", "Second, The (1994)"]
    assert ratings.titles.tolist() == titles
