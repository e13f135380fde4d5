"""The main job with the real programs: Prometheus sees the site go down, and phones ring until somebody presses a key."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.devstack_fixture import ROOT, Devstack, wait_until
from tests.e2e.story import readable

SATO, SUZUKI = "+12025550100", "+12025550101"  # the first two of devstack/system/roster.yaml, who hear Japanese
CHAIN = 90.0  # seconds for one hop; Prometheus and Alertmanager have intervals of their own


@pytest.fixture
def system(monitored_devstack: Devstack) -> Iterator[Devstack]:
    """The system with monitoring; its site is up again after a test that failed."""
    yield monitored_devstack
    _break(monitored_devstack, 200)


def test_an_outage_rings_phones_until_a_human_takes_it_and_its_end_ends_it(system: Devstack) -> None:
    seen = {call["sid"] for call in system.calls()}

    def rings(number: str) -> dict[str, Any]:
        return _wait(
            lambda: next(
                (call for call in system.calls() if call["to"] == number and _rings(call) and call["sid"] not in seen),
                None,
            ),
            f"{number} ringing",
        )

    def shows(words: str) -> dict[str, Any]:
        return _wait(
            lambda: next(
                (one for one in system.messages() if words in readable(one) and product in readable(one)), None
            ),
            f"{words} in Slack",
        )

    product = "product-a"
    _break(system, 503)
    first = rings(SATO)
    system.control("POST", "twilio", f"calls/{first['sid']}/decline", {})
    second = rings(SUZUKI)
    system.answer(second["sid"])
    _wait(lambda: "が停止しています" in " ".join(_said(system, second)), "the alert in the call")
    system.press(second["sid"], "1")

    taken = shows("鈴木 大翔さんが対応中")
    _break(system, 200)
    over = shows("解決しました")

    assert over["ts"] == taken["ts"]  # one message, which was updated
    thread = " ".join(one["text"] for one in system.messages() if one["thread_ts"] == taken["ts"])
    assert "佐藤 結衣さん：話し中" in thread
    assert [call["to"] for call in system.calls() if call["sid"] not in seen] == [SATO, SUZUKI]
    table = system.dynamodb.scan(TableName=system.endpoints["table"], FilterExpression="attribute_exists(opened_by)")
    states = [item["state"]["S"] for item in table["Items"] if item["sk"]["S"] == "STATE"]
    assert states == ["resolved"]


def test_the_demonstration_plays_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "demo"

    played = subprocess.run(
        [sys.executable, "-m", "devstack", "demo"],
        cwd=ROOT,
        env={**os.environ, "DEVSTACK_DIR": str(directory), "AUTO": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert played.returncode == 0, played.stdout + played.stderr
    assert "All of it happened." in played.stdout
    assert not (directory / "endpoints.json").exists()


def _wait[T](happened: Callable[[], T | None], what: str) -> T:
    return wait_until(happened, CHAIN, what)


def _rings(call: dict[str, Any]) -> bool:
    return bool(call["status"] == "ringing")


def _break(system: Devstack, status: int) -> None:
    requests.put(f"{system.endpoints['site']}/_sim/site", json={"status": status}, timeout=10).raise_for_status()


def _said(system: Devstack, call: dict[str, Any]) -> list[str]:
    return next(list(one["said"]) for one in system.calls() if one["sid"] == call["sid"])
