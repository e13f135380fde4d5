"""A flood of forged requests at the doors that anybody reaches, while an alert comes in and a key is pressed.

FLOOD_RATE is in requests a second, all doors together, FLOOD_SECONDS how long it lasts before the alert comes. `make bench` sends
2,000 a second, if this machine can: it sends, serves and runs the functions on the same cores, so what it does is printed.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import requests

from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story

RATE = float(os.environ.get("FLOOD_RATE", "60"))
SECONDS = float(os.environ.get("FLOOD_SECONDS", "5"))
SENDERS = 12
MOST_LATER = float(os.environ.get("FLOOD_MOST_LATER", "10"))  # seconds: these cores run all of it
FORM = "application/x-www-form-urlencoded"
CALL = urlencode({"at": "1795402800", "call": "1", "page": "0" * 16, "policy": "default", "seal": "x" * 22})
DOORS = {
    f"calls/key?{CALL}": (FORM, "Digits=1"),
    f"calls/status?{CALL}": (FORM, "CallStatus=completed"),
    "slack/actions": (FORM, "payload=%7B%7D"),
    "slack/commands": (FORM, "text=page"),
    "slack/events": ("application/json", "{}"),
    "alerts": ("application/json", '{"groupKey": "x", "status": "firing", "alerts": []}'),
}


@dataclass
class Flood:
    """What was sent, by door and status."""

    began: float
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def rate(self) -> float:
        return self.answers.total() / (time.monotonic() - self.began)


@contextmanager
def flooded(gateway: str) -> Iterator[Flood]:
    """Forged requests at every door, until the end."""
    flood = Flood(time.monotonic())

    def send(number: int) -> None:
        with requests.Session() as session:
            due = time.monotonic() + number / RATE
            places = list(DOORS)
            turn = number
            while not flood.over.wait(max(0.0, due - time.monotonic())):
                door = places[turn % len(places)]
                kind, body = DOORS[door]
                headers = {"Content-Type": kind, "X-Twilio-Signature": "x" * 28, "X-Slack-Signature": "v0=" + "0" * 64}
                headers["X-Slack-Request-Timestamp"] = str(int(time.time()))
                answer = session.post(f"{gateway}/{door}", data=body, headers=headers, timeout=60)
                flood.answers[door.partition("?")[0], answer.status_code] += 1
                turn += 1
                due += SENDERS / RATE

    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(send, number) for number in range(SENDERS)]
        try:
            yield flood
        finally:
            flood.over.set()
    for one in sending:
        one.result()


def serves(story: Story, nth: int, group: str) -> tuple[float, float]:
    """An alert rings a phone and its key counts; returns the seconds of each."""
    began = time.monotonic()
    story.fire(group)
    call = story.rings("alice", nth)
    rang = time.monotonic()
    story.system.answer(call["sid"])
    story.system.press(call["sid"], "1")
    story.becomes("acknowledged", group)
    done = time.monotonic()
    story.settled()
    story.resolve(group)
    return rang - began, done - rang


def test_a_flood_keeps_no_alert_and_no_key_out(night: Night) -> None:
    story = night.story("alice")
    story.writes(f"POLICY#{story.name}", {"steps": [{"responder": story.id_of("alice")}], "quiet_seconds": 0})
    serves(story, 1, "warm")
    calm = serves(story, 2, "calm")

    with flooded(story.system.endpoints["gateway"]) as flood:
        time.sleep(SECONDS)
        meanwhile = serves(story, 3, "flooded")
        rate = flood.rate

    told = f"{rate:.0f} a second; ring, key: calm {calm[0]:.2f} {calm[1]:.2f} s, flooded {meanwhile[0]:.2f} {meanwhile[1]:.2f} s"
    print(told, dict(sorted(flood.answers.items())))  # noqa: T201
    assert {status for _, status in flood.answers} <= {401, 403, 503}, flood.answers
    assert {door for door, _ in flood.answers} == {door.partition("?")[0] for door in DOORS}
    assert max(meanwhile[0] - calm[0], meanwhile[1] - calm[1]) < MOST_LATER, told


def test_what_is_over_a_routes_throttle_runs_nothing_and_takes_no_room_of_others(night: Night) -> None:
    gateway = night.system.endpoints["gateway"]

    def refusals() -> int:
        return night.system.log("PhoneReplyFunction").count("a callback was refused")

    before, began = refusals(), time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        posted = [pool.submit(requests.post, f"{gateway}/calls/probe", data={"To": "x"}, timeout=60) for _ in range(60)]
        other = requests.post(f"{gateway}/calls/status?{CALL}", data={"CallStatus": "completed"}, timeout=60)
        statuses = Counter(one.result().status_code for one in posted)
    room = 10 + 5 * (time.monotonic() - began)  # the template's burst and rate
    assert other.status_code == 403
    assert statuses.keys() == {403, 503}
    assert statuses[403] <= room
    wait_until(lambda: refusals() - before == statuses[403] + 1, what="each request that ran in the log, and no other")
