"""Benchmarks behind the figures in README.

Each is a command (`python -m benchmarks.headline`) that measures its candidates side by side,
prints ratios, and writes all figures as JSON.
"""
