"""Services of the system: files, locks, shared memory segments, signals and compiled code."""
