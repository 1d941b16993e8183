"""What the document claims, and what is so here: `python -m benchmarks.claims [--repeats 3]
   [--markdown] [-- OVERRIDE ...]`.

One row per claim of the design document. Measured are its two systems as written
(`experiment=seed_thread`, `seed_process`), the same without their polling beside the serial run of
the same job (1, 2 and 4 workers; 2 workers with batches of 128 to 8192), and single calls
(benchmarks/claims_calls.py). All in turn. Then each claim is judged from these figures alone, by
the rules in benchmarks/verdicts.py:

- A write (0.001 ms; 10 - 50 ms) or a round of exchange (0.04 ms; 2000 ms) *holds* where it is about
  as much as claimed, and what is claimed of threads also where it is less; it *turns over* at the
  size of the state where it takes just that (a thread's write of a reference: at the number of
  threads, of which all others train). A write is a mean over many. Of a round of exchange (of five
  workers) waiting for the others counts as well, but hardly anything is trained between two of
  them.
- Threads train *sequentially* where two of them are as fast as the same workers one after another.
  That *turns over* at the batch from which they are faster. Pairs are runs of the same repeat, and
  so are they in the next two rows.
- Processes train in *parallel* where a round of N of them is at least 0.75 N times as fast as of
  the same workers one after another. That *turns over* at the number of workers where it is no
  longer.
- *In total* processes are fast if the whole command is faster than that of threads, on the
  document's job. That *turns over* at the number of rounds (of 10 local epochs) where start-up is
  paid back: two lengths of each run, up to the first round and up to the last, give what a round
  costs and what all else does.
- Processes need *more memory* if they need 1.1 times as much, for as many workers; *for their
  copies* if what a worker adds is less than twice the copies of a state that there are of it in a
  round (its live state and its best one, what it publishes, and the aggregate). It *turns over* at
  the number of workers where they need twice what threads do.
"""

from benchmarks.claims import runs
from benchmarks.claims.calls import measure_calls
from benchmarks.claims.judged import CALLS, found_in, judged
from benchmarks.harness import Table, command_line, in_turn, report, run_train

HEADER = ("the document says", "so?", "measured here", "holds when", "turns over at")


def main() -> None:
    """The command."""
    parser = command_line("claims", __doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument(
        "overrides",
        nargs="*",
        default=[],
        help="further options of train.py, for all runs, after --",
    )
    arguments = parser.parse_intermixed_args()
    more = tuple(arguments.overrides)
    run_train((*runs.BY["serial"], *more, "rounds=1"))  # fetches the data, and fills the caches
    rows = in_turn([({"what": CALLS}, measure_calls), *runs.candidates(more)], arguments.repeats)
    title = f"What the document claims: median (lowest - highest) of {arguments.repeats}"
    report(
        "claims", arguments, rows, [Table(title=title, header=HEADER, cells=judged(found_in(rows)))]
    )


if __name__ == "__main__":
    main()
