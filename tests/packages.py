"""What the functions ship with, by the names under which it is imported."""

from importlib.metadata import packages_distributions
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "functions/requirements.txt"


def shipped_packages() -> set[str]:
    """The packages and modules of functions/requirements.txt."""
    shipped = {line.partition("==")[0] for line in REQUIREMENTS.read_text().splitlines() if "==" in line}
    return {
        name
        for name, owners in packages_distributions().items()
        if {owner.lower().replace("_", "-") for owner in owners} & shipped
    }
