"""Compiled kernels that draw (or solve for) the rows of a model, one side after the other."""
