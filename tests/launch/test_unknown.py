"""A setting or an option that does not exist: the message names the one that was meant."""

import pytest
from composing import by_hydra
from hydra.errors import ConfigCompositionException

from ddp.launch.hydra_errors import composition_message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "backend=threads",
            "backend=threads: there is no such option; did you mean backend=thread?",
        ),
        ("split=users", "did you mean split=user?"),
        ("experiment=thread", "did you mean experiment=seed_thread"),
        (
            "model=mine",
            "model=mine: there is no such option; there are large, medium, narrow, small, tiny",
        ),
        ("lr=0.1", "lr: there is no such setting; did you mean trainer.lr?"),
        ("dim=8", "dim: there is no such setting; did you mean model.dim?"),
        ("batchsize=8", "did you mean trainer.batch_size?"),
        ("device=cuda", "this is a laboratory of CPUs"),
        ("gpus=1", "this is a laboratory of CPUs"),
        ("aggregation.power=2", "aggregation=rows does"),
    ],
)
def test_the_message_names_what_was_meant(argument, message):
    with pytest.raises(ConfigCompositionException) as refusal:
        by_hydra(argument)
    said = composition_message(refusal.value)
    assert message in said
    assert "\n" not in said
