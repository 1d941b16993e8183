"""The GIL, and the import that turns it on in a free-threaded build."""

import subprocess
import sys

# CPython's own words (Python/import.c); a build with a GIL never says them.
SAID = (
    "The global interpreter lock (GIL) has been enabled to load module 'triton._C.libtriton', which"
    " has not declared that it can run safely without the GIL. To override this behavior and keep"
    " the GIL disabled (at your own risk), run with PYTHON_GIL=0 or -Xgil=0."
)
WATCHED = f"""
import warnings
from ddp.timing import gil
gil.FREE_THREADED = {{free_threaded}}
gil.watch()
warnings.warn({SAID!r}, RuntimeWarning)
warnings.warn("another", RuntimeWarning)
print(gil.turned_on_by())
"""


def watched(*, free_threaded):
    code = WATCHED.format(free_threaded=free_threaded)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_the_import_that_turned_the_gil_on_is_noted_in_place_of_a_warning():
    done = watched(free_threaded=True)
    assert done.stdout == "triton._C.libtriton\n"
    assert "global interpreter lock" not in done.stderr
    assert "RuntimeWarning: another" in done.stderr


def test_a_build_with_a_gil_is_not_watched():
    done = watched(free_threaded=False)
    assert done.stdout == "None\n"
    assert "RuntimeWarning: another" in done.stderr
