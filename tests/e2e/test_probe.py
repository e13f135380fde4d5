"""The probe on the whole system: from the gateway over Twilio's webhooks to a key that is heard, and what it finds."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from devstack.system.stack import PROBE
from oncall.probe import record as probe
from oncall.table import Table
from oncall_cli.main import app
from tests.devstack_fixture import Devstack, running_devstack, wait_until
from tests.e2e.story import Night
from tests.e2e.test_command import Command, wrong

SPEED = 30  # a minute of CloudWatch's and of schedules takes two seconds


@pytest.fixture
def oncall(night: Night) -> Command:
    night.system.control("PUT", "twilio", "settings", {"speech_rate": 5.0})
    return Command(night)


@pytest.fixture
def number(night: Night) -> Iterator["Number"]:
    """The probe's number at Twilio; its voice URL is as it was, afterwards."""
    number = Number(night.system)
    before = number.found["voice_url"]
    yield number
    number.set(before)


class Number:
    """The probe's number, by Twilio's API."""

    def __init__(self, system: Devstack) -> None:
        values = system.ssm.get_parameters(
            Names=["/oncall/twilio-account-sid", "/oncall/twilio-auth-token"], WithDecryption=True
        )["Parameters"]
        sid, token = (one["Value"] for one in sorted(values, key=lambda one: one["Name"]))
        self._auth = (sid, token)
        self._url = f"{system.endpoints['twilio']}/2010-04-01/Accounts/{self._auth[0]}/IncomingPhoneNumbers"

    @property
    def found(self) -> Any:
        """The number as Twilio has it."""
        answer = requests.get(f"{self._url}.json", params={"PhoneNumber": PROBE}, auth=self._auth, timeout=30)
        return answer.json()["incoming_phone_numbers"][0]

    def set(self, voice_url: str) -> None:
        """Somebody changes it in Twilio's console."""
        address = f"{self._url}/{self.found['sid']}.json"
        assert requests.post(address, data={"VoiceUrl": voice_url}, auth=self._auth, timeout=30).ok


def lines(night: Night) -> list[str]:
    """What Slack shows of probes."""
    return [one["text"] for one in night.system.messages() if "自己診断" in one["text"]]


def test_an_alert_of_our_own_goes_the_whole_way_and_shows_in_one_line(night: Night, oncall: Command) -> None:
    before = len(lines(night))
    tried = oncall("probe")
    assert (tried["good"], tried["problem"], tried["slack"]) == (True, "", "")
    assert list(tried["seconds"]) == [
        *("accepted", "opened", "ringing", "answered", "acknowledged", "resolved", "slack")
    ]
    call = next(one for one in reversed(night.system.calls()) if one["to"] == PROBE)
    assert (call["digits"][0], call["answered_by"]) == ("1", "human")
    (line,) = lines(night)[before:]
    assert line.startswith("✅")
    # Nobody has to look at it.
    assert "oncall-probe" not in [one["product"] for one in oncall("incidents")]
    assert "oncall-probe" in [one["product"] for one in oncall("incidents", "--probes")]
    assert "oncall-probe" not in oncall("report", "--since", "1d")["by_product"]
    (last,) = [one for one in oncall("doctor", status=1)["checks"] if one["name"] == "last probe"]
    assert last["level"] == "good"


def test_each_hop_is_printed_with_its_seconds(night: Night) -> None:
    night.system.control("PUT", "twilio", "settings", {"speech_rate": 5.0})
    ran = CliRunner().invoke(
        app, ["probe", "--devstack"], env={**os.environ, "DEVSTACK_DIR": str(night.system.directory)}
    )
    assert ran.exit_code == 0, (ran.stdout, ran.stderr)
    assert [line.split("s  ")[-1] for line in ran.stdout.splitlines()] == [
        "the gateway accepted the webhook",
        "an incident was opened",
        "Twilio took the call",
        "the number answered",
        "the key was heard: acknowledged",
        "the incident was resolved",
        "Slack shows it",
        "an alert reaches a telephone, and its key is heard",
    ]


def test_a_number_without_its_voice_url_is_found_while_a_real_page_rings_on(
    night: Night, oncall: Command, number: Number
) -> None:
    story = night.story("alice", "bob", ring_seconds=60)
    story.fire()
    story.rings("alice")
    number.set("http://127.0.0.1:9/nobody")
    failed = oncall("probe", status=1)
    assert not failed["good"]
    assert "no key was heard" in oncall.said
    assert "does not answer as the probe needs it" in wrong(oncall("doctor", status=1))["probe's number"]
    assert lines(night)[-1].startswith("❌")
    told = [one for one in night.system.published() if one["subject"] == "On-call: the probe failed"]
    assert "no key was heard" in told[-1]["message"]
    assert story.called() == ["alice"]
    story.takes("alice")


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devstack]:
    """A system whose probe runs every twenty seconds, by its schedule."""
    environment = {"MONITORING": "0", "SCHEDULE_SPEED": str(SPEED), "PROBE_SCHEDULE": "rate(10 minutes)"}
    with running_devstack(tmp_path_factory.mktemp("probe"), **environment) as running:
        running.control("PUT", "twilio", "settings", {"speech_rate": 10.0})
        yield running


def test_it_runs_by_its_schedule_and_the_fallback_topic_hears_of_a_failure(scheduled: Devstack) -> None:
    table = Table(scheduled.dynamodb, scheduled.endpoints["table"])

    def ended(problem: str) -> bool:
        run = probe.last(table)
        return bool(run and "ended_at" in run and problem in run["problem"] and bool(run["problem"]) == bool(problem))

    wait_until(lambda: ended(""), 120, "a probe by schedule")
    scheduled.line(PROBE, "busy")
    wait_until(lambda: ended("was busy"), 120, "a probe that fails")

    def told(subject: str) -> bool:
        return any((one["subject"] or "").startswith(subject) for one in scheduled.published())

    wait_until(lambda: told("On-call: the probe failed"), what="the probe's own message")
    assert {one["to"] for one in scheduled.calls()} == {PROBE}, "nobody is woken"
