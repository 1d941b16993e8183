"""Ratings of one's own, from the command line to result.json."""

import gzip
import os
import threading

from commands import only_message, read_json
from jobs import TYPED

ROWS = [f"u{user}\t{item}\t{user * item % 5 + 1}" for item in range(10) for user in range(20)]
TEST = [ROWS[row] for row in range(len(ROWS)) if (row // 20 + row) % 4 == 0]
BASE = [row for row in ROWS if row not in TEST]
NOT_RATED = ["u3\t77\t-1", "u4\t77\t-1"]


def piped(train, directory, content: bytes, *arguments: str):
    """The command with the content on its standard input."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return train(directory, *arguments, stdin=reading)
    finally:
        os.close(reading)
        writer.join()


def test_packed_ratings_from_a_pipe_with_a_test_file(train, tmp_path):
    base = gzip.compress("\n".join(BASE + NOT_RATED).encode())
    (tmp_path / "u1.test").write_text("\n".join(TEST))
    job = ("data=csv", "data.path=/dev/stdin", "split.test_file=u1.test", "data.not_rated=[-1]")
    run = piped(train, tmp_path, base, *job, *TYPED, "display=lines", "hydra.run.dir=run")
    assert (run.returncode, run.stderr) == (0, "")
    assert "200 ratings of 20 users for 10 items" in run.stdout
    result = read_json(tmp_path / "run")
    about = result["data"]
    assert (about["num_ratings"], about["num_users"], about["num_items"]) == (200, 20, 10)
    assert about["left_out"] == {"not rated (-1)": 2}
    assert about["format"]["separator"] == ["tab", "recognised"]
    assert "50 ratings of u1.test" in about["format"]["test part"][0]
    assert sum(worker["num_test"] for worker in result["workers"]) == 50
    assert not (tmp_path / "data").exists()


def test_an_empty_pipe(train, tmp_path):
    for content in (b"", gzip.compress(b"")):
        run = piped(train, tmp_path, content, "data=csv", "data.path=/dev/stdin", *TYPED)
        assert "/dev/stdin: is empty" in only_message(run)
