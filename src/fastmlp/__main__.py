"""`python -m fastmlp` is the console command `fastmlp`."""

import sys

from .cli.cli import main

sys.exit(main())
