"""`python -m cli` is `oncall`."""

from cli.main import main

main()
