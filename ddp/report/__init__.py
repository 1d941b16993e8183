"""One HTML page about many runs: `python -m ddp.report outputs/`."""
