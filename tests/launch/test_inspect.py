"""`python train.py inspect=true` describes the ratings, trains nothing and writes nothing."""

import re

import pytest
from jobs import DATA
from programs import TRAIN, own_environment

ESCAPES = "user,item,ra\x1b[31mting\x1b[2J\n"
COLUMNS = ("data=csv", "data.user=0", "data.item=1", "data.rating=2", "data.cache=null")


@pytest.fixture
def ask(light_programs, tmp_path):
    """`ask(*arguments)`: runs the command where torch and matplotlib cannot be imported."""
    (tmp_path / "here").mkdir()

    def ask(*arguments, **environment):
        return light_programs.run(
            TRAIN, *arguments, cwd=tmp_path / "here", without=["torch", "matplotlib"],
            environment=own_environment(tmp_path, **environment),
        )  # fmt: skip

    yield ask
    assert list((tmp_path / "here").iterdir()) == []


def write(path, header="userId,movieId,rating\n", values=(1, 2, 3, 4, 5)):
    """Ten users who have rated each of five items, in turn with one of the values."""
    rows = [f"{n // 5},{n % 5},{values[n % len(values)]}" for n in range(50)]
    path.write_text(header + "\n".join(rows) + "\n")
    return f"data.path={path}"


def test_it_describes_synthetic_ratings(ask):
    done = ask("inspect=true", *DATA)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "data:       1,200 ratings of 60 users for 40 items, 50 % full"
    assert re.fullmatch(
        r"            scale -?[\d.]+ to [\d.]+, mean [\d.]+, no timestamps", lines[1]
    )
    assert len(re.findall(r"^\S+ to \S+ +\d+ +\d+\.\d %", done.stdout, re.MULTILINE)) == 10
    assert {line.split()[0] for line in lines[-6:]} == {
        "fewest",
        "10",
        "median",
        "90",
        "most",
        "with",
    }


def test_it_describes_a_file_of_ratings(ask, tmp_path):
    path = write(tmp_path / "my.csv", values=(1, 2, 3, 5, 5))
    done = ask(*COLUMNS, path, "inspect=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "50 ratings of 10 users for 5 items, 100 % full\n" in done.stdout
    assert "scale 1 to 5, mean 3.2, no timestamps\n" in done.stdout
    shares = re.findall(r"^(\d+) +(\d+) +([\d.]+) %  #+$", done.stdout, re.MULTILINE)
    assert shares == [
        ("1", "10", "20.0"),
        ("2", "10", "20.0"),
        ("3", "10", "20.0"),
        ("5", "20", "40.0"),
    ]
    table = dict(re.findall(r"^(\S.*?)  +(\d+ +\d+)$", done.stdout, re.MULTILINE))
    assert {name: cells.split() for name, cells in table.items()} == {
        "fewest": ["5", "10"], "10 %": ["5", "10"], "median": ["5", "10"], "90 %": ["5", "10"],
        "most": ["5", "10"], "with 1 rating": ["0", "0"],
    }  # fmt: skip


def test_it_counts_the_ratings_of_a_test_file(ask, tmp_path):
    path = write(tmp_path / "all.csv", values=(1, 2, 3, 5))
    header, *rows = (tmp_path / "all.csv").read_text().splitlines()
    for name, part in (("base.csv", rows[::2]), ("test.csv", rows[1::2])):
        (tmp_path / name).write_text("\n".join([header, *part]))
    whole, parts = (
        ask("inspect=true", *COLUMNS, *given)
        for given in (
            (path,),
            (f"data.path={tmp_path}/base.csv", f"split.test_file={tmp_path}/test.csv",
             "split.holdout=files"),
        )
    )  # fmt: skip
    assert "50 ratings of 10 users for 5 items" in parts.stdout
    assert "25 ratings of test.csv" in parts.stdout
    assert parts.stdout.partition("\n\n")[2] == whole.stdout.partition("\n\n")[2] != ""


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([4], "note: all ratings are 4, so there is nothing to learn"),
        ([978_300_760, 978_300_999], "note: the ratings reach 978,300,992: the rating and"),
        ([-1, 1, 2, 3, 4, 5], "set data.not_rated=[-1]"),
        ([1, 2, 3, 4, 5, 99], "set data.not_rated=[99]"),
    ],
)  # fmt: skip
def test_ratings_that_look_wrong_get_a_note(ask, tmp_path, values, note):
    done = ask("inspect=true", *COLUMNS, write(tmp_path / "odd.csv", values=values))
    assert done.returncode == 0
    assert note in done.stdout


def test_no_control_character_of_the_file_is_shown(ask, tmp_path):
    write(tmp_path / "esc\x1b[1m.csv", header=ESCAPES)
    option = f"data.path='{tmp_path}/esc\x1b[1m.csv'"
    for rating in ("data.rating=2", "data.rating=stars"):
        done = ask("inspect=true", "data=csv", "data.user=user", "data.item=item", rating,
                   option, "data.cache=null")  # fmt: skip
        assert not re.search(r"[^\n -~]", done.stdout + done.stderr)
    assert done.returncode == 2
    assert r"ra\x1b[31mting\x1b[2J" in done.stderr


@pytest.mark.parametrize("width", [40, 80])
def test_it_fits_the_terminal(ask, tmp_path, width):
    done = ask("inspect=true", *DATA, COLUMNS=str(width))
    assert max(map(len, done.stdout.splitlines()[2:])) <= width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inspect=perhaps",), "inspect=perhaps: expected true or false"),
        (("inspect=true", "advise=true"), "advise=true: cannot go with inspect=true"),
        (("inspect=true", "-m", "seed=1,2"), "inspect=true: describes the ratings of one"),
        (("inspect=true", "advise=true", "-m", "seed=1,2"), "cannot go with inspect=true"),
        (("inspect=true", "data=csv", "data.path=nowhere.csv"), "nowhere.csv: there is no such"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (("inspect=true", "sweep=workers"), "inspect=true: describes the ratings of one"),
                (("inspect=1", "-m", "seed=1,2"), "inspect=1: expected true or false"),
                (("inspect=true", "workers=0"), "workers=0: "),
                (("inspect=true", "simulate.cores=2"), "nothing is simulated without advise=true"),
                (("inspekt=true",), "did you mean inspect"),
            )
        ),
    ],
)
def test_a_mistake_is_one_message(ask, arguments, message):
    done = ask(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_says_the_same_before_it_trains(train, ask, tmp_path):
    path = write(tmp_path / "odd.csv", values=(-1, 1, 2, 3, 4, 5))
    small = ("model=tiny", "workers=1", "rounds=1", "local_epochs=1", "tensorboard=false")
    done = train(tmp_path, *COLUMNS, path, *small, "reference=false", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    before = done.stdout[: done.stdout.index("split:  ")]
    assert before.startswith("data:       50 ratings of 10 users for 5 items")
    assert "note: -1 is the rating of 9 rows (18 %)" in before
    assert ask(*COLUMNS, path, "inspect=true").stdout.startswith(before)
