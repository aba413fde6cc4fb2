"""`python -m dualenc`: the command line."""

from dualenc.cli import main

main()
