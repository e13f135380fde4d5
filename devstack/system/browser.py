"""Chromium as Playwright drives it: on PATH, or unpacked beside the checkout with what this machine lacks (see .ci/programs)."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from devstack.system.monitoring import PROGRAMS, program

_SEARCHED = "LD_LIBRARY_PATH"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a screen. Raises ProgramMissingError if there is none."""
    executable = program("chromium")
    before = os.environ.get(_SEARCHED)
    # Playwright's Node.js needs libatomic; Chromium itself is started by a script that looks for its own.
    unpacked = f"{PROGRAMS}/lib/{platform.machine()}-linux-gnu"
    os.environ[_SEARCHED] = f"{before}:{unpacked}" if before else unpacked
    try:
        driver = sync_playwright().start()
    finally:
        if before is None:
            del os.environ[_SEARCHED]
        else:
            os.environ[_SEARCHED] = before
    try:
        ours: dict[str, str | float | bool] = {**os.environ}
        ours["XDG_CONFIG_HOME"] = str(PROGRAMS.parent / "config")  # crash reports would be in the home folder
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"], env=ours)
        yield browser
        browser.close()
    finally:
        driver.stop()
