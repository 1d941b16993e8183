"""`python -m ddp.results DIR...`: the table over many runs."""

import sys

from ddp.results.table import main

sys.exit(main())
