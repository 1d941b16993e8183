"""The commands that README and docs/ show, and each made small enough for a test to run it."""

import re
import shlex
import sys
from pathlib import Path

from jobs import DATA

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A change to a file, in docs/how-to/extend.md.
STEP = re.compile(
    r"^(?:New|In) `(?P<file>[^`]+)`(?:, (?P<where>after|before) `(?P<text>[^`]+)`"
    r"(?P<inline> in the line)?)?:\n\n```\w+\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(r"(?<!`)`((?:python|make|tensorboard) [^`]+)`(?!`)")
COMMENT = re.compile(r"\s+#\s.*$")
TRAIN = "python train.py"
# Patterns of a command, or parts of the set-up that `make train` does.
# "mlflow", "wandb": their own tests need `make trackers`.
NOT_RUN = (
    "KEY=VALUE",
    "GROUP=OPTION",
    ".venv/bin/activate",
    "tests.bits",
    "submitit_slurm",
    "mlflow",
    "wandb",
)
BARE = re.compile(r"python -m ddp\.(results|report|predict)")  # a name of a command, no command
# a part of a command that its reader fills in -> a file of `prepare` or a run before it
STANDS_FOR = {
    r" \[--.*?\]": "",
    "RUN_DIR": "outputs/run",
    "DATE/TIME": "sweep",
    r"sweep\.dir=DIR": "sweep.dir=outputs/again",
    r"\bDIR(\.\.\.)?(?= |$)": "outputs",
    r"\bFILE\.csv": "pairs.csv",
}
# A small job takes the place of MovieLens 100K, in settings that the command does not give.
SMALL = (*DATA, "rounds=1", "local_epochs=1", "model=tiny", "reference=false")
SEARCH = "hydra.sweeper.n_trials=2"


def commands():
    """(document, command) for each command in a block of bash or in the text, once."""
    found = {}
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for language, block in BLOCK.findall(text):
            if language == "bash":
                for line in block.splitlines():
                    found.setdefault(COMMENT.sub("", line).strip(), path)
        for span in INLINE.findall(BLOCK.sub("", text)):
            found.setdefault(span.replace("\n", " "), path)
    return [
        (str(path.relative_to(ROOT)), command)
        for command, path in found.items()
        if command and not BARE.fullmatch(command) and not any(mark in command for mark in NOT_RUN)
    ]


def python_blocks():
    """(document, code) for each block of Python that uses ddp."""
    return [
        (str(path.relative_to(ROOT)), block)
        for path in DOCUMENTS
        for language, block in BLOCK.findall(path.read_text(encoding="utf-8"))
        if language == "python" and block.startswith("import ddp")
    ]


def small(command, place):
    """The command for a shell in `place`, with a small job and with directories that are there."""
    for sign, name in STANDS_FOR.items():
        command = re.sub(sign, name, command)
    command = command.replace("/tmp/", f"{place}/")
    if command.startswith("tensorboard"):  # it shows what it reads, and ends
        return f"{command} --inspect".replace("tensorboard", "python -m tensorboard.main", 1)
    if TRAIN in command:
        before, _, after = command.partition(TRAIN)
        added = [] if "resume=outputs" in after else [*_small_settings(after)]
        return before + shlex.join(["python", str(ROOT / "train.py"), *added]) + after
    if "python -m benchmarks." in command and "benchmarks.tables" not in command:
        return f"{command} --help"  # it reads the options before
    return command.replace("benchmarks.tables", "benchmarks.tables --check")


def _small_settings(arguments):
    keys = {word.partition("=")[0].strip("'\"") for word in shlex.split(arguments)}
    if not keys & {"--help", "--hydra-help", "-h"}:
        for setting in (*SMALL, *([SEARCH] if "sweeper=optuna" in arguments else [])):
            key = setting.partition("=")[0]
            if key not in keys and not ("data" in keys and key.startswith("data")):
                yield setting


def prepare(place):
    """Files that the commands name, and a `python` in the path."""
    header = "user,movie,stars,when\n"
    rows = [
        (user, item, 1 + (user * item) % 5, 880_000_000 + user * 1000 + item)
        for user in range(186, 216)
        for item in range(242, 304)
        if (user + 3 * item) % 4
    ]

    def write(name, some, text=header):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        lines = (",".join(map(str, row)) + "\n" for row in some)
        (place / name).write_text(text + "".join(lines), encoding="utf-8")

    for name in ("ratings.csv", "a=b (1).csv", "$5 & more.csv", "my.csv"):
        write(name, rows)
    for part, pair in enumerate((("a.csv", "a=1.csv", "u1.base"), ("b.csv", "a=2.csv", "u1.test"))):
        for name in pair:
            write(name, rows[part::2])
    write("pairs.csv", [row[:2] for row in rows[:5]], "user,item\n")
    write("data/ml-100k/u.data", rows, "")
    u_data = place / "data/ml-100k/u.data"
    u_data.write_text(u_data.read_text(encoding="utf-8").replace(",", "\t"), encoding="utf-8")
    own = (ROOT / "docs/how-to/trackers.md").read_text(encoding="utf-8")
    (place / "my_trackers.py").write_text(dict(BLOCK.findall(own))["python"], encoding="utf-8")
    (place / "bin").mkdir()
    (place / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (place / "bin" / "python").chmod(0o755)
