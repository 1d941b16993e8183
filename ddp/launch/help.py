"""`python train.py --help`: a line on every group, option and scalar, read from conf/."""

from pathlib import Path

from ddp.config.defaults import CONF, brought_by, read_option
from ddp.config.options import OPTIONS

COLUMN = 26  # where the descriptions begin

USAGE = """\
python train.py [group=option ...] [key=value ...]      one run
python train.py -m key=value1,value2 group=a,b ...      a sweep: every combination
python train.py sweep=NAME                              a sweep that has a name
python train.py advise=true [...]                       predicts the fastest backend; runs nothing
python train.py inspect=true [...]                      describes the ratings; runs nothing
python train.py --cfg job [...]                         shows the configuration; runs nothing
python train.py --hydra-help                            shows all flags; they may stand anywhere
tensorboard --logdir outputs                            shows the charts of all runs
python -m ddp.results outputs                           one table of all runs
python -m ddp.report outputs                            one page about all runs
"""


def help_text(conf: Path = CONF) -> str:
    """The whole help text."""
    groups, scalars = _defaults(conf / "config.yaml")
    lines = [USAGE, "Groups (group=option)", *groups, "", "Scalars (key=value)", *scalars, ""]
    lines += ["Options of each group (conf/GROUP/OPTION.yaml describes the settings)", ""]
    for group in sorted(path for path in conf.iterdir() if path.is_dir()):
        lines.append(f"{group.name}=")
        for option in sorted(group.glob("*.yaml")):
            lines.append(f"  {option.stem:<{COLUMN}}{_first_comment(option)}")
            named = group.name in ("experiment", "sweep")
            settings = "" if named else _settings(_package(group.name, option), option)
            if settings:
                lines.append(f"  {'':<{COLUMN}}  {settings}")
            if brings := _brings(group.name, option):
                lines.append(f"  {'':<{COLUMN}}  brings {brings}")
        lines.append("")
    return "\n".join(lines)


def _defaults(path: Path) -> tuple[list[str], list[str]]:
    """Lines of the help from the `key: value  # comment` lines of config.yaml: groups, and scalars.

    The list `defaults` holds the groups. A scalar inside another key is shown as outer.key.
    """
    groups: list[str] = []
    scalars: list[str] = []
    outer = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, colon, rest = line.replace("  - ", "  ", 1).partition(":")
        value, _, comment = (text.strip() for text in rest.partition("#"))
        if not line.startswith(" "):
            outer = key
        inner = key.strip()
        name = f"{outer}.{inner}" if line.startswith(" ") and outer != "defaults" else inner
        if colon and value and outer != "hydra" and inner.isidentifier():
            lines = groups if outer == "defaults" else scalars
            lines.append(f"  {f'{name}={value} ':<{COLUMN}}{comment}")
    return groups, scalars


def _first_comment(path: Path) -> str:
    comments = [
        line.lstrip("# ")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    ]
    return next((comment for comment in comments if not comment.startswith("@package")), "")


def _package(group: str, option: Path) -> str:
    """The key below which the settings of an option stand."""
    return f"{group}.{option.stem}" if group == "tracker" else group


def _settings(package: str, path: Path) -> str:
    return "  ".join(
        f"{package}.{key}={_shown(value)}"
        for key, value in read_option(path).items()
        if key != "name"
    )


def _brings(group: str, path: Path) -> str:
    """The settings outside of its group that an option brings with it."""
    if group not in OPTIONS or path.parent.parent != CONF:
        return ""
    brought = brought_by(group, path.stem)
    values = brought.options | {
        f"{other}.{key}": value
        for other, settings in brought.settings.items()
        for key, value in settings.items()
    }
    return "  ".join(f"{key}={_shown(value)}" for key, value in (values | brought.scalars).items())


def _shown(value: object) -> str:
    """The text to type on the command line for this value."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
