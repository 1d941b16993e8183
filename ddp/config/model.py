"""The options of `model`: its size."""

from ddp.config.checks import Checked, above, at_least, options


@options
class Model(Checked):
    """Matrix factorization with `dim` factors per user and item, and with or without biases."""

    PREFIX = "model."

    name: str
    dim: int = at_least(1)
    biases: bool
    init_std: float = above(0)
