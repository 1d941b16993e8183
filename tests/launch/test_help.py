"""`--help` comes from conf/ and shows every setting."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from programs import TRAIN

from ddp.config.options import OPTIONS
from ddp.launch.help import USAGE, help_text

ROOT = Path(__file__).parent.parent.parent
CONF = ROOT / "conf"
EVERY_OPTION = [(group, option) for group, options in OPTIONS.items() for option in options]
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
SCALARS = {
    name: value
    for outer, values in yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8")).items()
    if outer not in ("defaults", "hydra")
    for name, value in (
        {f"{outer}.{key}": value for key, value in values.items()}
        if isinstance(values, dict)
        else {outer: values}
    ).items()
}


def section(group: str) -> str:
    """The lines below `group=`, up to the next empty line."""
    return re.search(
        rf"^{group}=\n(.*?)^\n?$(?=\n\S|\Z)", help_text() + "\n", re.MULTILINE | re.DOTALL
    )[1]


def as_written(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(value)}]"
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or type(value) is bool
        else str(value)
    )


def written(path: Path) -> dict:
    """The values in the file of an option, and in the files that it extends.

    A file may give values outside of its group too: then its own stand under the group's name.
    """
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    bases = values.pop("defaults", ())
    if path.parent.name in values:
        return values[path.parent.name]
    for base in bases:
        values = written(path.parent / f"{base.removesuffix('@_here_')}.yaml") | values
    return values


def test_every_scalar_is_there_with_its_value_and_what_it_means(subtests):
    for name, value in SCALARS.items():
        with subtests.test(name=name):
            line = next(line for line in help_text().splitlines() if line.startswith(f"  {name}="))
            inner = f"  {name.partition('.')[2]}:" if "." in name else f"{name}:"
            lines = (CONF / "config.yaml").read_text().splitlines()
            written = next(text for text in lines if text.startswith(inner))
            comment = written.partition("#")[2].strip()
            assert len(comment) > 10
            assert line.startswith(f"  {name}={as_written(value)}")
            assert line.endswith(comment)


def test_a_scalar_stands_apart_from_what_it_means(subtests):
    for name, value in SCALARS.items():
        with subtests.test(name=name):
            assert re.search(
                rf"^  {name}={re.escape(as_written(value))} +\S", help_text(), re.MULTILINE
            )


def test_every_group_and_every_option_is_there_with_its_first_line(subtests):
    for group in GROUPS:
        with subtests.test(group=group):
            shown = section(group)
            for path in (CONF / group).glob("*.yaml"):
                first = next(
                    line.removeprefix("# ")
                    for line in path.read_text().splitlines()
                    if line[0] == "#" and not line.startswith("# @package")
                )
                assert len(first) > 10
                assert re.search(rf"^  {path.stem} +{re.escape(first)}$", shown, re.MULTILINE), path


def test_every_setting_of_an_option_is_there_with_its_value(subtests):
    for group, option in EVERY_OPTION:
        with subtests.test(group=group, option=option):
            _, below = re.split(rf"^  {option} +.*\n", section(group), flags=re.MULTILINE)
            settings = (below.splitlines() or [""])[0]
            # the next option: this one has no settings
            settings = settings if settings.startswith("   ") else ""
            values = written(CONF / group / f"{option}.yaml")
            for name, value in values.items():
                if name != "name":
                    assert re.search(
                        rf"(^| ){group}\.{name}={re.escape(as_written(value))}(  |$)", settings
                    ), (name, settings)
            assert len(re.findall(rf"{group}\.\w+=", settings)) == len(values) - 1


def test_the_settings_of_a_tracker_stand_below_its_name():
    shown = section("tracker")
    assert re.search(r"^ +tracker\.tensorboard\.detail=few$", shown, re.MULTILINE)
    assert re.search(r"^ +tracker\.wandb\.project=ddp  tracker\.wandb\.mode=offline$", shown, re.M)
    assert "  tracker=[tensorboard]" in help_text()


def test_no_line_ends_in_spaces():
    assert [line for line in help_text().splitlines() if line != line.rstrip()] == []


def test_a_new_option_is_in_the_help_at_once(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "defaults:\n  - _self_\n  - shape: tube  # its form\n\n"
        "workers: 7  # how many\n\nhydra:\n  run: {}\n"
    )
    (tmp_path / "shape").mkdir()
    (tmp_path / "shape" / "round.yaml").write_text(
        "# As a ball.\nname: round\nradius: 1.5\nhollow: false\nlid: null\n"
    )
    (tmp_path / "shape" / "base").mkdir()
    (tmp_path / "shape" / "base" / "ball.yaml").write_text("# Common.\nradius: 2\nseam: none\n")
    (tmp_path / "shape" / "tube.yaml").write_text(
        "# As a pipe.\ndefaults: [base/ball@_here_]\nname: tube\nradius: 3\n"
    )
    text = help_text(tmp_path)
    assert re.search(
        r"^  tube +As a pipe\.\n +shape\.radius=3  shape\.seam=none$", text, re.MULTILINE
    )
    assert "Common" not in text
    assert re.search(r"^  shape=tube +its form$", text, re.MULTILINE)
    assert re.search(r"^  workers=7 +how many$", text, re.MULTILINE)
    assert re.search(
        r"^shape=\n  round +As a ball\.\n +shape\.radius=1\.5  shape\.hollow=false "
        r" shape\.lid=null$",
        text,
        re.MULTILINE,
    )
    assert "hydra" not in text.removeprefix(USAGE)
    assert "backend=" not in text


@pytest.mark.parametrize("arguments", [["-h"], ["workers=3", "--help"]], ids=" ".join)
def test_the_command_prints_it_whatever_else_is_asked(light_programs, arguments, tmp_path):
    # it answers at once
    shown = light_programs.run(TRAIN, *arguments, cwd=tmp_path, without=["torch"])
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, help_text() + "\n", "")
    assert list(tmp_path.iterdir()) == []


def test_the_command_imports_no_torch_for_it(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", TRAIN, "--help"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert shown.stdout == help_text() + "\n"
    assert not re.search(r"\| +torch$", shown.stderr, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_read_enough_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, TRAIN, "--help"],
            cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, b"")
