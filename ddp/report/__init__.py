"""One page about many runs: `python -m ddp.report outputs/` writes a single HTML file, with pictures and without any other file.

reading -> comparing -> pictures -> parts, bars and scaling -> page: what runs tell, how they differ, what it looks like, which
parts there are.
"""
