"""One system for the end-to-end tests, with a roster that each test adds its own people to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.devstack_fixture import SHARED, Devstack, running_devstack
from tests.e2e.looking import looking
from tests.e2e.story import Night

ROSTER = str(Path(__file__).with_name("roster.yaml"))
PARTS = ("aws", "twilio", "telnyx", "slack", "gateway")


@contextmanager
def _running_night(directory: Path) -> Iterator[Night]:
    with running_devstack(directory, MONITORING="0", RING_SECONDS="5", ROSTER=ROSTER) as system:
        yield night_of(system)


@pytest.fixture
def _night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return SHARED.use("_night", lambda: _running_night(tmp_path_factory.mktemp("night")))


@pytest.fixture
def night(_night: Night) -> Iterator[Night]:
    """The system. What a test has broken, and how fast people speak, is fixed after it."""
    yield _night
    for part in PARTS:
        _night.system.faults(part, {})
    _night.system.control("PUT", "twilio", "settings", {"speech_rate": 1.0})


def night_of(system: Devstack) -> Night:
    """A running system with the clients that read it."""
    return Night(system, looking(system), system.stepfunctions)
