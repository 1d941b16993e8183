"""Whether this interpreter has a GIL, and which import turned it on in a free-threaded build."""

import re
import sys
import sysconfig
import warnings
from typing import Any

# CPython warns with this text, in `import.c`, when it loads an extension module that needs the GIL.
TURNED_ON = re.compile(
    r"The global interpreter lock \(GIL\) has been enabled to load module '(.+?)'"
)
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
_modules: list[str] = []


def has_gil() -> bool:
    """True if the threads of this process share a GIL now; an import may turn it on later."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def turned_on_by() -> str | None:
    """The module whose import turned the GIL on; None if none did, or nobody watched."""
    return _modules[0] if _modules else None


def watch() -> None:
    """Notes the module whose import turns the GIL on, in place of Python's warning.

    A build with a GIL has nothing to watch.
    """
    if not FREE_THREADED:
        return
    shown = warnings.showwarning

    def note(message: Warning | str, *others: Any, **named: Any) -> None:
        if found := TURNED_ON.match(str(message)):
            _modules.append(found[1])
        else:
            shown(message, *others, **named)

    warnings.showwarning = note
