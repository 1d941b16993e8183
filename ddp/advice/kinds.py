"""The kinds of seconds that a prediction adds up, in the order of the table that `advise` prints.

A step of work names its own kind. The simulation counts the seconds that work loses to others as
GIL, QUEUE or MEMORY.
"""

START, COMPUTE, EVALUATE, EXCHANGE = "start-up", "compute", "evaluate", "exchange"
WAIT, AVERAGE, RECORD = "wait for others", "aggregator", "record, save"
GIL, QUEUE, MEMORY = "GIL wait", "run queue", "memory"
KINDS = (START, COMPUTE, EVALUATE, GIL, QUEUE, MEMORY, EXCHANGE, WAIT, AVERAGE, RECORD)
