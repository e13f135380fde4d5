"""A primary and its standby on one machine, each in a region of its own, with one telephone network and one Slack.

The standby waits for a few seconds only, so that a test does not take a minute; everything else is as it is deployed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from oncall import roster, wire
from oncall.table import Update
from oncall.wire import NoAnswerError, Peer, Reply
from tests.devstack_fixture import Devstack, running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import RINGS, Night, Story

TAKEOVER = 10
SOON = TAKEOVER + 60  # until the standby rings: what it waits, three tries at a primary that is away, a busy machine
STORM = 200
AWAY_MS = 120_000


@dataclass(frozen=True)
class Pair:
    """The two stacks."""

    primary: Night
    standby: Night

    def story(self, *people: str, **policy: Any) -> tuple[Story, Story]:
        """A story with these people in both rosters, as each stack sees it."""
        story = self.primary.story(*people, **policy)
        for item in self.primary.table.query("ROSTER"):
            if story.name in item["sk"]:
                self.standby.table.update(
                    Update("ROSTER", item["sk"], set={k: v for k, v in item.items() if k not in ("pk", "sk")})
                )
        return story, replace(story, night=self.standby)


@pytest.fixture(scope="module")  # what both have they tell each other every minute
def _pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("pair")
    settings = {"MONITORING": "0", "STANDBY": "1", "RING_SECONDS": "5", "ROSTER": ROSTER}
    with running_devstack(directory, TAKEOVER_SECONDS=str(TAKEOVER), **settings) as primary:
        beside = directory / "standby"
        standby = Devstack(beside, json.loads((beside / "endpoints.json").read_text()), primary.process)
        yield Pair(night_of(primary), night_of(standby))


@pytest.fixture
def pair(_pair: Pair) -> Iterator[Pair]:
    """Both stacks, healthy, after they have heard of each other."""
    for night in (_pair.primary, _pair.standby):
        night.reconciles()
    yield _pair
    for night in (_pair.primary, _pair.standby):
        comes_back(night)
    _pair.primary.system.faults("twilio", {})


def goes_down(night: Night) -> None:
    """A whole region is away."""
    night.system.faults("gateway", {"down": True})
    night.system.faults("aws", {"down": True})


def comes_back(night: Night, *, after_ms: int = 0) -> None:
    """It is there again; its reconciler ran last so long ago."""
    if after_ms:
        alive_at = round(time.time() * 1000) - after_ms
        night.table.update(Update("ROSTER", "META", set={"alive_at": alive_at}))
    night.system.faults("aws", {})
    night.system.faults("gateway", {})


def cannot_be_asked(night: Night) -> None:
    """The other stack gets no answer; nothing else is touched."""
    night.system.faults("aws", {"lambda:PeerFunction": {"status": 503, "type": "ServiceUnavailable"}})


def follows(story: Story, timeout: float = SOON) -> None:
    """Waits until the standby has asked its primary once and leaves the group to it."""
    machine = story.system.endpoints["state_machine_arn"]

    def waiting() -> bool:
        running = story.night.stepfunctions.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
        for execution in running["executions"]:
            history = story.night.stepfunctions.get_execution_history(
                executionArn=execution["executionArn"], maxResults=200
            )["events"]
            entered = [e["stateEnteredEventDetails"]["name"] for e in history if "stateEnteredEventDetails" in e]
            if entered.count("Follow") > 1 and story.name in json.dumps(history[0], default=str):
                return True
        return False

    wait_until(waiting, timeout, "the standby following its primary")


def test_the_primary_is_down_before_the_webhook(pair: Pair) -> None:
    _, at_standby = pair.story("aiko", "ben")
    goes_down(pair.primary)
    began = time.time()
    at_standby.fire()
    call = at_standby.takes("aiko")
    assert TAKEOVER <= call["created_at"] - began < SOON
    assert at_standby.becomes("acknowledged")["acknowledged_by"] == "Aiko"
    assert at_standby.called() == ["aiko"]


def test_of_two_healthy_stacks_one_rings_and_posts(pair: Pair) -> None:
    story, at_standby = pair.story("aiko")
    story.fire()
    at_standby.fire()
    call = story.rings("aiko")
    follows(at_standby)
    story.system.answer(call["sid"])
    story.system.press(call["sid"], "1")
    story.becomes("acknowledged")
    at_standby.night.rests()
    assert story.called() == ["aiko"]
    assert at_standby.incidents() == []
    assert len([m for m in story.messages() if not m["thread_ts"]]) == 1


def test_the_primary_dies_between_ring_and_key(pair: Pair) -> None:
    story, at_standby = pair.story("aiko", "ben")
    story.fire()
    at_standby.fire()
    old = story.rings("aiko")
    incident = story.becomes("triggered")["id"]
    follows(at_standby)
    goes_down(pair.primary)
    died = time.time()
    new = story.rings("aiko", 2, timeout=90)
    assert new["created_at"] - died < 60
    story.system.answer(new["sid"])
    story.system.press(new["sid"], "1")
    taken = at_standby.becomes("acknowledged")
    assert (taken["id"], taken["acknowledged_by"]) == (incident, "Aiko")
    # A key on the primary's call, which still rings: it counts there, and both stacks say the same in the end.
    comes_back(pair.primary, after_ms=AWAY_MS)
    if story.call(old["sid"])["status"] in RINGS:
        story.system.answer(old["sid"])
        story.system.press(old["sid"], "1")
    pair.standby.reconciles()
    assert story.becomes("acknowledged")["acknowledged_by"] == "Aiko"
    story.ended(old["sid"])
    assert story.called() == ["aiko", "aiko"]


def test_the_primary_returns_with_its_old_state(pair: Pair) -> None:
    story, at_standby = pair.story("aiko", "ben", ring_seconds=10)
    story.fire()
    at_standby.fire()
    story.rings("aiko")
    posted = wait_until(lambda: story.becomes("triggered").get("slack_ts"), 60, "the primary's message")
    follows(at_standby)
    goes_down(pair.primary)
    second = story.rings("aiko", 2, timeout=90)
    at_standby.system.answer(second["sid"])
    at_standby.system.press(second["sid"], "1")
    at_standby.becomes("acknowledged")
    comes_back(pair.primary, after_ms=AWAY_MS)
    story.fire()  # Alertmanager's repeat
    at_standby.fire()
    assert story.becomes("acknowledged")["acknowledged_by"] == "Aiko"
    time.sleep(30)  # longer than a phone rings
    assert len(story.calls()) == 2
    messages = story.messages()
    assert [message["ts"] for message in messages if not message["thread_ts"]] == [posted]
    assert any("standby takes over" in message["text"] for message in messages)
    assert story.incident()["id"] == at_standby.incident()["id"]  # type: ignore[index]  # both are there


def test_a_primary_that_never_had_the_group_does_not_ring_for_what_somebody_has(pair: Pair) -> None:
    story, at_standby = pair.story("aiko")
    goes_down(pair.primary)
    at_standby.fire()
    at_standby.takes("aiko")
    at_standby.becomes("acknowledged")
    comes_back(pair.primary, after_ms=AWAY_MS)
    story.fire()
    assert story.becomes("acknowledged")["acknowledged_by"] == "Aiko"
    time.sleep(5)
    assert story.called() == ["aiko"]


def test_the_link_between_them_is_cut(pair: Pair) -> None:
    """Both ring; whoever takes it in one has it in both as soon as they hear of each other."""
    story, at_standby = pair.story("aiko")
    cannot_be_asked(pair.primary)
    cannot_be_asked(pair.standby)
    story.fire()
    at_standby.fire()
    story.rings("aiko")
    second = story.rings("aiko", 2)
    at_standby.system.answer(second["sid"])
    at_standby.system.press(second["sid"], "1")
    at_standby.becomes("acknowledged")
    for night in (pair.primary, pair.standby):
        comes_back(night)
    pair.standby.reconciles()
    story.becomes("acknowledged")
    story.ended(story.calls("aiko")[0]["sid"])
    assert len(story.calls()) == 2


def test_resolved_at_the_standby_only(pair: Pair) -> None:
    story, at_standby = pair.story("aiko")
    story.fire()
    at_standby.fire()
    call = story.rings("aiko")
    at_standby.resolve()
    story.becomes("resolved", timeout=SOON)
    story.ended(call["sid"])
    assert story.called() == ["aiko"]


def test_resolved_at_the_primary_only(pair: Pair) -> None:
    story, at_standby = pair.story("aiko")
    story.fire()
    at_standby.fire()
    story.rings("aiko")
    story.resolve()
    story.becomes("resolved")
    at_standby.night.rests()
    assert story.called() == ["aiko"]
    assert at_standby.incidents() == []


def test_acknowledged_at_the_standby_resolved_at_the_primary(pair: Pair) -> None:
    story, at_standby = pair.story("aiko")
    goes_down(pair.primary)
    at_standby.fire()
    at_standby.takes("aiko")
    at_standby.becomes("acknowledged")
    comes_back(pair.primary, after_ms=AWAY_MS)
    pair.standby.reconciles()
    story.becomes("acknowledged")
    story.resolve()
    story.becomes("resolved")
    at_standby.becomes("resolved", timeout=20)  # it is told at once; its reconciler would come within a minute
    wait_until(
        lambda: [m for m in story.messages() if "Resolved" in m["text"]],
        30,
        "Slack telling it",
    )
    assert len([m for m in story.messages() if not m["thread_ts"]]) == 1


def test_a_standby_that_is_down_for_long_slows_nothing_and_is_told(pair: Pair) -> None:
    goes_down(pair.standby)
    week_ago = round(time.time() * 1000) - 7 * 86_400_000
    pair.primary.table.update(Update("PEER", "STATE", set={"heard_at": week_ago}, remove=("told_at",)))
    before = len(pair.primary.system.published())
    pair.primary.reconciles()
    pair.primary.reconciles()
    told = [one["subject"] for one in pair.primary.system.published()[before:]]
    assert told.count("On-call: the standby does not answer") == 1
    seconds = []
    for _ in range(3):
        story = pair.primary.story("aiko")
        began = time.time()
        story.fire()
        seconds.append(story.takes("aiko")["created_at"] - began)
        story.becomes("acknowledged")
    assert min(seconds) < 5


def question(system: Devstack, token: str) -> tuple[dict[str, str], bytes]:
    """A question as the standby sends it."""
    sent: list[tuple[dict[str, str], bytes]] = []

    def post(url: str, headers: Any, body: bytes, seconds: float) -> Reply:
        del url, seconds
        sent.append((dict(headers), body))
        raise NoAnswerError("kept")

    peer = Peer(system.endpoints["gateway"], "standby", lambda: [token], post)
    with pytest.raises(NoAnswerError):
        peer.ask("groups", {"group": "1", "received_at": 1, "shares": []})
    return sent[0]


def test_forged_and_replayed_questions_are_refused(pair: Pair) -> None:
    system = pair.primary.system
    token = system.ssm.get_parameter(Name="/oncall/peer-token", WithDecryption=True)["Parameter"]["Value"]
    address = f"{system.endpoints['gateway']}/peer/groups"
    headers, body = question(system, token)
    first = requests.post(address, data=body, headers=headers, timeout=30)
    assert first.status_code == 200
    assert first.headers[wire.SIGNATURE]
    assert requests.post(address, data=body, headers=headers, timeout=30).status_code == 403
    forged, body = question(system, "f" * 43)
    assert requests.post(address, data=body, headers=forged, timeout=30).status_code == 403
    assert requests.post(address, data=body, timeout=30).status_code == 403
    bearer = {"Authorization": f"Bearer {system.endpoints['bearer_token']}"}
    assert requests.post(address, data=body, headers=bearer, timeout=30).status_code == 403


def test_everything_of_the_standby_is_said_in_a_file_of_its_own(pair: Pair) -> None:
    ours, theirs = pair.primary.system.endpoints, pair.standby.system.endpoints
    assert ours.keys() - theirs.keys() == set()
    assert {name for name in ours if ours[name] != theirs[name]} == {
        "gateway",
        "aws",
        "region",
        "table",
        "state_machine_arn",
    }
    assert Path(pair.standby.system.directory).parent == pair.primary.system.directory


ADDED = """
responders:
  {name}:
    name: Somebody New
    phone: "+12025550100"
"""


@pytest.mark.parametrize("down", ["primary", "standby"])
def test_the_roster_changes_while_one_is_down(pair: Pair, down: str, tmp_path: Path) -> None:
    away = getattr(pair, down)
    there = pair.standby if down == "primary" else pair.primary
    goes_down(away)
    name = f"new-{time.time_ns()}"
    file = tmp_path / "roster.yaml"
    file.write_text(ADDED.format(name=name))
    endpoints = there.system.endpoints
    command = [sys.executable, "-m", "oncall_cli", "roster", "apply", "--yes", "--force", str(file)]
    command += ["--stack-name", "on-call", "--endpoint-url", endpoints["aws"], "--region", endpoints["region"]]
    key = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    ran = subprocess.run(  # noqa: S603  # our own program
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **key}
    )
    assert ran.returncode == 0, ran.stderr
    assert f"the {down} does not answer: it follows within two minutes" in ran.stderr
    comes_back(away, after_ms=AWAY_MS if down == "primary" else 0)
    wait_until(lambda: name in roster.read_table(away.table).responders, 120, f"the {down} having the roster")


def test_a_storm_during_a_takeover_rings_one_phone_at_a_time(pair: Pair) -> None:
    _, at_standby = pair.story(
        "aiko", "ben", ring_seconds=20, rounds=20
    )  # somebody answers when all is there, and not before
    goes_down(pair.primary)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: at_standby.posts(at_standby.webhook(f"shop {number}")), range(STORM)))
    wait_until(at_standby.calls, 300, "a phone ringing")
    most = 0
    until = time.time() + 30
    while time.time() < until:
        most = max(most, sum(call["status"] in (*RINGS, "in-progress") for call in at_standby.calls()))
        time.sleep(0.5)
    assert most == 1
    wait_until(lambda: len(at_standby.incidents()) == STORM, 600, f"{STORM} incidents")
    # The next phone that rings is answered: whoever takes it has them all.
    at_standby.phone("aiko", "answer", digits="1")
    at_standby.phone("ben", "answer", digits="1")

    def all_taken() -> bool:
        found = at_standby.incidents()
        return {one["state"] for one in found} == {"acknowledged"}

    wait_until(all_taken, 600, "all of them being taken")
