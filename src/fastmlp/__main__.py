"""`python -m fastmlp` is the console command `fastmlp`."""

import sys

from .cli import main

sys.exit(main())
