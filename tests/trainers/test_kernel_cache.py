"""Kernels are compiled once, and again when their loops change, with any state of the cache."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from programs import REPOSITORY

# The kernels that all others call: to compile these takes a third of the time.
LOAD = """
from ddp.trainers.sgd import sgd, squared_error
hits = [sum(kernel.stats.cache_hits.values()) for kernel in (sgd, squared_error)]
misses = [sum(kernel.stats.cache_misses.values()) for kernel in (sgd, squared_error)]
import os
print(*hits, *misses, os.environ.get("NUMBA_CACHE_DIR", ""))
"""


def load_kernels(root, **environment):
    environment = (
        os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    )
    command = [sys.executable, "-c", LOAD]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def copy_of_sources(directory):
    return shutil.copytree(
        REPOSITORY / "ddp", directory / "ddp", ignore=shutil.ignore_patterns("__pycache__")
    )


@pytest.fixture(scope="module")
def compiled_copy(tmp_path_factory):
    """A copy of the sources, its cache, and what was said when its kernels were compiled."""
    root = tmp_path_factory.mktemp("compiled")
    copy_of_sources(root)
    cache = str(root / "cache")
    return root, cache, load_kernels(root, NUMBA_CACHE_DIR=cache)


def test_kernels_are_compiled_once_and_then_read_from_disk(compiled_copy):
    root, cache, first = compiled_copy
    assert first == ["0", "0", "1", "1", cache]
    assert load_kernels(root, NUMBA_CACHE_DIR=cache) == ["1", "1", "0", "0", cache]


def test_kernels_are_compiled_again_when_the_loops_they_call_have_changed(compiled_copy):
    root, cache, _ = compiled_copy
    loops = root / "ddp" / "machine" / "compiled" / "simd.py"
    before = loops.stat().st_mtime
    later = time.time() + 10  # a clock that has moved on; the kernels' own files stay as they are
    os.utime(loops, (later, later))
    assert load_kernels(root, NUMBA_CACHE_DIR=cache)[:4] == ["0", "0", "1", "1"]
    os.utime(loops, (before, before))
    assert load_kernels(root, NUMBA_CACHE_DIR=cache)[:4] == ["1", "1", "0", "0"]


def test_a_stale_index_is_not_read(compiled_copy):
    """After an update it may name a class that is no longer there, and numba would fail."""
    root, cache, _ = compiled_copy
    (index,) = Path(cache).rglob("*.sgd-*.nbi")
    index.write_bytes(index.read_bytes().replace(b"ddp.trainers.sgd", b"ddp.trainers.gone"))
    os.utime(index, (0, 0))
    assert load_kernels(root, NUMBA_CACHE_DIR=cache)[:4] == ["0", "1", "1", "0"]


def test_without_a_writable_cache_a_temporary_one_serves_and_goes(tmp_path):
    """Files stand in place of the directories: not even root can write there."""
    source = copy_of_sources(tmp_path)
    (source / "trainers" / "__pycache__").touch()
    nowhere = str(source / "trainers" / "__pycache__" / "deeper")
    *counts, used = load_kernels(
        tmp_path, NUMBA_CACHE_DIR=nowhere, HOME=nowhere, XDG_CACHE_HOME=nowhere
    )
    assert counts == ["0", "0", "1", "1"]
    assert Path(used).name.startswith("ddp-kernels-")
    assert not Path(used).exists()
