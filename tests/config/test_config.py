"""The options of conf/, and the plain dataclasses that they become."""

import dataclasses
import pickle
import pwd
import types
import typing

import pytest
from composed_configs import COMPANIONS, EVERY_OPTION, NAMED, config_of, names_in
from composing import CONF, composed
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from ddp.config.backend import SerialBackend
from ddp.config.data import CsvData
from ddp.config.defaults import default_config, default_option, read_option
from ddp.config.options import OPTIONS
from ddp.config.schema import Scalars
from ddp.errors import ConfigError
from ddp.launch.composed import OF_THE_LAUNCH, load_config

TAKEN = {"auto": "stratified"}  # with aggregation=none


def test_the_folders_of_conf_are_the_groups():
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {*OPTIONS, *NAMED, "tracker"}


def test_the_files_of_a_group_are_its_options(subtests):
    for group in OPTIONS:
        with subtests.test(group=group):
            assert names_in(group) == sorted(OPTIONS[group])


def test_every_option_composes_to_its_dataclass_with_the_values_of_its_files(subtests):
    for group, option in EVERY_OPTION:
        with subtests.test(group=group, option=option):
            tree = composed(f"{group}={option}", *COMPANIONS.get((group, option), ()))
            chosen = getattr(load_config(tree), group)
            assert type(chosen) is OPTIONS[group][option]
            assert {*tree[group]} == {field.name for field in dataclasses.fields(chosen)}
            expected = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
            bases = [name for name in expected.pop("defaults", ()) if isinstance(name, str)]
            expected = expected.get(group, expected)  # a file of the whole configuration
            for base in (name for name in bases if name != "_self_"):
                path = CONF / group / f"{base.removesuffix('@_here_')}.yaml"
                expected = OmegaConf.to_container(OmegaConf.load(path)) | expected
            expected |= {"path": "ratings.csv"} if option == "csv" else {}
            expected |= {"name": TAKEN.get(option, option)}
            assert dataclasses.asdict(chosen) == expected


def test_the_defaults_that_are_read_without_hydra_are_those_of_a_run(subtests):
    assert default_config() == config_of()
    for group, option in EVERY_OPTION:
        companions = COMPANIONS.get((group, option), ())
        with subtests.test(group=group, option=option):
            if ("data", option) == (group, "csv"):
                assert read_option(CONF / "data" / "csv.yaml").keys() == {
                    field.name for field in dataclasses.fields(CsvData)
                }
            else:
                config = config_of(f"{group}={option}", *companions)
                expected = default_option(group, TAKEN.get(option, option))
                assert expected == getattr(config, group)


def test_what_options_have_in_common_is_no_option():
    for group in OPTIONS:
        for base in (CONF / group / "base").glob("*.yaml"):
            with pytest.raises(MissingConfigException) as refusal:
                composed(f"{group}=nothing")
            assert all(option in str(refusal.value) for option in OPTIONS[group])
            assert "base" not in str(refusal.value)
            with pytest.raises(ConfigError, match=rf"^{group}=null: choose one of"):
                load_config(composed(f"{group}=base/{base.stem}"))


def test_every_value_has_exactly_the_type_that_the_schema_says(subtests):
    for group, option in EVERY_OPTION:
        with subtests.test(group=group, option=option):
            config = config_of(f"{group}={option}", *COMPANIONS.get((group, option), ()))
            for holder in (config, getattr(config, group)):
                hints = typing.get_type_hints(type(holder))
                for name in (field.name for field in dataclasses.fields(holder)):
                    hint = hints[name]
                    if dataclasses.is_dataclass(value := getattr(holder, name)):
                        continue
                    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
                    assert type(value) in {typing.get_origin(kind) or kind for kind in kinds}, (
                        name,
                        value,
                    )


def test_the_scalars_of_a_plain_run_are_those_of_config_yaml():
    raw = OmegaConf.load(CONF / "config.yaml")
    config = config_of()
    chosen = {
        next(iter(entry)): next(iter(entry.values()))
        for entry in raw.defaults
        if not isinstance(entry, str)
    }
    for name in raw:
        if name not in ("defaults", "hydra", *OF_THE_LAUNCH):
            assert getattr(config, name) == raw[name], name
    assert {field.name for field in dataclasses.fields(Scalars)} == {*raw} - {
        "defaults",
        "hydra",
        *OF_THE_LAUNCH,
    }
    for group in OPTIONS:
        assert getattr(config, group).name == TAKEN.get(chosen[group], chosen[group])


PLAIN = (int, float, str, bool, type(None))


def all_values(node):
    if dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            yield from all_values(getattr(node, field.name))
    elif type(node) in (list, dict):
        for value in node.values() if type(node) is dict else node:
            yield from all_values(value)
    else:
        yield node


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("data=csv", "data.paths=[a.csv,b.csv]", "workers=2", "split=files", "aggregation=rows"),
        ("split=dirichlet", "aggregation=softmax_loss"),
        ("tracker=[tensorboard,mlflow]", "+tracker.mine={_target_:a.B,sizes:[1,2]}"),
    ],
    ids=str,
)
def test_nothing_of_omegaconf_is_left_in_a_config(overrides):
    config = config_of(*overrides)
    values = list(all_values(config))
    assert len(values) > 20
    assert [value for value in values if type(value) not in PLAIN] == []
    pickled = pickle.dumps(config)
    assert b"omegaconf" not in pickled
    assert b"hydra" not in pickled
    assert pickle.loads(pickled) == config


def test_a_list_of_files_is_a_list():
    data = config_of("data=csv", "data.paths=[a.csv,b.csv]").data
    assert isinstance(data, CsvData)
    assert type(data.paths) is list
    assert data.paths == ["a.csv", "b.csv"]


def test_a_misspelt_attribute_is_refused(subtests):
    for holder in ("", "backend", "data", "split", "model", "trainer", "aggregation"):
        with subtests.test(holder=holder):
            config = config_of()
            with pytest.raises(AttributeError):
                (getattr(config, holder) if holder else config).num_worker = 3


def test_the_fixture_gives_what_it_says(make_config):
    config = make_config("backend=serial")
    assert isinstance(config.backend, SerialBackend)
    assert (
        config.workers,
        config.rounds,
        config.local_epochs,
        config.tracker,
        config.display,
    ) == (3, 2, 2, {}, "none")
    assert (config.data.num_users, config.data.num_items, config.data.num_ratings) == (60, 40, 1200)
    assert config.model.name == "tiny"


def test_a_number_for_a_name_stays_text_and_a_whole_number_for_a_float_becomes_one():
    config = config_of("agg_timeout=7", "data=csv", "data.path=7", "data.user=3", "data.item='4'")
    assert type(config.agg_timeout) is float
    assert config.data.path == "7"
    assert (config.data.user, config.data.item) == (3, "4")


@pytest.mark.parametrize(
    ("overrides", "group", "key"),
    [
        ((), "data", "root"),
        (("data=csv", "data.path=a"), "data", "path"),
        (("data=csv", "data.path=a"), "data", "cache"),
        (("backend=shm",), "backend", "directory"),
        (("split.holdout=files", "split.test_file=a"), "split", "test_file"),
    ],
)
def test_a_path_keeps_the_home_directory_in_the_place_of_a_tilde(
    monkeypatch, overrides, group, key
):
    monkeypatch.setenv("HOME", "/home/me")
    config = composed(*overrides)
    for written, kept in {
        "~": "/home/me",
        "~/a b/=c.csv": "/home/me/a b/=c.csv",
        "./~/a": "./~/a",
        "a~": "a~",
        "~no such user/a": "~no such user/a",
        "~root/a": f"{pwd.getpwnam('root').pw_dir}/a",
    }.items():
        config[group][key] = written
        assert getattr(getattr(load_config(config), group), key) == kept


def test_each_of_several_paths_does(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    data = load_config(composed("data=csv", "data.paths=['~/a.csv',b.csv]")).data
    assert data.paths == ["/home/me/a.csv", "b.csv"]
