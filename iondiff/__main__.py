"""``python -m iondiff`` is the command line."""

from iondiff.cli import main

main()
