"""Ports of servers that start beside each other, and how a server ends."""

import signal
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_server_ends_at_once_whatever_its_threads_wait_for(asked: signal.Signals) -> None:
    code = """
import threading, time
from concurrent.futures import ThreadPoolExecutor
from devstack.shared.serve import serve
ThreadPoolExecutor().submit(time.sleep, 60)
threading.Thread(target=time.sleep, args=(60,)).start()
serve(lambda environment, start: [], 0)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as server:  # noqa: S603  # our own code
        assert server.stdout
        assert server.stdout.readline().startswith(b"listening on ")
        server.send_signal(asked)
        assert server.wait(20) == 0
