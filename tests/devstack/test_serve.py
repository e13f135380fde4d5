"""Ports of servers that start beside each other."""

import subprocess
import sys

from devstack.shared.serve import free_port
from tests.devstack_fixture import ROOT


def asks(*wanted: int) -> int:
    """The port that another process gets, which then ends."""
    code = f"from devstack.shared.serve import free_port; print(free_port(*{wanted}))"
    return int(subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True).stdout)  # noqa: S603  # our own code


def test_a_port_that_somebody_asked_for_is_nobody_elses_before_it_is_listened_on() -> None:
    port = free_port()

    assert asks(port) != port


def test_whoever_has_ended_holds_no_port() -> None:
    port = asks()

    assert asks(port) == port
