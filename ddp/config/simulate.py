"""The options of `simulate`, which `advise=true` reads: another machine, and what to search."""

from ddp.config.checks import Checked, above, at_least, number, options, setting


@options
class Simulate(Checked):
    """The machine to predict for, and the predictions to make.

    | field        | unit | meaning                                                               |
    | ------------ | ---- | --------------------------------------------------------------------- |
    | `cores`      |      | number of cores; None: as here                                        |
    | `bandwidth`  | GB/s | bandwidth of its memory, all cores together; None: as here            |
    | `straggler`  |      | the slowest worker's compute time / that of the others                |
    | `crossovers` |      | also searches the values from which another backend is the fastest    |
    """

    PREFIX = "simulate."

    cores: int | None = at_least(1, off=None)
    bandwidth: float | None = above(0, off=None)
    straggler: float = number(least=1, off=1.0)
    crossovers: bool = setting(off=False)
