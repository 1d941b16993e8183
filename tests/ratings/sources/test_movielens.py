"""The format of every set of MovieLens: its ratings, its titles and its bad lines."""

import hashlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from composing import composed
from movielens_sets import U_DATA, config, left_over, write_zip

from ddp.errors import DataError
from ddp.experiment import train
from ddp.launch.composed import load_config
from ddp.ratings.load import load_ratings
from ddp.ratings.sources.movielens import load
from ddp.ratings.sources.sets import SETS
from ddp.workers.prepare import prepare

ONE_ROUND = ("backend=serial", "rounds=1", "local_epochs=1", "reference=false")


def test_local_file_with_other_content_is_an_error_and_stays(tmp_path):
    path = tmp_path / "ml-100k/u.data"
    path.parent.mkdir()
    path.write_bytes(U_DATA)
    with pytest.raises(
        DataError, match=r"u\.data: is not the published file: its SHA-256 is .*Delete it"
    ):
        load_ratings(config(tmp_path), seed=0)
    assert path.read_bytes() == U_DATA


CSV_RATINGS = "userId,movieId,rating,timestamp\n3,500,0.5,100\n1,20,4.5,101\n"
CSV_MOVIES = (
    'movieId,title,genres\n20,"Comma, The (1990)",Drama\n'
    "77,Unrated (2000),Drama\n500,L\xfan (1991),War\n"
)


@pytest.mark.parametrize("name", ["ml1m", "ml_latest_small", "ml25m", "ml32m"])
def test_formats_from_download_to_ratings(tmp_path, server, name):
    folder = SETS[name].folder
    if name == "ml1m":
        files = {"ratings.dat": b"3::500::1::100\n1::20::5::101\n"}
        files["movies.dat"] = (
            "20::Comma, The (1990)::Drama\n77::Unrated: (2000)::Drama\n500::L\xfan"
            " (1991)::War\n".encode("latin-1")
        )
    else:
        files = {"ratings.csv": CSV_RATINGS.encode(), "movies.csv": CSV_MOVIES.encode()}
    body = write_zip(
        tmp_path / "made.zip", {f"{folder}/{file}": content for file, content in files.items()}
    )
    source = SETS[name].sources[0]
    assert source.url == f"https://files.grouplens.org/datasets/movielens/{folder}.zip"
    known = replace(
        SETS[name], sources=(replace(source, url=server.serve(f"/{folder}.zip", body)),)
    )
    ratings = load(config(tmp_path / "root", name), known)
    assert ratings.name == name
    assert ratings.user_ids[ratings.users].tolist() == [3, 1]
    assert ratings.item_ids[ratings.items].tolist() == [500, 20]
    assert ratings.ratings.tolist() == ([1, 5] if name == "ml1m" else [0.5, 4.5])
    assert ratings.timestamps.tolist() == [100, 101]
    assert ratings.titles.tolist() == ["Comma, The (1990)", "L\xfan (1991)"]
    assert (ratings.rating_min, ratings.rating_max) == (1 if name == "ml1m" else 0.5, 5)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("ml1m", "1::21::6::101", "rating 6 is outside the scale 1 to 5"),
        ("ml1m", "1::21::5:101", "line cut short: 3 fields"),
        ("ml1m", "1::21::5", "line cut short: 3 fields"),
        ("ml_latest_small", "1,21,0,101", "rating 0 is outside the scale 0.5 to 5"),
        ("ml_latest_small", "x1,21,3,101", "user 'x1' is not a whole number"),
        ("ml_latest_small", "1.0,21,3,101", "user '1.0' is not a whole number"),
        ("ml_latest_small", "1,21,3,1\0", "a NUL character is in it. Is the file damaged\\?"),
        ("ml_latest_small", "1,20,3,101", "user 1, item 20: already rated in .*:3"),
    ],
)
def test_bad_line_in_a_local_set(tmp_path, name, line, message):
    known = SETS[name]
    start = "3::500::1::100\n1::20::5::101\n" if name == "ml1m" else CSV_RATINGS
    path = tmp_path / known.folder / known.ratings_file
    path.parent.mkdir()
    path.write_text(start + line + "\n")
    number = start.count("\n") + 1
    with pytest.raises(DataError, match=rf"{path.name}:{number}: {message}") as caught:
        load_ratings(config(tmp_path, name), seed=0)
    assert "data.duplicates" not in str(caught.value)
    assert left_over(path.parent) == [path.name]


def test_set_without_titles_and_with_bad_titles(tmp_path):
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("3::500::1::100\n")
    assert load_ratings(config(tmp_path, "ml1m"), seed=0).titles is None
    (folder / "movies.dat").write_text("500::Fine::War\nbroken\n")
    with pytest.raises(DataError, match=r"movies\.dat:2: "):
        load_ratings(config(tmp_path, "ml1m"), seed=0)


@pytest.fixture(scope="module")
def real_ml100k(tmp_path_factory):
    """A root with the real set.

    Needs a source of `data=ml100k`, as a fresh machine does: GroupLens or a package index.
    """
    root = tmp_path_factory.mktemp("real")
    load_ratings(config(root), seed=0)
    return root


def test_the_real_ml100k_by_the_real_index(real_ml100k):
    (real_ml100k / "ml-100k/ratings.npz").unlink()
    ratings = load_ratings(config(real_ml100k), seed=0)
    assert (len(ratings), ratings.num_users, ratings.num_items) == (100_000, 943, 1682)
    counts = [0, 6110, 11370, 27145, 34174, 21201]
    assert np.bincount(ratings.ratings.astype(int)).tolist() == counts
    assert ratings.titles[0] == "Toy Story (1995)"
    again = load_ratings(config(real_ml100k), seed=0)
    assert np.array_equal(again.items, ratings.items)


def test_a_canonical_fold_has_the_bits_of_the_published_file(real_ml100k):
    lines = (real_ml100k / "ml-100k/u.data").read_bytes().splitlines(keepends=True)[:20_000]
    lines.sort(key=lambda line: [int(field) for field in line.split(b"\t")[:2]])
    published = b"".join(lines)
    assert hashlib.md5(published).hexdigest() == "62d5d837e7c8e36550cc956b09c2ecc8"
    (real_ml100k / "u1.test").write_bytes(published)
    states = []
    for chosen in ("split.fold=1", "split.fold=2", f"split.test_file={real_ml100k}/u1.test"):
        run = load_config(composed(f"data.root={real_ml100k}", chosen, *ONE_ROUND))
        ratings = load_ratings(run.data, run.data_seed, run.split.test_file)
        (done,) = train(prepare(run, ratings))
        states.append((done.state.vector.tobytes(), done.row.valid.mse, done.row.test.mse))
    assert states[0] == states[2]
    assert states[0][0] != states[1][0]


def test_cached_load_imports_neither_pandas_nor_a_network_client(tmp_path):
    import subprocess

    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("3::500::1::100\n")
    load_ratings(config(tmp_path, "ml1m"), seed=0)
    program = (
        "import sys; from dataclasses import replace\n"
        "from ddp.config.defaults import default_option; from ddp.ratings.load import"
        " load_ratings\n"
        f"load_ratings(replace(default_option('data', 'ml1m'), root={str(tmp_path)!r}), 0)\n"
        "print([name for name in ('pandas', 'torch', 'urllib.request') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
