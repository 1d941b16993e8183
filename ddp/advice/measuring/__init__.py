"""Measurements of the constants that the advice is computed from."""
