"""Debian's Chromium, without a screen. It needs no download: playwright's own browser does not come with its package."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from devstack.system.browser import chromium

expect.set_options(timeout=30_000)  # ms: a machine that runs eight systems at once is slow to show what happens


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser. Fails where there is none: the page is a part of the demonstration."""
    with chromium() as browser:
        yield browser


@contextmanager
def faultless(browser: Browser, url: str) -> Iterator[Page]:
    """A page of this machine; an error of its script, and any request to elsewhere, fail the test."""
    complaints: list[str] = []

    def note(address: str) -> None:
        if not address.startswith(("http://127.0.0.1:", "data:")):
            complaints.append(f"a request to {address}")

    page = browser.new_page(timezone_id="Asia/Tokyo", locale="ja-JP", reduced_motion="reduce")
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    page.on("request", lambda request: note(request.url))
    page.goto(url)
    yield page
    page.close()
    assert not complaints
