"""The pictures of the console in docs/pictures: one incident is played, and looked at on the way."""

import re
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Error, Page, ViewportSize

from devstack.system.browser import chromium
from devstack.system.stack import ROOT, Options, StackError, running

FOLDER = ROOT / "docs/pictures"
_LARGEST = 300_000  # bytes
_DESK = ViewportSize(width=1280, height=860)
_PATIENCE = 90_000  # milliseconds for one hop


def _look(page: Page, name: str, width: int, height: int, scheme: Literal["light", "dark"]) -> None:
    """Save what the page shows."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": height})
    page.mouse.move(0, 0)  # what it is over looks different
    page.evaluate("scrollTo(0, 0); document.getElementById('channel').scrollTop = 0")
    file = FOLDER / f"{name}.png"
    file.write_bytes(page.screenshot())
    size = file.stat().st_size
    if size > _LARGEST:
        raise StackError(f"{file} has {size} bytes, more than {_LARGEST}")
    print(f"{file.relative_to(ROOT)}: {size // 1024} kB")


def _play(browser: Browser, url: str) -> None:
    page = browser.new_page(timezone_id="Asia/Tokyo", locale="ja-JP", viewport=_DESK)
    page.set_default_timeout(_PATIENCE)
    page.goto(url)
    page.get_by_text(re.compile(r"(\d+) of \1 targets up")).wait_for()
    page.get_by_role("button", name="サイトを止める").click()
    phones = [page.get_by_role("article", name=f"Phone of {name}") for name in ("佐藤 結衣", "鈴木 大翔")]
    phones[0].get_by_role("button", name="Answer").wait_for()
    page.locator(".node.current", has_text="PhoneCall").wait_for()
    _look(page, "phone", 390, 844, "light")
    phones[0].get_by_role("button", name="Decline").click()
    phones[1].get_by_role("button", name="Answer").click()
    phones[1].locator(".said p").first.wait_for()
    page.get_by_text("3 replies").wait_for()
    _look(page, "console", **_DESK, scheme="light")
    phones[1].get_by_role("button", name="1", exact=True).click()
    page.locator(".timeline .acknowledged").wait_for()
    page.get_by_text("4 replies").wait_for()
    page.get_by_role("button", name="サイトを直す").wait_for()
    page.locator(".node.done", has_text="Done").wait_for()
    _look(page, "console-dark", **_DESK, scheme="dark")
    page.close()


def main() -> None:
    """Make them all. Ends with 1 if the incident does not happen."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(Path(folder), monitoring=True, roster=ROOT / "devstack/system/roster.yaml")
        try:
            with chromium() as browser, running(options) as stack:
                _play(browser, stack.endpoints["console"])
        except (StackError, Error) as error:
            print(f"pictures: {error}", file=sys.stderr)
            raise SystemExit(1) from None


if __name__ == "__main__":
    main()
