"""A server of programs imports this last: to compose a config fills the tables of Hydra's parsers.

ANTLR fills them at the first use, which takes longer than all other steps of a refused command.
"""

from composing import by_hydra

by_hydra("trainer.lr=0.02", "hydra.run.dir='a b'", hydra=True)
