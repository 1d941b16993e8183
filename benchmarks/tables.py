"""The tables of README and docs/, from the figures of benchmarks: `python -m benchmarks.tables`

A benchmark writes its tables into a JSON file. benchmarks/results/ holds the files that the
documents show: `python -m benchmarks.headline --output benchmarks/results/headline.json` measures
one again. This command then writes every table anew between its two marks:

    <!-- table: headline 0 -->
    <!-- /table -->

The name is that of the file, the number that of its table. `turned` after it makes a column of each
line. Below each table stand the benchmark's command, its machine and its date. --check writes
nothing and ends with 1 if a document differs.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ddp.counting import counted

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
BLOCK = re.compile(
    r"(?P<begin><!-- table: (?P<name>[\w.]+) (?P<number>\d+)(?P<turned> turned)? -->\n)"
    r".*?(?P<end><!-- /table -->)",
    re.DOTALL,
)
BUSY = 0.1  # share of the machine; the reader should know of more
# "0.5", "87,000", "+0.002", "-", "", "2.1 (1.9 - 2.3)", "1.04 [0.95 - 1.05]"
FIGURE = re.compile(r"-?|[+-]?[\d.,]+((?: |<br>)[(\[][-+\d. ]+[)\]])?")


def documents(root: Path = ROOT) -> Iterator[Path]:
    """The documents that may hold tables."""
    yield root / "README.md"
    yield from sorted((root / "docs").rglob("*.md"))


def with_tables(text: str, results: Path = RESULTS) -> str:
    """The text of a document with its tables written anew.

    Raises FileNotFoundError for a name without a file, IndexError for a number without a table.
    """

    def written(block: re.Match[str]) -> str:
        path = results / f"{block['name']}.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        table = document["tables"][int(block["number"])]
        lines = [table["header"], *table["cells"]]
        if block["turned"]:
            columns = list(zip(*lines, strict=True))
            # a range below its median, for tables with many columns
            lines = [[cell.replace(" (", "<br>(") for cell in column] for column in columns]
        return f"{block['begin']}\n{markdown(lines)}\n\n{source(document)}\n\n{block['end']}"

    return BLOCK.sub(written, text)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first line is its header. Columns of figures stand on the right."""
    header, *body = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    columns = [[line[number] for line in body] for number in range(len(header))]
    rule = ["---:" if all(map(FIGURE.fullmatch, column)) else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *body))


def source(document: dict[str, Any]) -> str:
    """The line below a table: its command, its machine and its date."""
    machine = document["machine"]
    facts = [f"{counted(machine['cores'], 'core')} ({machine['cpu']})"]
    if "python" in machine:
        facts.append(f"Python {machine['python']}")
    if machine.get("others", 0) > BUSY:
        facts.append(f"other programs used {machine['others']:.0%} of it")
    facts.append(document["date"][:10])
    command = re.sub(r" --(output \S+|markdown)", "", document["command"])
    return f"*`{command}`: {', '.join(facts)}*"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    stale = []
    for path in documents():
        before = path.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            stale.append(str(path.relative_to(ROOT)))
            if not arguments.check:
                path.write_text(after, encoding="utf-8")
    if stale:
        print("differs:" if arguments.check else "written:", *stale)
    sys.exit(1 if stale and arguments.check else 0)


if __name__ == "__main__":
    main()
