"""Compiles kernels when their module is imported, and keeps them in a cache on disk."""

import atexit
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import numba

# Every kernel depends on these files, besides its own and those of the kernels that it calls.
INGREDIENTS = tuple(Path(__file__).parent.glob("*.py"))

TEMPORARY = "ddp-kernels-"

# A file with kernels -> itself, the files of the kernels that these call, and so on
_sources: defaultdict[Path, set[Path]] = defaultdict(set)
_caching = True  # as long as there is a directory for it
_listeners: list[Callable[[], None]] = []

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def when_compiling(listener: Callable[[], None]) -> None:
    """Calls `listener` once, as soon as a kernel was not on disk: others will take their time."""
    _listeners[:] = [listener]


def compiled(signature: Any, calls: Sequence[Any] = ()) -> Callable[[Kernel], Kernel]:
    """Compiles a kernel for this one signature with numba.njit, to run without the GIL.

    `calls`: kernels of other files that this one calls. If numba finds no directory that it can
    write to, the cache lies in a temporary one as long as this process lives. Worker processes find
    it there, so they never compile the same kernel side by side. If numba cannot write to a
    temporary directory either, it compiles into RAM.
    """

    def decorate(function: Kernel) -> Kernel:
        global _caching  # noqa: PLW0603
        _sources[_file(function)].update({_file(function)}, *(_sources[_file(k)] for k in calls))
        while _caching:
            try:
                return _cached(signature, function)
            except (OSError, RuntimeError) as error:  # no room, or no directory
                if isinstance(error, RuntimeError) and "cannot cache" not in str(error):
                    raise
            _caching = _use_temporary_cache()
        kernel: Kernel = _njit(signature, cache=False)(function)
        return kernel

    return decorate


def _cached(signature: Any, function: Kernel) -> Kernel:
    dispatcher = _njit(cache=True)(function)
    # before numba reads the index, which may name classes that are no longer there
    _forget_if_stale(dispatcher.stats.cache_path, function)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    if dispatcher.stats.cache_misses and _listeners:
        _listeners.pop()()
    kernel: Kernel = dispatcher
    return kernel


def _njit(*signatures: Any, cache: bool) -> Any:
    # No fastmath: NaN stays NaN, and sums keep their order.
    return numba.njit(
        [*signatures] or None, nogil=True, cache=cache, boundscheck=False, error_model="numpy"
    )


def _use_temporary_cache() -> bool:
    """Puts the cache into a directory that this process removes at its end.

    False if there is no such directory, or if the cache lies there already.
    """
    if Path(os.environ.get("NUMBA_CACHE_DIR", "")).name.startswith(TEMPORARY):
        return False
    try:
        directory = tempfile.mkdtemp(prefix=TEMPORARY)
    except OSError:
        return False
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = directory  # for the processes that this one starts
    # numba has read its settings from the environment when it was imported
    setattr(numba.config, "CACHE_DIR", directory)  # noqa: B010
    return True


def _file(kernel: Any) -> Path:
    return Path(kernel.__code__.co_filename)


def _forget_if_stale(cache: str, kernel: Any) -> None:
    """Removes a kernel's index if it is older than INGREDIENTS or the files of its loops.

    numba compares it with the kernel's own file only.
    """
    code: CodeType = kernel.__code__
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    files = {*INGREDIENTS, *_sources[_file(kernel)]}
    changed_at = max(file.stat().st_mtime_ns for file in files)
    indices = Path(cache).glob(f"*.{code.co_name}-{code.co_firstlineno}.{python}*.nbi")
    for index in indices:
        if index.stat().st_mtime_ns < changed_at:
            index.unlink(missing_ok=True)
