"""The files that a run leaves behind, and the table over many runs."""
