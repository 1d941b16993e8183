"""Do the claims about the seed systems hold? `python -m benchmarks.claims`

The table has one row per claim (docs/design-document.md). Three things are measured, in turn: the
two seed systems as they are; both without their polling, beside the serial run of the same job (1,
2 and 4 workers, and 2 workers with batches of 128 to 8192); and single calls
(benchmarks/claims/calls.py). These figures alone judge each claim, by the rules of
benchmarks/claims/verdicts.py:

| claim         | holds where                            | turns over at                          |
| ------------- | -------------------------------------- | -------------------------------------- |
| cost of a     | it is about as much as claimed; for    | the size of the state that costs just  |
| write, or of  | threads also where it is less          | that; for a thread's write of a        |
| a round of    |                                        | reference the number of threads, of    |
| exchange      |                                        | which all others train                 |
| threads train | two threads are as fast as the same    | the batch from which they are faster   |
| sequentially  | workers one after another              |                                        |
| processes     | a round of N of them is at least       | the number of workers where that ends  |
| train in      | 0.75 N times as fast as of the same    |                                        |
| parallel      | workers one after another              |                                        |
| in total      | the whole command on the seed job is   | the number of rounds (of 10 local      |
| processes are | faster than that of threads            | epochs) that pays back their start-up  |
| fast          |                                        |                                        |
| processes     | they need 1.1 times as much with as    | the number of workers where they need  |
| need more     | many workers; *for their copies* where | twice as much                          |
| memory        | a worker adds less than twice the      |                                        |
|               | copies of a state that a round holds   |                                        |
|               | for it (live, best, published, mean)   |                                        |

A write is a mean over many. A round of exchange (of five workers) contains the wait for the others,
but hardly anything is trained between two rounds. Ratios are of runs of one repeat. Two lengths of
each run, up to the first round and up to the last, give the cost of a round and of all else.
"""

from benchmarks.claims import runs
from benchmarks.claims.calls import measure_calls
from benchmarks.claims.found import CALLS, found_in
from benchmarks.claims.judged import judged
from benchmarks.harness import Table, add_overrides, command_line, in_turn, report
from benchmarks.train_runs import run_train

HEADER = ("claim", "so?", "measured here", "holds when", "turns over at")


def main() -> None:
    """The command."""
    parser = command_line("claims", __doc__)
    parser.set_defaults(repeats=3)
    add_overrides(parser)
    arguments = parser.parse_intermixed_args()
    more = tuple(arguments.overrides)
    run_train((*runs.BY["serial"], *more, "rounds=1"))  # fetches the data and fills the caches
    rows = in_turn([({"what": CALLS}, measure_calls), *runs.candidates(more)], arguments.repeats)
    title = f"Claims about the seed systems: median (lowest - highest) of {arguments.repeats}"
    report(
        "claims", arguments, rows, [Table(title=title, header=HEADER, cells=judged(found_in(rows)))]
    )


if __name__ == "__main__":
    main()
