"""Data-parallel training of collaborative filtering on CPUs, and the cost of each way to run it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddp.results.saved_model import load_model


__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    # Late, because `import ddp.config.schema` must not import numpy: `--help` and a refused config
    # answer at once.
    if name == "load_model":
        from ddp.results.saved_model import load_model

        return load_model
    raise AttributeError(f"module 'ddp' has no attribute {name!r}")
