"""python -m mindclf: the command line."""

import sys

from mindclf.cli import main

sys.exit(main())
