"""`python -m cli`: the command from the source tree."""

from cli.main import main

main()
