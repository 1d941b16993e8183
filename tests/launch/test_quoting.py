"""Texts come through Hydra's grammar, and through a shell, as they were."""

import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ddp.config.command import quoted
from ddp.launch.quoting import requoted, sign_quoted, text_of, tilde_quoted, typed

SPECIAL = "\\'\"${}[]()=,:~#!&*?;| \n\tü@-+%a1./"
# OmegaConf reads ??? as a value that is missing, in quotes too
TEXTS = st.text(alphabet=SPECIAL, min_size=1, max_size=10).filter(lambda text: text != "???")
FILES = (
    *("/tmp/a=b.csv", "runs/workers=2,lr=0.1/0", "a#b", "a!b", "a&b;c", "(1).csv", "x(1).csv"),
    *("{a}", "a{1}", "[a].csv", "it's", 'say "no"', "ü.csv", "価.csv", "`a`", "a\\'b#", "$(a)"),
    *("~/a(1).csv", "a=", "^a", "<a>"),
)


def read(argument: str) -> object:
    """The value that the argument gives to a setting, by Hydra and OmegaConf."""
    (override,) = OverridesParser.create().parse_overrides([argument])
    config = OmegaConf.create({"resume": None})
    OmegaConf.update(config, "resume", override.value())
    return OmegaConf.to_container(config, resolve=True)["resume"]


def pasted(text: str) -> list[str]:
    """The arguments that bash reads in the text."""
    shown = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {text}"], capture_output=True, text=True, check=True
    )
    return shown.stdout.split("\0")[:-1]


@given(text=TEXTS)
def test_a_quoted_text_is_itself_again(text):
    assert read(f"resume={quoted(text)}") == text
    assert text_of(f"resume={quoted(text)}") == text


@given(texts=st.lists(TEXTS, max_size=3))
def test_quoted_texts_are_themselves_in_a_list(texts):
    assert read(f"resume={quoted(texts)}") == texts


@settings(max_examples=40)
@given(text=st.one_of(TEXTS.map(lambda text: f"/{text}"), st.sampled_from(FILES)))
def test_a_typed_text_comes_through_a_shell(text):
    (argument,) = pasted(typed("resume", text))
    assert text_of(argument) == text
    (argument,) = pasted(typed("data.path", text))
    assert read(argument) == text


@pytest.mark.parametrize(
    "text",
    [
        *("/home/me/outputs/2026-11-26/18-03-07-461123", "a_b-1.2@3%+x"),
        *("sweeps/a/0_backend=process,workers=5", "0,1", "a=1"),
    ],
)
def test_a_plain_directory_is_typed_without_quotes(text):
    assert typed("resume", text) == f"resume={text}"
    assert text_of(f"resume={text}") == text


@pytest.mark.parametrize("text", FILES)
def test_the_hint_about_a_text_that_hydra_refuses_gives_that_text(text):
    with pytest.raises(HydraException):
        read(f"resume={text}")
    (argument,) = pasted(requoted(f"resume={text}", several=False))
    assert read(argument) == text


def test_the_hint_about_a_list_quotes_each_element_that_needs_it():
    assert (
        requoted("data.paths=[/a=1.csv, 'b,c', d e]", several=False)
        == "\"data.paths=['/a=1.csv','b,c',d e]\""
    )


def test_the_hint_about_a_sweep_keeps_its_values_apart():
    assert requoted("-x.y=a=1,b", several=True) is None
    assert requoted("data.path=/a=1.csv,/b.csv", several=True) == "\"data.path='/a=1.csv',/b.csv\""
    assert requoted("data.path=/a=1,b.csv", several=False) == "\"data.path='/a=1,b.csv'\""


@pytest.mark.parametrize("argument", ["workers", "workers 3", "wor kers=3", "workers:3", "a b"])
def test_what_is_no_setting_has_no_hint_about_quotes(argument):
    assert requoted(argument, several=False) is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("~/a.csv", "~/a.csv"),
        ("~", "~"),
        ("~me/my files/a=b.csv", "~me/my files/a=b.csv"),
        ("/tmp/a.csv~", "/tmp/a.csv~"),
        ("'~/a.csv'", "~/a.csv"),
        ('"~/a,~/b"', "~/a,~/b"),
        ("[~/a.csv,~/b.csv]", ["~/a.csv", "~/b.csv"]),
        ("[/a.csv, ~/b c.csv , '~/d,~e']", ["/a.csv", "~/b c.csv", "~/d,~e"]),
        ("a.csv", "a.csv"),
        ("", ""),
    ],
)
def test_a_tilde_needs_no_quotes(argument, value):
    assert read(tilde_quoted(f"resume={argument}")) == value


def test_a_tilde_needs_no_quotes_in_a_sweep():
    argument = tilde_quoted("data.path=~/a.csv,/b.csv,'~/c.csv',choice(~/d)")
    assert argument == "data.path='~/a.csv',/b.csv,'~/c.csv',choice('~/d')"


@pytest.mark.parametrize("argument", ["~trainer.lr", "~trainer.lr=0.1", "workers=3", "workers"])
def test_an_argument_whose_value_has_no_tilde_stays(argument):
    assert tilde_quoted(argument) == argument


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("resume=outputs/a b", "outputs/a b"),
        ("resume=runs/workers=2,lr=0.1", "runs/workers=2,lr=0.1"),
        ("resume='runs/it\\'s'", "runs/it's"),
        ('resume="runs/it\'s"', "runs/it's"),
        ("resume=7", "7"),
        ("resume=[1]", "[1]"),
        ("++resume=a", "a"),
        ("resume=${oc.env:DIR}/a", "/b/a"),
        ("resume=${nothing}/a", "${nothing}/a"),
    ],
)
def test_a_directory_is_read_with_and_without_quotes(argument, text, monkeypatch):
    monkeypatch.setenv("DIR", "/b")
    assert text_of(argument) == text


@pytest.mark.parametrize("sign", [*",;#|\"'!&*^$"])
def test_a_value_of_one_sign_is_read_as_it_is_typed(sign):
    assert read(sign_quoted(f"data.separator={sign}")) == sign


@pytest.mark.parametrize(
    "argument",
    ["a=1,2", "a=[,]", "a=", "a=','", "-m", "a=b", "a=${b}", "a='#'", "a=::", "a=,,", "a=["],
)
def test_other_values_stay_as_they_are(argument):
    assert sign_quoted(argument) == argument
