"""What a run leaves behind: its directory, checkpoints, model and result, and the table over many
runs.
"""
