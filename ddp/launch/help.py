"""`python train.py --help`: a line on every group, option and scalar, read from conf/."""

from pathlib import Path

from ddp.config.defaults import CONF, read_option

COLUMN = 24  # where the descriptions begin

USAGE = """\
python train.py [group=option ...] [key=value ...]      one run
python train.py -m key=value1,value2 group=a,b ...      a sweep: every combination
python train.py sweep=NAME                              a sweep that has a name
python train.py advise=true [...]                       predicts the fastest backend; runs nothing
python train.py --cfg job [...]                         shows the configuration; runs nothing
tensorboard --logdir outputs                            shows the charts of all runs
python -m ddp.results outputs                           one table of all runs
python -m ddp.report outputs                            one page about all runs
"""


def help_text(conf: Path = CONF) -> str:
    """The whole help text."""
    lines = [USAGE, "Scalars (key=value)", *_scalars(conf / "config.yaml"), ""]
    for group in sorted(path for path in conf.iterdir() if path.is_dir()):
        lines.append(f"{group.name}=")
        for option in sorted(group.glob("*.yaml")):
            lines.append(f"  {option.stem:<{COLUMN}}{_first_comment(option)}")
            settings = (
                "" if group.name in ("experiment", "sweep") else _settings(group.name, option)
            )
            if settings:
                lines.append(f"  {'':<{COLUMN}}  {settings}")
        lines.append("")
    return "\n".join(lines)


def _scalars(path: Path) -> list[str]:
    """Lines of the help from the `key: value  # comment` lines of config.yaml below its defaults.

    A key inside another one is shown as outer.key.
    """
    lines = []
    outer = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, colon, rest = line.partition(":")
        value, _, comment = (text.strip() for text in rest.partition("#"))
        if not line.startswith(" "):
            outer = key
        name = f"{outer}.{key.strip()}" if line.startswith(" ") else key
        if colon and value and outer not in ("defaults", "hydra") and key.strip().isidentifier():
            lines.append(f"  {f'{name}={value}':<{COLUMN}}{comment}")
    return lines


def _first_comment(path: Path) -> str:
    comments = [
        line.lstrip("# ")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    return next((comment for comment in comments if not comment.startswith("@package")), "")


def _settings(group: str, path: Path) -> str:
    return "  ".join(
        f"{group}.{key}={_shown(value)}"
        for key, value in read_option(path).items()
        if key != "name"
    )


def _shown(value: object) -> str:
    """The way it is typed on the command line."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
