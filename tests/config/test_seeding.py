"""Streams: equal names give equal draws, everything else is independent."""

import itertools

from ddp.config.seeding import stream

ADDRESSES = [
    ("order",),
    ("order", 0),
    ("order", 0, 0),
    ("order", 0, 1),
    ("order", 1, 0),
    ("init",),
    ("holdout",),
    ("shards",),
]


def test_equal_addresses_give_equal_draws():
    for seed, address in itertools.product((0, 1, 2**40), ADDRESSES):
        assert (
            stream(seed, *address).integers(0, 2**62, 4).tolist()
            == stream(seed, *address).integers(0, 2**62, 4).tolist()
        )


def test_every_seed_and_address_is_its_own_stream():
    draws = [
        tuple(stream(seed, *address).integers(0, 2**62, 2))
        for seed in (0, 1, 2)
        for address in ADDRESSES
    ]
    assert len(set(draws)) == len(draws)


def test_drawing_from_one_does_not_move_another():
    other = stream(0, "order", 1, 0)
    stream(0, "order", 0, 0).random(1000)
    assert other.random() == stream(0, "order", 1, 0).random()
