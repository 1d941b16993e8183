"""Measures the constants of a machine from which the advice predicts."""
