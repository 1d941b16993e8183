"""Configs from the files in conf/, as Hydra composes them, in a tenth of the time.

For each config Hydra reads and merges all files anew. Here it composes each option of a group once;
its own code then applies the other overrides.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType

from ddp.config.defaults import brought_by
from ddp.config.options import OPTIONS

CONF = Path(__file__).parent.parent / "conf"


def by_hydra(*overrides, hydra=False):
    """`hydra`: with the settings of Hydra itself."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=hydra)


once = cache(by_hydra)


@cache
def parse(override):
    """The parsed override, kept because Hydra takes a millisecond to parse one."""
    (parsed,) = OverridesParser.create().parse_overrides([override])
    return parsed


def composed(*overrides):
    """The same as `by_hydra(*overrides)`."""
    chosen, others = {}, []
    for parsed in map(parse, overrides):
        if "." in parsed.key_or_group:
            others.append(parsed)
        elif (
            parsed.type is not OverrideType.CHANGE
            or parsed.package is not None
            or parsed.key_or_group == "tracker"  # its options stand beside each other
        ):
            return by_hydra(*overrides)
        elif parsed.key_or_group not in OPTIONS and parsed.key_or_group in once():
            others.append(parsed)
        elif parsed.key_or_group in OPTIONS and isinstance(parsed.value(), str):
            option = parsed.value()
            known = option in OPTIONS[parsed.key_or_group]
            if known and brought_by(parsed.key_or_group, option).scalars:
                return by_hydra(*overrides)
            chosen[parsed.key_or_group] = option
        else:  # a named experiment, or a mistake
            return by_hydra(*overrides)
    config = deepcopy(once())
    for group, option in chosen.items():
        config[group] = deepcopy(once(f"{group}={option}")[group])
    ConfigLoaderImpl._apply_overrides_to_config(others, config)
    return config
