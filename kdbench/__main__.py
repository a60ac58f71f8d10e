"""`python -m kdbench`: the command line where the package is on the path but not installed."""

from kdbench.cli import main

main()
