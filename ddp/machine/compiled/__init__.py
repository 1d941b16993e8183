"""Compiled code: the compiler and its cache, SIMD loops, ordered memory access, turn counters."""
