"""Options that the tests compose once, against those that Hydra composes."""

import pytest
from composing import by_hydra, composed
from hydra.errors import HydraException
from omegaconf import OmegaConf
from setting_cases import ACCEPTED, REFUSED

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
    return repr(OmegaConf.to_container(config)), OmegaConf.is_struct(
        config
    )  # as text: nan differs from nan


@pytest.mark.parametrize("cases", [ODD, pytest.param(EVERY_CASE, marks=pytest.mark.slow)])
def test_options_that_are_composed_once_give_what_hydra_composes_of_them(subtests, cases):
    for overrides in cases:
        with subtests.test(overrides=overrides):
            assert tree_or_refusal(composed, overrides) == tree_or_refusal(by_hydra, overrides)
