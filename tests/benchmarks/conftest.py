"""A fixture that runs a benchmark and checks its file."""

import json
import shlex
import subprocess
import sys

import pytest
from small_runs import REPOSITORY


@pytest.fixture
def benchmark(tmp_path):
    """`benchmark(name, *arguments)`: runs it; gives its rows by their labels, and its output."""

    def run(name, *arguments):
        output = tmp_path / "deeper" / f"{name}.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", "--output", str(output), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document = json.loads(output.read_text(encoding="utf-8"))
        assert document["benchmark"] == name
        assert document["command"] == shlex.join(["python", *command[1:]])
        assert document["machine"]["cores"] > 0
        assert "torch" in document["machine"]["versions"]
        for row in document["rows"]:
            for figure in row["figures"].values():
                assert len(figure["values"]) == document["repeats"]
                assert (
                    min(figure["values"])
                    == figure["low"]
                    <= figure["median"]
                    <= figure["high"]
                    == max(figure["values"])
                )
        return document["rows"], done.stdout

    return run
