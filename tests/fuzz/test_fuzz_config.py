"""A config is a `Config` that survives its own config.yaml, or a ConfigError."""

import copy
import dataclasses
import itertools
import json
import math
import types
import typing
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st
from inputs import fuzzed, no_hang
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddp.config.defaults import CONF, read_option
from ddp.config.options import OPTIONS
from ddp.config.schema import Config, settings
from ddp.errors import ConfigError
from ddp.launch.composed import load_config
from ddp.results.run_directory import CONFIG_FILE, run_directory

GROUPS = {
    group: {name: read_option(CONF / group / f"{name}.yaml") for name in OPTIONS[group]}
    for group in OPTIONS
}
SCALARS = {
    key: value
    for key, value in OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml")).items()
    if key not in ("defaults", "hydra")
}
GROUPS["data"]["csv"]["path"] = "ratings.csv"

TEXTS = [
    *("", " ", "???", "null", "none", "true", "auto", "last", "files"),
    *("time", "csv", "shm", "forkserver", "fork", "::", "\\t", "u1.test"),
    *("${seed}", "${nothing}", "${workers}", "${data.name}", "${"),
    *("${oc.env:NOTHING}", "${oc.env:PATH}", "${..a}", "\\${a}", "$a"),
    *(
        "1",
        "1e3",
        "0x1f",
        "-1",
        "inf",
        "nan",
        "1_000",
        "a\0b",
        "\udcff",
        "é\n",
        "a/../b",
        "/",
        "x" * 5000,
        "9" * 5000,
        "{}",
        "[1",
        "%s",
        "*",
    ),
]
NUMBERS = [0, 1, -1, 2, 5, 1023, 1025, 2**31, 2**63, 2**64, 10**400, -(10**400)]
FLOATS = [0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, math.inf, -math.inf, math.nan, 1e6, 3e6]
plain = st.one_of(
    st.sampled_from([None, True, False, b"bytes"]), st.sampled_from(NUMBERS),
    st.sampled_from(FLOATS), st.sampled_from(TEXTS),
    st.integers(-3, 12), st.floats(), st.text(max_size=8),
)  # fmt: skip
values = (
    plain
    | plain
    | st.lists(plain, max_size=3)
    | st.dictionaries(st.text(max_size=4), plain, max_size=2)
)
odd_keys = st.sampled_from(
    [
        *("worker", "a.b", "a[0]", "[", "", ".", "name"),
        *("hydra", "é", "${seed}", 1, 1.5, True, "_target_"),
    ]
)

_KEYS = [(None, key) for key in SCALARS] + [
    (group, key)
    for group, options in GROUPS.items()
    for key in dict.fromkeys(itertools.chain(*options.values()))
]
choices = st.fixed_dictionaries(
    {group: st.sampled_from(list(options)) for group, options in GROUPS.items()}
)
changes = st.lists(
    st.tuples(
        st.sampled_from(_KEYS) | st.tuples(st.none() | st.sampled_from(list(GROUPS)), odd_keys),
        values,
    ),
    max_size=3,
)


def composed(
    chosen: dict[str, str], changed: list, lost: tuple | None, whole: tuple | None
) -> dict:
    """Values that Hydra might compose: an option of every group, some of them changed.

    One may be lost, and one may be a group that is no group.
    """
    tree = copy.deepcopy(SCALARS) | {
        group: copy.deepcopy(GROUPS[group][name]) for group, name in chosen.items()
    }
    for (group, key), value in changed:
        (tree if group is None else tree[group])[key] = value
    if lost is not None:
        group, key = lost
        (tree if group is None else tree[group]).pop(key, None)
    if whole is not None:
        tree[whole[0]] = whole[1]
    return tree


rarely_lost = st.none() | st.none() | st.sampled_from(_KEYS)
rarely_whole = st.none() | st.none() | st.tuples(st.sampled_from(list(GROUPS)), values)


def check_config(config: Config, folder: Path) -> None:
    """Each value has its type, and the config survives its own config.yaml."""
    for holder in (config, *(getattr(config, group) for group in OPTIONS)):
        hints = typing.get_type_hints(type(holder))
        for name in (field.name for field in dataclasses.fields(holder)):
            hint = hints[name]
            if dataclasses.is_dataclass(value := getattr(holder, name)):
                continue
            kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            assert type(value) in {typing.get_origin(kind) or kind for kind in kinds}, (name, value)
            assert not isinstance(value, float) or math.isfinite(value), name
    tree = dataclasses.asdict(config)
    names = [
        tree[group].get(key)
        for group, key in (
            ("data", "root"),
            ("data", "path"),
            ("data", "cache"),
            ("backend", "directory"),
        )
    ]
    assert "\0" not in f"{names} {tree['data'].get('paths')} {tree['split']['test_file']}"
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    with run_directory(config, folder, resume=False):
        pass
    written = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    assert written == tree
    assert json.loads(json.dumps(tree)) == tree
    assert settings(tree)["data"] == config.data.name
    if "$" not in str(tree) and "???" not in str(tree):  # to OmegaConf these are more than text
        assert load_config(OmegaConf.create(written)) == config


@fuzzed()
@given(tree=st.builds(composed, choices, changes, rarely_lost, rarely_whole))
def test_any_values(tmp_path, tree):
    try:
        node = OmegaConf.create(tree)
    except OmegaConfBaseException:  # nor would Hydra compose this
        return
    with no_hang():
        try:
            config = load_config(node)
        except ConfigError:
            return
        check_config(config, tmp_path)
