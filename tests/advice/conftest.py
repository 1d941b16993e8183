"""Configurations with their sizes, each made once."""

from functools import cache

import pytest

from ddp.advice.sizes import sizes_of
from ddp.ratings.load import load_ratings


@pytest.fixture(scope="session")
def of(make_config):
    """`of(*overrides)`: a config and its sizes."""

    @cache
    def make(*overrides):
        config = make_config(*overrides)
        return config, sizes_of(config, load_ratings(config.data, config.data_seed))

    return make
