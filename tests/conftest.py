"""Fixtures that several folders share, so that a run starts one system, not one for each folder."""

import zoneinfo

from tests.browser_fixture import browser
from tests.devstack_fixture import _devstack, _monitored_devstack, devstack, monitored_devstack

zoneinfo.reset_tzpath(())  # the package's time zones, as in the functions and the command

__all__ = ["_devstack", "_monitored_devstack", "browser", "devstack", "monitored_devstack"]
