"""The hash of a config."""

import pytest

from ddp.results.record import config_hash


@pytest.mark.parametrize(
    "overrides",
    [("seed=0", "backend=thread"), ("agg_timeout=100.0",), ("model=tiny", "model.dim=8")],
)
def test_what_was_told_the_same_has_the_same_hash(make_config, overrides):
    assert config_hash(make_config(*overrides)) == config_hash(make_config())


def test_every_difference_changes_the_hash(make_config):
    overrides = [
        "seed=1",
        "workers=2",
        "agg_timeout=7",
        "display=lines",
        "backend=process",
        "backend.poll_interval_s=0.2",
    ]
    overrides += [
        "model.dim=9",
        "trainer.lr=0.5",
        "aggregation=uniform",
        "split.valid_fraction=0.1",
        "split=user",
        "split.seed=0",
    ]
    hashes = {
        config_hash(make_config(*one)) for one in [(), *((override,) for override in overrides)]
    }
    assert len(hashes) == len(overrides) + 1
