"""Times every second: spans, their kinds, and the scheduler's view of a thread."""
