"""`python -m cli` is `oncall`."""

from oncall_cli.main import main

main()
