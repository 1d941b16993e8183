"""The options of `simulate`, which `advise=true` reads: another machine than this one."""

from ddp.config.checks import Checked, above, at_least, number, options


@options
class Simulate(Checked):
    """The machine to predict for.

    | field       | unit | meaning                                                    |
    | ----------- | ---- | ---------------------------------------------------------- |
    | `cores`     |      | number of cores; None: as here                             |
    | `bandwidth` | GB/s | bandwidth of its memory, all cores together; None: as here |
    | `straggler` |      | the slowest worker's compute time / that of the others     |
    """

    PREFIX = "simulate."

    cores: int | None = at_least(1, off=None)
    bandwidth: float | None = above(0, off=None)
    straggler: float = number(least=1, off=1.0)
