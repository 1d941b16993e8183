"""`python -m ddp.predict`: the predictions of a saved model as CSV."""

import csv
import os

import numpy as np
import pytest
from some_model import ITEM_IDS, TEXT_IDS, TITLES, options, some_ratings, some_vector

from ddp.results.saved_model import load_model, save_model

STRANGE = np.array(["\rx", '"', "a\nb", "a,b", "b\x1b[2J", "é"])


def pairs_file(tmp_path, *lines):
    path = tmp_path / "pairs.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("n", [1, 2, 50, None])
@pytest.mark.parametrize("user", ["3", "020", "100.0", "1000"])
def test_the_best_items_of_a_user(predict, saved, user, n):
    (header, *rows), said = predict(saved, "--user", user, *([] if n is None else ["--top", n]))
    assert header == ["item", "title", "prediction"]
    wanted = load_model(saved).top_items(user, n=n or 10)
    assert [(int(item), title, float(number)) for item, title, number in rows] == [
        (item, title, pytest.approx(number, rel=1e-6)) for item, title, number in wanted
    ]
    assert said == ""


def test_without_titles_there_is_no_such_column(predict, tmp_path):
    save_model(tmp_path, options(), some_vector(), some_ratings(TEXT_IDS, titles=None))
    (header, *rows), _ = predict(tmp_path, "--user", "Zoë")
    assert header == ["item", "prediction"]
    assert {len(row) for row in rows} == {2}


def test_an_unknown_user_gets_the_best_items_for_any(predict, saved):
    (_, *rows), said = predict(saved, "--user", "-5", "--top", "2")
    assert [int(row[0]) for row in rows] == [
        item for item, *_ in load_model(saved).top_items(-5, 2)
    ]
    assert said.startswith("note: user -5 is not in the data that the model was trained on; ")
    assert said.count("\n") == 1
    _, said = predict(saved, "--user", "-5", "--unknown", "error", code=2)
    assert said == "error: user -5 is not in the data that the model was trained on\n"


def test_pairs_keep_their_order_and_their_spelling(predict, saved, tmp_path):
    lines = ["3,7", " 020,3000", '"1000","11.0"', "3,7", "5,7", "100,x", "nobody,nothing"]
    path = pairs_file(tmp_path, "userId,movieId", *lines)
    (header, *rows), said = predict(saved, "--pairs", path)
    assert header == ["user", "item", "prediction"]
    ids = list(csv.reader(lines))
    assert [row[:2] for row in rows] == ids
    wanted = load_model(saved).predict(*zip(*ids, strict=True))
    assert [np.float32(row[2]) for row in rows] == wanted.tolist()
    assert said == (
        f"note: 3 of 7 pairs have an unknown user or item, the first in {path}:6: user 5\n"
    )
    _, said = predict(saved, "--pairs", path, "--unknown", "error", code=2)
    assert said == (f"error: {path}:6: user 5 is not in the data that the model was trained on\n")


def test_known_pairs_need_no_note(predict, saved, tmp_path):
    rows, said = predict(saved, "--pairs", pairs_file(tmp_path, "3,7"), "--unknown=error")
    assert (len(rows), said) == (2, "")


def test_no_sign_of_an_id_or_a_title_breaks_the_csv(programs, tmp_path):
    titles = np.array([f"{text}!" for text in STRANGE[1:]])
    save_model(tmp_path, options(), some_vector(), some_ratings(STRANGE[:4], STRANGE[1:], titles))
    path, output = tmp_path / "pairs.csv", tmp_path / "output.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(zip(STRANGE, STRANGE, strict=True))

    def predicted(*arguments):
        done = programs.run(
            "-m", "ddp.predict", tmp_path, *arguments, "--output", output, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        with output.open(newline="", encoding="utf-8") as file:
            return [row[:2] for row in list(csv.reader(file))[1:]]

    assert predicted("--pairs", path) == [[text, text] for text in STRANGE]
    best = predicted("--user", "nobody")
    assert sorted(best) == sorted([text, f"{text}!"] for text in STRANGE[1:])


def test_messages_escape_what_moves_a_cursor(predict, saved):
    _, said = predict(saved, "--user", "\x1b[2J")
    assert said.startswith("note: user \\x1b[2J is not")


def test_the_output_may_be_a_file(programs, saved, tmp_path):
    shown = programs.run("-m", "ddp.predict", saved, "--user", "3", cwd=tmp_path)
    path = tmp_path / "new" / "top.csv"
    done = programs.run("-m", "ddp.predict", saved, "--user", 3, "--output", path, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.read_text(encoding="utf-8") == shown.stdout
    # a failure leaves it as it was
    refused = programs.run(
        "-m", "ddp.predict", saved, "--user", 4, "--unknown=error", "--output", path, cwd=tmp_path
    )
    assert refused.returncode == 2
    assert path.read_text(encoding="utf-8") == shown.stdout
    assert [file.name for file in path.parent.iterdir()] == ["top.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--user", "3"], "error: nowhere holds no complete model"),
        ([".", "--user", "3"], "error: . holds no complete model"),
        (["RUN", "--user", "3", "--top", "0"], "--top 0: must be at least 1"),
        (["RUN", "--user", "3", "--top", "-1"], "--top -1: must be at least 1"),
        (["RUN", "--user", "3", "--top", "some"], "invalid int value: 'some'"),
        (["RUN", "--user", "3", "--unknown", "guess"], "choose from"),
        (["RUN", "--user", "3", "--pairs", "f"], "not allowed with argument --user"),
        (["RUN", "--pairs", "f", "--top", "3"], "--top goes with --user"),
        (["RUN"], "one of the arguments --user --pairs is required"),
        (["RUN", "--pairs", "nowhere.csv"], "error: nowhere.csv: cannot be read: No such file"),
        (["RUN", "--pairs", "RUN"], "is a folder"),
        (["RUN", "--pairs", os.devnull], f"error: {os.devnull}: is empty"),
        (["RUN", "--user", "3", "--output", "RUN"], "choose another place with --output FILE"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_named(programs, saved, tmp_path, arguments, message):
    given = [str(saved) if argument == "RUN" else argument for argument in arguments]
    (tmp_path / "elsewhere").mkdir()
    done = programs.run("-m", "ddp.predict", *given, cwd=tmp_path / "elsewhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("output", ["closed pipe", "full disk"])
def test_an_output_that_takes_nothing(programs, saved, output):
    if output == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open("/dev/full", os.O_WRONLY)
    done = programs.start("-m", "ddp.predict", saved, "--user", "3", cwd=saved, stdout=writing)
    os.close(writing)
    with done.stderr:
        said = done.stderr.read()
    done.wait()
    wanted = {"closed pipe": (0, ""), "full disk": (2, "error: standard output: No space left")}
    assert done.returncode == wanted[output][0]
    assert said.startswith(wanted[output][1])
    assert said.count("\n") == bool(said)


def test_the_command_needs_neither_torch_nor_pandas(light_programs, saved, tmp_path):
    path = pairs_file(tmp_path, *(f"3,{item}" for item in ITEM_IDS))
    done = light_programs.run(
        "-m",
        "ddp.predict",
        saved,
        "--pairs",
        path,
        cwd=tmp_path,
        without=["torch", "pandas", "rich"],
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1 + len(TITLES)
