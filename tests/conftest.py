"""Fixtures that several folders share, so that a run starts one system, not one for each folder; and what shares the tests."""

import signal
import zoneinfo

from tests.browser_fixture import browser
from tests.devstack_fixture import _devstack, _monitored_devstack, devstack, monitored_devstack
from tests.workers import pytest_collection_modifyitems, pytest_xdist_auto_num_workers, pytest_xdist_make_scheduler

# Started in a shell's background, SIGINT is ignored, and all that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
zoneinfo.reset_tzpath(())  # the package's time zones, as in the functions and the command

__all__ = [
    "_devstack",
    "_monitored_devstack",
    "browser",
    "devstack",
    "monitored_devstack",
    "pytest_collection_modifyitems",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
]
