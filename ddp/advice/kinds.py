"""The kinds of seconds that a prediction adds up, in the order of the table that `advise` prints.

Each step of a script names its kind (`Work`, `Delay` and `Wait` in ddp/advice/simulation.py). Work
that shares something takes longer than alone; the simulation counts these seconds by the cause:

| kind | shared thing |
|---|---|
| QUEUE | the cores |
| GIL | the GIL |
| MEMORY | the bandwidth of RAM |
"""

START, COMPUTE, EVALUATE, EXCHANGE = "start-up", "compute", "evaluate", "exchange"
WAIT, AVERAGE, RECORD = "wait for others", "aggregator", "record, save"
GIL, QUEUE, MEMORY = "GIL wait", "run queue", "memory"
KINDS = (START, COMPUTE, EVALUATE, GIL, QUEUE, MEMORY, EXCHANGE, WAIT, AVERAGE, RECORD)
