"""Compiled code: how kernels are compiled and cached, SIMD loops, ordered memory access and turn
counters.
"""
