"""How kernels are compiled: once, when their module is imported, and from then on read from a cache on disk."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(signature: Any) -> Callable[[Kernel], Kernel]:
    """numba.njit for this one signature, without the GIL.

    Where numba finds no directory that it may write to, the cache lies in a temporary one as long as this process lives.
    Worker processes find it there: several of them never compile the same kernel side by side.
    """

    def decorate(function: Kernel) -> Kernel:
        try:
            return _njit(signature, function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
        directory = tempfile.mkdtemp(prefix="ddp-kernels-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = directory  # for the processes that this one starts
        setattr(numba.config, "CACHE_DIR", directory)  # noqa: B010  # numba makes its settings when it is imported
        return _njit(signature, function)

    return decorate


def _njit(signature: Any, function: Kernel) -> Kernel:
    # No fastmath: NaN stays NaN, and sums keep their order.
    njit: Any = numba.njit
    kernel: Kernel = njit([signature], nogil=True, cache=True, boundscheck=False, error_model="numpy")(function)
    return kernel
