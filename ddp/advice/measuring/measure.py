"""Measures this machine, and prints the constants as JSON.

    python -m ddp.advice.measuring.measure [exchanges] [fused|adam|sgd|gibbs|als]

A machine has slow moments, which may last for seconds. So each sitting makes all measurements, and
of all sittings the smallest result counts, or nearly the smallest.

It also prints `busy`, the mean share of the machine that other programs used meanwhile.

A new process measures, so that first imports and first compilations count too. It begins as
train.py does, with the forkserver. It imports heavy modules late, because a spawned worker imports
this file.
"""

import json
import math
import statistics
import sys
from collections import defaultdict
from typing import Any

from ddp.advice.measuring.exchange_costs import exchange_configs, exchange_constants
from ddp.advice.measuring.pilot import TRAINERS, Pilot, run_pilot
from ddp.advice.measuring.start_costs import start_configs, start_constants
from ddp.config.checks import start_methods
from ddp.machine.cores import num_cores
from ddp.machine.load import busy_share

EXCHANGES = "exchanges"
SITTINGS = 2  # a sitting makes each run once
LOOK_S = 0.1  # how long it looks, before each run, for the load of other programs
SAMPLES = 3  # at most so many samples of the trainer alone in a sitting, spread between its runs


def main(*parts: str) -> None:
    """Measures the named parts, and prints them as JSON.

    `parts`: "exchanges", which it measures with the fused trainer, and the name of one trainer.
    """
    from ddp.backends.forkserver import ensure_server

    names = [part for part in parts if part != EXCHANGES]
    trainer = TRAINERS[names[0] if names else "fused"]
    if start_methods()[-1] == "forkserver":
        ensure_server(trainer.name)
    # train.py imports the same modules while the server starts
    import ddp.experiment  # noqa: F401
    from ddp.advice.measuring.sweep_costs import sweep_configs, sweep_constants
    from ddp.advice.measuring.trainer_costs import TrainerCosts
    from ddp.trainers.trainer import trainer_for

    trainer_for(trainer)
    starting = start_configs(trainer)
    firsts = {name: run_pilot(starting[name]) for name in ("forked", "in threads")}
    configs = {name: starting[name] for name in ("forked", "spawned")} if names else {}
    if EXCHANGES in parts:
        configs |= exchange_configs()
    swept = sweep_configs(trainer) if trainer.sweeps else {}
    configs |= swept
    # a trainer that sweeps evaluates as fused does
    alone = TRAINERS["fused"] if trainer.sweeps else trainer
    costs = TrainerCosts(alone, num_cores()) if names else None
    pilots: defaultdict[str, list[Pilot]] = defaultdict(list)
    shares = []
    for _ in range(SITTINGS):
        for number, (name, config) in enumerate(configs.items()):
            if costs is not None and number % math.ceil(len(configs) / SAMPLES) == 0:
                costs.sample()
            shares.append(busy_share(LOOK_S))  # of others: ours sleep between two runs
            pilots[name].append(run_pilot(config))
    measured: dict[str, Any] = {"training": {}, "busy": statistics.mean(shares)}
    if costs is not None:
        measured["training"][names[0]] = start_constants(firsts, pilots) | costs.constants()
        if swept:
            measured["training"][names[0]] |= sweep_constants(swept, pilots)
    if EXCHANGES in parts:
        measured[EXCHANGES] = exchange_constants(pilots)
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
