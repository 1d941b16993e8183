"""A plain job, a machine that costs nothing, and the wall of a prediction."""

import dataclasses

from jobs import USUAL
from machines import constants

from ddp.advice.constants import Exchange
from ddp.advice.prediction import predict
from ddp.advice.scripts import Surroundings
from ddp.advice.sizes import Sizes


def wall(config, sizes, machine, **around):
    return predict(config, sizes, machine, Surroundings(**around)).wall_s


PLAIN = Sizes(
    num_users=10,
    num_items=10,
    train=(1000, 1000),
    valid=(0, 0),
    test=(0, 0),
    whole_valid=0,
    whole_test=0,
)


def free(trainer="fused", **changed):
    """A machine on which only the `changed` constants cost anything."""
    nothing = dict.fromkeys((field.name for field in dataclasses.fields(constants().training)), 0.0)
    with_gil = {"gil_share": constants(trainer).training.gil_share}
    machine = constants(trainer, **nothing | with_gil | changed)
    none = {field.name: 0.0 for field in dataclasses.fields(machine.exchanges)}
    exchange = Exchange(message_s=0.0, vector_s=0.0, float_s=0.0, epoch_s=0.0)
    backends = dict.fromkeys(USUAL, exchange)
    return dataclasses.replace(
        machine, exchanges=dataclasses.replace(machine.exchanges, **none | backends)
    )
