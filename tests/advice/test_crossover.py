"""The crossovers of advice: where another backend becomes the fastest."""

import pytest
from machines import constants

from ddp.advice.crossover import Crossovers, Stretch, along, find_crossovers, in_words
from ddp.advice.prediction import predict
from ddp.advice.sizes import sizes_of
from ddp.ratings.load import load_ratings


def test_a_crossover_is_found_to_three_per_cent():
    stretches = along(1, 10_000, lambda value: "a" if value < 357 else "b")
    assert [stretch.fastest for stretch in stretches] == ["a", "b"]
    assert stretches[0].first == 1
    assert stretches[1].last == 10_000
    assert stretches[1].first == stretches[0].last + 1
    assert 357 <= stretches[1].first <= 357 * 1.03


def test_there_may_be_none_and_there_may_be_two():
    assert along(1, 100, lambda value: "a") == [Stretch(fastest="a", first=1, last=100)]
    names = [
        stretch.fastest
        for stretch in along(1, 10_000, lambda value: "a" if value < 10 or value > 1000 else "b")
    ]
    assert names == ["a", "b", "a"]


def test_there_may_be_a_third_one_between_two_points():
    # the search looks at 1000 and at 3162
    stretches = along(
        1, 10_000, lambda value: "a" if value < 1000 else "b" if value < 1400 else "c"
    )
    assert [stretch.fastest for stretch in stretches] == ["a", "b", "c"]
    assert stretches[1].first == pytest.approx(1000, rel=0.03)
    assert stretches[2].first == pytest.approx(1400, rel=0.03)


def test_what_is_asked_lies_in_the_range(make_config):
    asked = make_config(
        "trainer=autograd", "trainer.batch_size=100000", "model.dim=2000", "local_epochs=20000"
    )
    for crossover in find_crossovers(asked, lambda _: "a"):
        assert crossover.stretches[0].first <= crossover.asked <= crossover.stretches[-1].last


def test_a_batch_has_a_crossover_only_where_there_are_batches(make_config):
    keys = [
        [c.key for c in find_crossovers(make_config(f"trainer={name}"), lambda _: "a")]
        for name in ("fused", "autograd")
    ]
    assert keys == [
        ["model.dim", "local_epochs"],
        ["trainer.batch_size", "model.dim", "local_epochs"],
    ]


def test_crossovers_follow_what_is_varied(make_config):
    config = make_config("trainer=autograd")
    found = find_crossovers(
        config,
        lambda varied: "thread" if varied.local_epochs > 50 and varied.model.dim < 100 else "shm",
    )
    by_key = {
        crossover.key: [stretch.fastest for stretch in crossover.stretches] for crossover in found
    }
    assert by_key == {
        "trainer.batch_size": ["shm"],
        "model.dim": ["shm"],
        "local_epochs": ["shm", "thread"],
    }


def test_in_words():
    two = [
        Stretch(fastest="thread", first=1, last=19),
        Stretch(fastest="shm", first=20, last=10_000),
    ]
    one = [Stretch(fastest="thread", first=1, last=10_000)]
    said = in_words(
        [Crossovers(key="x", asked=5, stretches=two), Crossovers(key="y", asked=5, stretches=one)]
    )
    assert said == [
        "x: thread up to 19, shm from 20 on (asked: 5)",
        "y: thread anywhere from 1 to 10,000 (asked: 5)",
    ]


def test_start_up_decides_short_jobs_and_work_decides_long_ones(make_config):
    config = make_config("trainer=autograd", "workers=2", "trainer.batch_size=64")
    sizes = sizes_of(config, load_ratings(config.data, config.data_seed))

    def fastest(varied):
        return min(
            (
                predict(make_config(*varied, f"backend={name}"), sizes, constants("adam"))
                for name in ("thread", "process")
            ),
            key=lambda prediction: prediction.wall_s,
        ).backend

    assert (
        fastest(("trainer=autograd", "workers=2", "trainer.batch_size=64", "local_epochs=1"))
        == "thread"
    )
    assert (
        fastest(("trainer=autograd", "workers=2", "trainer.batch_size=64", "local_epochs=1000"))
        == "process"
    )
