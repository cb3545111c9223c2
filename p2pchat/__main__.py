"""`python -m p2pchat` is the same as `p2pchat`."""

import sys

from .cli import main

sys.exit(main())
