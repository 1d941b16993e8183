"""Benchmarks behind the figures in README: each module is a command that measures its candidates
side by side, prints ratios, and writes all figures as JSON.
"""
