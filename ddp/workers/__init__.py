"""A worker's job, its rounds, and the two interfaces that they use: Exchange and Backend."""
