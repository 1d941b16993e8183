"""split and aggregation go together: split=auto, refused pairs, and configs of earlier versions."""

import dataclasses

import pytest
from composed_configs import config_of

from ddp.config.averaging import in_words
from ddp.config.defaults import default_config
from ddp.config.earlier import as_saved
from ddp.config.options import OPTIONS
from ddp.errors import ConfigError
from ddp.results.run_directory import differences

AVERAGING = sorted({*OPTIONS["aggregation"]} - {"none"})
DEALT = sorted({*OPTIONS["split"]} - {"auto", "stratified", "both", "files"})
SWEEPING = ("gibbs", "als")


def taken(*overrides):
    config = config_of(*overrides)
    return config.split.name, config.aggregation.name


def test_the_split_follows_from_the_aggregation_when_nobody_names_it(subtests):
    assert taken() == ("stratified", "none")
    for name in AVERAGING:
        with subtests.test(aggregation=name):
            assert taken(f"aggregation={name}") == ("iid", name)
            assert taken(f"aggregation={name}", "split.seed=3") == ("iid", name)
            assert default_config(aggregation=name).split.name == "iid"


def test_a_split_that_is_named_stays(subtests):
    for name in DEALT:
        with subtests.test(split=name):
            assert taken(f"split={name}", "aggregation=rows") == (name, "rows")
    assert taken("split=stratified") == ("stratified", "none")


def test_an_experiment_and_a_command_agree():
    assert taken("experiment=seed_thread", "split=auto") == ("iid", "inverse_loss")


def settings_of(command):
    """The settings in one of the commands of a refusal."""
    return command.removeprefix("python train.py ").split()


@pytest.mark.parametrize(
    ("refused", "key", "commands"),
    [
        *(
            (
                ("split=stratified", f"aggregation={name}"),
                f"aggregation={name}",
                (f"split={'copies' if name == 'ensemble' else 'iid'} aggregation={name}",),
            )
            for name in AVERAGING
        ),
        *(
            (
                (f"split={name}",),
                f"split={name}",
                (f"split={name} aggregation={'ensemble' if name == 'copies' else 'rows'}",),
            )
            for name in DEALT
        ),
    ],
    ids=str,
)
def test_a_pair_without_effect_is_refused_with_two_commands_that_work(refused, key, commands):
    with pytest.raises(ConfigError) as refusal:
        config_of(*refused)
    message = str(refusal.value)
    assert message.startswith(f"{key}: ")
    for command in (*commands, "split=stratified aggregation=none"):
        assert f"python train.py {command}" in message
        config_of("data=ml100k", *command.split())


@pytest.mark.parametrize("trainer", SWEEPING)
def test_a_trainer_that_makes_whole_rows_takes_the_split_both(trainer):
    for given in ((), ("split=both",)):
        assert taken(f"trainer={trainer}", *given) == ("both", "none")
        assert default_config(trainer=trainer) == config_of(f"trainer={trainer}")
    for wrong, key in (("split=iid", "split=iid"), ("aggregation=rows", "aggregation=rows")):
        with pytest.raises(ConfigError, match=f"^{key}: .*python train.py trainer={trainer}"):
            config_of(f"trainer={trainer}", wrong)


def test_the_split_both_is_refused_without_such_a_trainer():
    with pytest.raises(ConfigError, match=r"^split=both: .*python train.py trainer=gibbs"):
        config_of("split=both")


def test_none_has_no_settings_that_could_be_without_effect():
    with pytest.raises(ConfigError, match=r"aggregation=.*rows.* does"):
        config_of("+aggregation.outer=momentum")


def test_a_run_says_the_split_that_it_takes():
    for overrides, words in {
        (): "stratified; aggregation=none, because each row",
        ("aggregation=samples",): "iid; aggregation=samples averages the states",
        ("aggregation=ensemble", "split=copies"): "copies; aggregation=ensemble averages the pred",
    }.items():
        config = config_of(*overrides)
        assert in_words(config.split, config.aggregation).startswith(words)


def before(config, **aggregation):
    """The config as versions without `keep` saved it."""
    saved = dataclasses.asdict(config) | {"aggregation": aggregation}
    del saved["keep"]
    return saved


def test_a_stratified_config_of_earlier_is_one_without_an_aggregation():
    config = config_of("keep=last")
    rows = dataclasses.asdict(config_of("aggregation=rows").aggregation)
    for aggregation in (rows, rows | {"outer": "momentum"}, {"name": "ensemble"}):
        saved = before(config, **aggregation)
        assert differences(as_saved(saved), dataclasses.asdict(config)) == []


def test_an_averaged_config_of_earlier_keeps_its_aggregation():
    config = config_of("keep=last", "aggregation=softmax_loss")
    saved = before(config, **dataclasses.asdict(config.aggregation))
    assert as_saved(saved) == dataclasses.asdict(config)


@pytest.mark.parametrize("damaged", [{}, {"split": 3}, {"split": {"name": "stratified"}}])
def test_a_damaged_config_stays_as_it_is(damaged):
    assert as_saved(damaged) == {"keep": "last"} | damaged
