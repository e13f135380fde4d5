"""The command `oncall`."""

import sys
from pathlib import Path

_FUNCTIONS = Path(__file__).parent.parent / "functions"
if _FUNCTIONS.is_dir():  # in the source tree the domain lies with the functions; installed, it is beside this package
    sys.path.insert(0, str(_FUNCTIONS))
