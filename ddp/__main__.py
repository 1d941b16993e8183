"""`python -m ddp`: lists the commands."""

import sys

from ddp.config.version import VERSION

COMMANDS = {
    "python train.py": "trains: one run, or a sweep (-m); --help lists every setting",
    "python -m ddp.results": "one table of all runs below a directory",
    "python -m ddp.report": "one page about all runs below a directory",
    "python -m ddp.predict": "predicts with the model of a run: the best items of a user, or pairs",
    "python -m ddp.clean": "lists what no run needs any more, and removes it with --yes",
}


def main() -> int:
    """Prints a line on each command. Gives the exit code: 2 for an argument, which none takes."""
    if sys.argv[1:] == ["--version"]:
        print(f"ddp {VERSION}")
        return 0
    width = max(map(len, COMMANDS))
    lines = [f"{command:{width}}  {what}" for command, what in COMMANDS.items()]
    print("\n".join([*lines, "", "COMMAND --help describes a command and its arguments."]))
    given = [argument for argument in sys.argv[1:] if argument not in ("-h", "--help")]
    if given:
        name = f"python -m ddp.{given[0]}"
        hint = f"write {name}" if name in COMMANDS else "it only lists the commands"
        print(f"error: python -m ddp takes no {given[0]}: {hint}", file=sys.stderr)
    return 2 if given else 0


if __name__ == "__main__":
    sys.exit(main())
