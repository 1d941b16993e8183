"""Data-parallel training of collaborative filtering on CPUs, and the cost of each way to run it."""

from typing import TYPE_CHECKING, Any

from ddp.config.version import VERSION as __version__

if TYPE_CHECKING:
    from ddp.launch.called import run
    from ddp.results.saved_model import load_model

__all__ = ["__version__", "load_model", "run"]


def __getattr__(name: str) -> Any:
    # Late, because `import ddp.config.schema` must not import numpy: `--help` and a refused config
    # answer at once.
    if name == "load_model":
        from ddp.results.saved_model import load_model

        return load_model
    if name == "run":
        from ddp.launch.called import run

        return run
    raise AttributeError(f"module 'ddp' has no attribute {name!r}")
