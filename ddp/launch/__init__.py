"""The command line: Hydra, help, sweeps, resume, messages and exit codes."""
