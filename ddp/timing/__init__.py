"""Where every second goes: spans, their kinds, and the scheduler's view of a thread."""
