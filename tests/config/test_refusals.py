"""The values that the schema refuses, the messages of refusals, and the ends of ranges."""

import multiprocessing

import pytest
from composed_configs import config_of
from composing import composed
from omegaconf import OmegaConf
from setting_cases import ACCEPTED, REFUSED
from type_cases import CSV

from ddp.config.options import OPTIONS
from ddp.errors import ConfigError, UserError
from ddp.launch.composed import load_config


def test_a_refusal_names_the_key_the_value_and_what_is_allowed(subtests):
    for case in REFUSED:
        with subtests.test(case=case):
            overrides, beginning, *fragments = case
            config = composed(*overrides)
            with pytest.raises(ConfigError) as refusal:
                load_config(config)
            message = str(refusal.value)
            assert message.startswith(beginning)
            assert [fragment for fragment in fragments if fragment not in message] == [], message
            # a UserError ends the command with exit code 2, without a stack trace
            assert isinstance(refusal.value, UserError)


def test_a_setting_of_another_option_is_not_suggested_to_the_one_who_wrote_it():
    with pytest.raises(ConfigError) as refusal:
        config_of("experiment=seed_thread", "backend=serial")
    message = str(refusal.value)
    assert message.startswith("backend.poll_interval_s=0.2:")
    assert "did you mean backend.poll_interval_s" not in message


def test_a_name_that_is_no_name_is_refused(subtests):
    for key in ("[", "a[0]", "", 1, 1.5, True):
        with subtests.test(key=key):
            for group in (None, "model"):
                config = composed()
                # a struct would refuse the name before the schema sees it
                OmegaConf.set_struct(config, False)
                (config if group is None else config[group])[key] = 3
                with pytest.raises(ConfigError, match="there is no such setting"):
                    load_config(config)


@pytest.mark.parametrize(
    ("overrides", "group", "key"),
    [
        ((), "data", "root"),
        (CSV, "data", "path"),
        (CSV, "data", "cache"),
        (("backend=shm",), "backend", "directory"),
        (("split.holdout=files", "split.test_file=a"), "split", "test_file"),
    ],
)
def test_a_file_name_with_a_nul_is_refused(overrides, group, key):
    config = composed(*overrides)
    config[group][key] = "a\0b"
    with pytest.raises(
        ConfigError, match=rf"^{group}\.{key}='a.x00b': a file name cannot hold a NUL"
    ):
        load_config(config)


def test_one_of_several_files_with_a_nul_is_refused():
    config = composed("data=csv", "data.paths=[a,b]")
    config.data.paths = ["a", "b\0"]
    with pytest.raises(ConfigError, match=r"^data\.paths='b.x00': a file name"):
        load_config(config)


def test_a_group_without_a_choice_is_refused(subtests):
    for group in OPTIONS:
        with subtests.test(group=group):
            config = composed()
            config[group] = None
            with pytest.raises(
                ConfigError, match=rf"^{group}=null: choose one of {', '.join(OPTIONS[group])}$"
            ):
                load_config(config)


def test_the_ends_of_every_range_are_accepted(subtests):
    for overrides in ACCEPTED:
        with subtests.test(overrides=overrides):
            config_of(*overrides)


def test_a_platform_without_forkserver_says_so(monkeypatch):
    config = composed("backend=process", "backend.start_method=forkserver")
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(
        ConfigError,
        match=r"^backend.start_method=forkserver: this platform has no such thing; choose one of"
        r" spawn$",
    ):
        load_config(config)
    assert load_config(composed("backend=shm")).backend.chosen_start_method == "spawn"
