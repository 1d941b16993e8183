"""Services of the system: files, locks, shared memory segments, signals and memory; nothing here
knows of training.
"""
