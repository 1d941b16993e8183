"""One HTML page about many runs."""
