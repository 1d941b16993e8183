"""Compiled code: the compiler and its cache, SIMD loops, ordered memory access, turn counters."""

import os

# else numba writes a control character to a terminal as the program ends, also to a dumb one
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")
