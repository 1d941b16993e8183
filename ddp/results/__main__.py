"""`python -m ddp.results DIR...`: the table over many runs."""

import sys

from ddp.results.command import main

sys.exit(main())
