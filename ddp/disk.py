"""What is said of a disk that refuses: which file, why, what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
UNFINISHED = ".part"  # how the name of a file ends that is being written

_ELSEWHERE = "put the run elsewhere: hydra.run.dir=DIR, for a sweep hydra.sweep.dir=DIR"
_ADVICE = dict.fromkeys(FULL, f"make room there, or {_ELSEWHERE}")
_ADVICE |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), f"if this is a file of the run, {_ELSEWHERE}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an OSError of the block the name of `path` where it has none: a write on a full disk does not say which file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(UNFINISHED):
            error.filename = str(path)
        raise


def describe(error: OSError) -> str:
    """One message for whoever has to do something about it."""
    where = error.filename or "standard output"  # all files of ours are named
    advice = _ADVICE.get(error.errno or 0)
    return f"{where}: {error.strerror or error}" + (f"; {advice}" if advice else "")
