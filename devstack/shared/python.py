"""How the devstack starts Python programs."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

FORK_SERVER = Path(__file__).with_name("fork_server.py")
FORK_CLIENT = Path(__file__).with_name("fork_client.py")
FORK_SERVER_VARIABLE = "DEVSTACK_FORK_SERVER"  # the name of one that a run of tests keeps


def python(variables: Mapping[str, str] = os.environ) -> list[str]:
    """The command of an interpreter: it takes `-m` or `-c`. Where there is a fork server, of a copy of its process."""
    name = variables.get(FORK_SERVER_VARIABLE)
    return [sys.executable, "-IS", str(FORK_CLIENT), name] if name else [sys.executable]
