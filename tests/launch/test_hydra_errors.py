"""Errors of Hydra say what to write."""

import sys

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode

from ddp.launch.hydra_errors import composition_message


def message_about(*arguments, mode=RunMode.RUN):
    """The message about arguments that Hydra refuses."""
    with pytest.raises(HydraException) as refusal:
        ConfigLoaderImpl.validate_sweep_overrides_legal(
            OverridesParser.create().parse_overrides(arguments), mode, from_shell=True
        )
    return composition_message(refusal.value)


@pytest.mark.parametrize(
    ("argument", "again"),
    [
        ("data.path=/tmp/a=b.csv", "\"data.path='/tmp/a=b.csv'\""),
        ("data.root=/tmp/a#b", "\"data.root='/tmp/a#b'\""),
        ("data.cache=x(1)", "\"data.cache='x(1)'\""),
        ("data.cache=a(1)/b", "\"data.cache='a(1)/b'\""),
        ("split.test_file=ü.csv", "\"split.test_file='ü.csv'\""),
        ("data.path=a!b", "'data.path=\"a!b\"'"),
        ("data.path=it's", '"data.path=\\"it\'s\\""'),
        ("data.paths=[/a=1,/b]", "\"data.paths=['/a=1',/b]\""),
        ("+data.x={a", "\"+data.x='{a'\""),
    ],
)
def test_a_path_that_hydra_cannot_read_is_shown_in_quotes(argument, again):
    message = message_about(argument)
    assert argument in message
    assert message.endswith(f"\nput a text in quotes within the quotes of your shell: {again}")
    assert "https:" not in message


def test_in_a_sweep_each_value_has_quotes_of_its_own(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--multirun"])
    assert message_about("data.path=/a=1,/b=2").endswith("\"data.path='/a=1','/b=2'\"")


@pytest.mark.parametrize("argument", ["workers", "workers 3", "workers:3"])
def test_what_is_no_setting_is_shown_one(argument):
    message = message_about(argument)
    assert message.endswith("\na setting is written KEY=VALUE, as in workers=3")


@pytest.mark.parametrize(
    ("argument", "as_a_list", "as_a_text"),
    [
        ("workers=1,2", "'workers=[1,2]'", "\"workers='1,2'\""),
        ("data.path=a b,c.csv", "'data.path=[a b,c.csv]'", "\"data.path='a b,c.csv'\""),
    ],
)
def test_several_values_for_one_run_are_a_sweep_a_list_or_a_text(argument, as_a_list, as_a_text):
    message = message_about(argument)
    assert message.startswith(f"{argument}: ")
    assert all(part in message for part in ("-m (--multirun)", as_a_list, as_a_text))


def test_an_error_that_is_not_hydras_has_no_message():
    for error in (ValueError("Only one of"), OSError("a"), KeyError("b")):
        with pytest.raises(type(error)) as raised:
            raise error
        assert composition_message(raised.value) is None
