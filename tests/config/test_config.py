"""The options of conf/, the values that the schema refuses, and the messages of refusals."""

import dataclasses
import itertools
import multiprocessing
import pickle
import types
import typing
from functools import cache

import pytest
from composing import CONF, by_hydra, composed
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf

from ddp.config.backend import ProcessBackend, SerialBackend, ThreadBackend
from ddp.config.data import DUPLICATES, CsvData
from ddp.config.defaults import default_config, default_option, read_option
from ddp.config.options import OPTIONS
from ddp.config.schema import Config, Scalars
from ddp.errors import ConfigError, UserError
from ddp.launch.composed import OF_THE_LAUNCH, load_config

NAMED = ("experiment", "sweep")
EVERY_OPTION = [(group, option) for group, options in OPTIONS.items() for option in options]
# Settings that an option needs: split=files a file per worker, data=csv a file.
COMPANIONS = {
    ("split", "files"): ("data=csv", "data.paths=[a.csv,b.csv]", "workers=2"),
    ("data", "csv"): ("data.path=ratings.csv",),
}


@cache
def config_of(*overrides: str) -> Config:
    return load_config(composed(*overrides))


def names_in(folder: str) -> list[str]:
    return sorted(path.stem for path in (CONF / folder).glob("*.yaml"))


# --- every option, every named diff, every named product ---


def test_the_folders_of_conf_are_the_groups():
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {*OPTIONS, *NAMED}


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
            for base in expected.pop("defaults", ()):
                path = CONF / group / f"{base.removesuffix('@_here_')}.yaml"
                expected = OmegaConf.to_container(OmegaConf.load(path)) | expected
            expected |= {"path": "ratings.csv"} if option == "csv" else {}
            assert dataclasses.asdict(chosen) == expected
            assert chosen.name == option


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
                assert default_option(group, option) == getattr(config, group)


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
        assert getattr(config, group).name == chosen[group]


def test_every_experiment_composes_and_its_first_line_is_its_command(subtests):
    for name in names_in("experiment"):
        with subtests.test(name=name):
            config_of(f"experiment={name}")
            lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
            first = next(line for line in lines if not line.startswith("# @package"))
            assert first.startswith(f"# python train.py experiment={name}: ")


@pytest.mark.parametrize(
    ("name", "backend"), [("seed_thread", ThreadBackend), ("seed_process", ProcessBackend)]
)
def test_the_two_seed_systems(name, backend):
    config = config_of(f"experiment={name}")
    assert type(config.backend) is backend
    assert config.backend.poll_interval_s == 0.2
    assert (config.workers, config.local_epochs) == (5, 10)
    assert (config.split.name, config.aggregation.name) == ("iid", "inverse_loss")
    assert config.select_on == "test"


def test_the_two_seed_systems_differ_in_their_backend_only():
    thread, process = (
        dataclasses.asdict(config_of(f"experiment={name}"))
        for name in ("seed_thread", "seed_process")
    )
    assert thread.pop("backend") == {"name": "thread", "poll_interval_s": 0.2}
    assert process.pop("backend") == {
        "name": "process",
        "poll_interval_s": 0.2,
        "start_method": "spawn",
    }
    assert thread == process


def test_an_experiment_names_an_option_of_every_group_so_that_new_defaults_do_not_change_it(
    subtests,
):
    for name in names_in("experiment"):
        with subtests.test(name=name):
            raw = OmegaConf.load(CONF / "experiment" / f"{name}.yaml")
            assert {
                key.removeprefix("override /") for entry in raw.defaults for key in entry
            } == set(OPTIONS)


def test_the_command_line_wins_over_an_experiment():
    config = config_of(
        "experiment=seed_thread", "workers=2", "model=tiny", "backend.poll_interval_s=null"
    )
    assert (config.workers, config.model.name, config.backend.poll_interval_s) == (2, "tiny", None)


@pytest.mark.parametrize("name", names_in("sweep"))
def test_every_job_of_every_sweep_is_a_valid_config(name):
    hydra = by_hydra(f"sweep={name}", hydra=True).hydra
    assert hydra.mode.name == "MULTIRUN"
    values = {key: str(listed).split(",") for key, listed in hydra.sweeper.params.items()}
    assert any(len(options) > 1 for options in values.values())
    jobs = [
        config_of(
            f"sweep={name}", *(f"{key}={value}" for key, value in zip(values, product, strict=True))
        )
        for product in itertools.product(*values.values())
    ]
    assert len({repr(job) for job in jobs}) == len(jobs)


def test_the_sweep_over_backends_holds_every_backend():
    params = by_hydra("sweep=backends", hydra=True).hydra.sweeper.params
    assert set(params.backend.split(",")) == set(OPTIONS["backend"])


def test_the_sweep_over_aggregations_holds_every_way_to_average_states():
    params = by_hydra("sweep=aggregations", hydra=True).hydra.sweeper.params
    assert {*params.aggregation.split(","), "ensemble"} == set(OPTIONS["aggregation"])


# --- plain dataclasses ---

PLAIN = (int, float, str, bool, type(None))


def all_values(node):
    if dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            yield from all_values(getattr(node, field.name))
    elif type(node) is list:
        for value in node:
            yield from all_values(value)
    else:
        yield node


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("data=csv", "data.paths=[a.csv,b.csv]", "workers=2", "split=files"),
        ("split=dirichlet",),
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
        config.tensorboard,
        config.display,
    ) == (3, 2, 2, False, "none")
    assert (config.data.num_users, config.data.num_items, config.data.num_ratings) == (60, 40, 1200)
    assert config.model.name == "tiny"


# --- what is refused ---

CSV = ("data=csv", "data.path=a.csv")
SYNTHETIC = ("data=synthetic",)
WHOLE = "whole number of at least"
FINITE = "finite number"

REFUSED = [
    # scalars
    (("workers=0",), "workers=0:", f"{WHOLE} 1"),
    (("workers=-2",), "workers=-2:", f"{WHOLE} 1"),
    (("rounds=0",), "rounds=0:", f"{WHOLE} 1"),
    (("local_epochs=0",), "local_epochs=0:", f"{WHOLE} 1"),
    (("torch_threads=0",), "torch_threads=0:", f"{WHOLE} 1"),
    (("seed=-1",), "seed=-1:", f"{WHOLE} 0"),
    (("select_on=best",), "select_on=best:", "valid, test, last"),
    (("display=loud",), "display=loud:", "auto, bars, lines, none"),
    (("torch_threads=100000",), "torch_threads=100000:", "at most 1024"),
    (("agg_timeout=0",), "agg_timeout=0:", f"{FINITE} above 0 and below 2e+06"),
    (("agg_timeout=inf",), "agg_timeout=inf:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=-1",), "round_timeout=-1:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=3e6",), "round_timeout=3e+06:", f"{FINITE} above 0 and below 2e+06"),
    (("round_timeout=nan",), "round_timeout=nan:", f"{FINITE} above 0 and below 2e+06"),
    # backend
    (
        ("backend=thread", "backend.poll_interval_s=0"),
        "backend.poll_interval_s=0:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.poll_interval_s=-1"),
        "backend.poll_interval_s=-1:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.poll_interval_s=inf"),
        "backend.poll_interval_s=inf:",
        f"{FINITE} above 0",
    ),
    (
        ("backend=process", "backend.start_method=fork"),
        "backend.start_method=fork:",
        "may hang",
        "choose one of spawn, forkserver",
    ),
    (
        ("backend=process", "backend.start_method=null"),
        "backend.start_method=null:",
        "expected str",
    ),
    (
        ("backend=shm", "backend.start_method=fork"),
        "backend.start_method=fork:",
        "may hang",
        "choose one of spawn, forkserver",
    ),
    (
        ("backend=shm", "backend.start_method=foo"),
        "backend.start_method=foo:",
        "choose one of spawn, forkserver",
    ),
    # data
    (("data=ml1m", "data.connect_timeout_s=0"), "data.connect_timeout_s=0:", f"{FINITE} above 0"),
    (("data=csv",), "data.path=null:", "data.path=FILE", "data.paths=[FILE,...]"),
    ((*CSV, "data.paths=[b.csv]"), "data.path=a.csv:", "either", "data.paths=[FILE,...]"),
    (("data=csv", "data.paths=[]"), "data.paths=[]:", "at least one file"),
    ((*CSV, "data.separator=ab"), "data.separator='ab':", "one character", "'::'"),
    ((*CSV, "data.separator=''"), "data.separator='':", "one character"),
    ((*CSV, "data.duplicates=first"), "data.duplicates=first:", "error, last, mean"),
    ((*CSV, "data.header=false"), "data.user=userId:", "data.header=true", "position"),
    (
        (*CSV, "data.header=false", "data.user=0", "data.item=1"),
        "data.rating=rating:",
        "data.header=true",
    ),
    ((*CSV, "data.timestamp=-1"), "data.timestamp=-1:", "count from 0"),
    (
        (*CSV, "data.item=userId"),
        "data.user=userId:",
        "different columns",
        "['userId', 'userId', 'rating']",
    ),
    ((*CSV, "data.timestamp=rating"), "data.user=userId:", "different columns"),
    ((*CSV, "data.rating_min=nan"), "data.rating_min=nan:", FINITE),
    ((*CSV, "data.rating_max=inf"), "data.rating_max=inf:", FINITE),
    (
        (*CSV, "data.rating_min=5", "data.rating_max=5"),
        "data.rating_min=5:",
        "below data.rating_max=5",
    ),
    ((*SYNTHETIC, "data.num_users=0"), "data.num_users=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.num_items=0"), "data.num_items=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.num_ratings=0"), "data.num_ratings=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.rank=0"), "data.rank=0:", f"{WHOLE} 1"),
    ((*SYNTHETIC, "data.noise_std=-0.1"), "data.noise_std=-0.1:", f"{FINITE} of at least 0"),
    ((*SYNTHETIC, "data.popularity=-1"), "data.popularity=-1:", f"{FINITE} of at least 0"),
    (
        (*SYNTHETIC, "data.num_users=60", "data.num_items=40", "data.num_ratings=1201"),
        "data.num_ratings=1201:",
        "half",
        "2,400",
    ),
    # split
    (("split.holdout=some",), "split.holdout=some:", "random, user, time, files"),
    (("split.test_fraction=0",), "split.test_fraction=0:", "above 0 and below 1"),
    (("split.test_fraction=1",), "split.test_fraction=1:", "above 0 and below 1"),
    (("split.valid_fraction=-0.1",), "split.valid_fraction=-0.1:", "of at least 0 and below 1"),
    (("split.valid_fraction=1",), "split.valid_fraction=1:", "of at least 0 and below 1"),
    (
        ("split.holdout=files",),
        "split.test_file=null:",
        "split.holdout=files",
        "split.test_file=FILE",
    ),
    (("split.test_file=t.csv",), "split.test_file=t.csv:", "split.holdout=files"),
    (("split=dirichlet", "split.alpha=0"), "split.alpha=0:", f"{FINITE} above 0"),
    (("split=dirichlet", "split.test_fraction=2"), "split.test_fraction=2:", "below 1"),
    # model, trainer, aggregation
    (("model.dim=0",), "model.dim=0:", f"{WHOLE} 1"),
    (("model.init_std=0",), "model.init_std=0:", f"{FINITE} above 0"),
    (("trainer=autograd", "trainer.optimizer=rmsprop"), "trainer.optimizer=rmsprop:", "adam, sgd"),
    (("trainer.lr=0",), "trainer.lr=0:", f"{FINITE} above 0"),
    (("trainer.lr=nan",), "trainer.lr=nan:", f"{FINITE} above 0"),
    (
        ("trainer=autograd", "trainer.weight_decay=-1e-9"),
        "trainer.weight_decay=-1e-09:",
        f"{FINITE} of at least 0",
    ),
    (("trainer=autograd", "trainer.batch_size=0"), "trainer.batch_size=0:", f"{WHOLE} 1"),
    (("trainer.lr_decay=0",), "trainer.lr_decay=0:", f"{FINITE} above 0"),
    (("trainer.reg_factors=-1",), "trainer.reg_factors=-1:", f"{FINITE} of at least 0"),
    (("trainer.reg_biases=inf",), "trainer.reg_biases=inf:", f"{FINITE} of at least 0"),
    (("aggregation.outer=sgd",), "aggregation.outer=sgd:", "none, momentum, nesterov, adam"),
    (("aggregation.outer_lr=0",), "aggregation.outer_lr=0:", f"{FINITE} above 0"),
    (("aggregation.outer_beta1=1",), "aggregation.outer_beta1=1:", "below 1"),
    (("aggregation.outer_beta2=-1",), "aggregation.outer_beta2=-1:", "of at least 0"),
    (("aggregation.outer_tau=0",), "aggregation.outer_tau=0:", f"{FINITE} above 0"),
    (("aggregation.power=-1",), "aggregation.power=-1:", "at least 0"),
    (("reference=maybe",), "reference=maybe:", "auto, true, false"),
    (
        ("aggregation=softmax_loss", "aggregation.temperature=0"),
        "aggregation.temperature=0:",
        f"{FINITE} above 0",
    ),
    # two settings that do not go together
    (("split=files",), "split=files:", "data=csv", "workers=5", "files: none"),
    ((*CSV, "split=files", "workers=1"), "split=files:", "data.paths", "files: none"),
    (
        ("data=csv", "data.paths=[a,b]", "split=files", "workers=3"),
        "split=files:",
        "workers=3",
        "files: 2",
    ),
    ((*SYNTHETIC, "split=time"), "data=synthetic:", "no timestamps", "split=time"),
    ((*SYNTHETIC, "split.holdout=time"), "data=synthetic:", "no timestamps", "split.holdout=time"),
    ((*CSV, "split=time"), "data=csv:", "no timestamps", "data.timestamp"),
    (
        ("split=iid", "split.valid_fraction=0"),
        "split.valid_fraction=0:",
        "select_on=valid",
        "above 0",
    ),
    (
        ("split=iid", "split.valid_fraction=0", "select_on=last", "aggregation=inverse_loss"),
        "split.valid_fraction=0:",
        "aggregation=inverse_loss",
        "above 0",
    ),
    (
        ("split=iid", "split.valid_fraction=0", "select_on=last", "aggregation=softmax_loss"),
        "split.valid_fraction=0:",
        "aggregation=softmax_loss",
    ),
    # types
    (("workers=two",), "workers=two:", "expected int"),
    (("workers=2.5",), "workers=2.5:", "expected int"),
    (("rounds=[1]",), "rounds=[1]:", "expected int"),
    (("seed=null",), "seed=null:", "expected int"),
    (("agg_timeout=soon",), "agg_timeout=soon:", "expected float"),
    (("tensorboard=maybe",), "tensorboard=maybe:", "expected bool"),
    (("trainer.lr=fast",), "trainer.lr=fast:", "expected float"),
    (("trainer=autograd", "trainer.batch_size=1.5"), "trainer.batch_size=1.5:", "expected int"),
    (("model.biases=some",), "model.biases=some:", "expected bool"),
    (("backend.poll_interval_s=often",), "backend.poll_interval_s=often:", "expected float | None"),
    (("data=csv", "data.paths=a.csv"), "data.paths=a.csv:", "expected list[str] | None"),
    ((*CSV, "data.user=null"), "data.user=null:", "expected int | str"),
    (("display=null",), "display=null:", "expected str"),
    (("~workers",), "workers:", "is not set", "int"),
    (("~model.dim",), "model.dim:", "is not set", "int"),
    # names that nothing reads
    (("+worker=3",), "worker=3:", "no such setting", "did you mean workers"),
    (("+backend.num_worker=3",), "backend.num_worker=3:", "no such setting", "--help"),
    (("+model.dims=3",), "model.dims=3:", "no such setting", "model.dim"),
    (
        ("backend=serial", "+backend.poll_interval_s=1"),
        "backend.poll_interval_s=1:",
        "no such setting",
    ),
    (("+split.alpha=1",), "split.alpha=1:", "no such setting"),
    (("+qqqqqqq=1",), "qqqqqqq=1:", "known here: workers, rounds", "groups backend, data"),
    # what OmegaConf cannot resolve
    (("workers=${nothing}",), "workers: cannot be resolved:", "'nothing' not found"),
    (("data.root=${oc.env:DDP_NOTHING}",), "data.root: cannot be resolved:", "DDP_NOTHING"),
    ((*CSV, r"data.encoding='a\${b}'"), "data.encoding: cannot be resolved:", "'b' not found"),
    (("+more=${b}",), "more: cannot be resolved:", "'b' not found"),
    # numbers that no float can hold
    ((f"agg_timeout=1{'0' * 400}",), "agg_timeout=1000", "expected float"),
    # groups
    (("backend.name=foo",), "backend=foo:", ", ".join(OPTIONS["backend"])),
    (("trainer.name=foo",), "trainer=foo:", f"choose one of {', '.join(OPTIONS['trainer'])}"),
    (("~backend",), "backend=null:", ", ".join(OPTIONS["backend"])),
    (("~aggregation",), "aggregation=null:", ", ".join(OPTIONS["aggregation"])),
    (("~split.name",), "split=null:", ", ".join(OPTIONS["split"])),
]


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
            # which ends with exit code 2, and no stack trace
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
                # else it would look like an override that Hydra refuses
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


ACCEPTED = [
    ("workers=1", "rounds=1", "local_epochs=1", "torch_threads=1", "seed=0"),
    ("backend.poll_interval_s=1e-6",),
    ("backend=process", "backend.poll_interval_s=null"),
    ("backend=process", "backend.start_method=forkserver"),
    *(
        ("backend=shm", f"backend.start_method={method}")
        for method in ("spawn", "forkserver", "null")
    ),
    ("backend=shm", "backend.directory=somewhere"),
    ("split.valid_fraction=0",),  # split=stratified selects nothing
    ("split=iid", "split.valid_fraction=0", "select_on=test"),
    ("split.valid_fraction=0", "select_on=test", "aggregation=softmax_loss"),
    ("split.valid_fraction=0", "select_on=last", "aggregation=uniform"),
    ("split.valid_fraction=0", "select_on=last", "aggregation=samples"),
    ("split.holdout=files", "split.test_file=test.csv"),
    # exactly half
    ("data=synthetic", "data.num_users=60", "data.num_items=40", "data.num_ratings=1200"),
    # half of nine, rounded down
    ("data=synthetic", "data.num_users=3", "data.num_items=3", "data.num_ratings=4"),
    ("data=synthetic", "data.noise_std=0", "data.popularity=0", "data.rank=1"),
    ("trainer.lr_decay=2", "trainer.reg_factors=0", "trainer.reg_biases=0"),
    ("trainer=autograd", "trainer.optimizer=sgd", "trainer.weight_decay=0", "trainer.batch_size=1"),
    (*CSV, "data.timestamp=time", "split=time", "split.holdout=time"),
    (*CSV, "data.header=false", "data.user=0", "data.item=1", "data.rating=2", "data.timestamp=3"),
    (*CSV, "data.user=0", "data.item=2"),  # positions are allowed with a header too
    (*CSV, "data.separator='::'", "data.cache=null", "data.rating_min=-10", "data.rating_max=10"),
    *((*CSV, f"data.duplicates={name}") for name in DUPLICATES),
    ("data=ml1m", "split=time", "split.holdout=time"),
]


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


def test_a_number_for_a_name_stays_text_and_a_whole_number_for_a_float_becomes_one():
    config = config_of("agg_timeout=7", "data=csv", "data.path=7", "data.user=3", "data.item='4'")
    assert type(config.agg_timeout) is float
    assert config.data.path == "7"
    assert (config.data.user, config.data.item) == (3, "4")


# --- how the tests compose ---

ODD = [
    ("backend=serial", "backend=thread"),
    ("backend.poll_interval_s=1", "workers=2", "backend=thread"),
    ("experiment=seed_thread", "workers=2"),
    ("++workers=3",),
    ("backend=foo",),
    ("backend=null",),
    ("nothing=1",),
    ("data.path=x",),
    ("workers={a: 1}",),
]
EVERY_CASE = [*(overrides for overrides, *_ in REFUSED), *ACCEPTED]


def tree_or_refusal(compose, overrides):
    try:
        config = compose(*overrides)
    except (HydraException, ValueError) as refusal:
        return type(refusal), str(refusal)
    return repr(OmegaConf.to_container(config)), OmegaConf.is_struct(config)  # nan != nan


@pytest.mark.parametrize("cases", [ODD, pytest.param(EVERY_CASE, marks=pytest.mark.slow)])
def test_options_that_are_composed_once_give_what_hydra_composes_of_them(subtests, cases):
    for overrides in cases:
        with subtests.test(overrides=overrides):
            assert tree_or_refusal(composed, overrides) == tree_or_refusal(by_hydra, overrides)
