"""Benchmarks behind the figures in README and docs/.

Each is a command (`python -m benchmarks.headline`) that measures its candidates side by side,
prints ratios, and writes all figures as JSON; `benchmarks.tables` makes the tables of them.
"""
