"""Fixtures that several folders share, so that a run starts one system, not one for each folder; and what shares the tests."""

import ctypes
import signal
import zoneinfo

import pytest

from tests.browser_fixture import browser
from tests.devstack_fixture import SHARED, _devstack, _monitored_devstack, devstack, monitored_devstack
from tests.workers import (
    group_of,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)

# Started in a shell's background, SIGINT is ignored, and all that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
LIBC = ctypes.CDLL(None)
zoneinfo.reset_tzpath(())  # the package's time zones, as in the functions and the command


@pytest.hookimpl(trylast=True)  # the test's own fixtures have ended
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Ends the systems that a group of files has shared, and gives back the memory of what was large: glibc would keep it."""
    if nextitem is None or group_of(nextitem) != group_of(item):
        SHARED.end()
        if hasattr(LIBC, "malloc_trim"):  # glibc's own
            LIBC.malloc_trim(0)


__all__ = [
    "_devstack",
    "_monitored_devstack",
    "browser",
    "devstack",
    "monitored_devstack",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
]
