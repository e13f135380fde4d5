"""The command `oncall` on the whole system: what it says would happen happens, and what it does is done."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from icalendar import Calendar
from typer.testing import CliRunner

from devstack.system.stack import CALLER
from oncall.phone import proofs
from oncall_cli.main import app
from tests.cli.conftest import ASKING
from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story


@dataclass
class Command:
    """`oncall ... --devstack`, run in this process."""

    night: Night

    def __call__(self, *arguments: str, status: int = 0, answers: str | None = None) -> Any:
        """Runs a command with --json; returns what it printed. `answers` are typed in."""
        devstack = {"DEVSTACK_DIR": str(self.night.system.directory)}
        yes = ["--yes"] if any(arguments[: len(asking)] == asking for asking in ASKING) else []
        ran = CliRunner().invoke(app, [*arguments, *yes, "--devstack", "--json"], env=devstack, input=answers)
        if ran.exception and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        assert ran.exit_code == status, (ran.stdout, ran.stderr)
        self.said = ran.stderr
        printed = ran.stdout[ran.stdout.find("{") :] if answers else ran.stdout  # the runner shows questions there, too
        return json.loads(printed) if printed and not (answers and status) else None


@pytest.fixture
def oncall(night: Night) -> Command:
    return Command(night)


@pytest.fixture
def account(night: Night) -> Iterator[None]:
    """Twilio's account is as it was, afterwards."""
    before = night.system.control("GET", "twilio", "account")
    yield
    night.system.control("PUT", "twilio", "account", before)


def rung(simulated: Any) -> list[str]:
    """The ids of whom a simulation rings, in order."""
    return [event["responder"] for event in simulated["events"] if event["responder"]]


def ids(story: Story, people: list[str]) -> list[str]:
    return [story.id_of(person) for person in people]


# ---------------------------------------------------------------- what is foretold


def test_who_and_simulate_say_whom_the_state_machine_then_rings(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob", "carol", rounds=2)
    for person in ("alice", "bob"):
        story.phone(person, "busy")
    story.phone("carol", "answer", digits="1", press_after=0.1)
    who = oncall("who", "--product", story.name)
    simulated = oncall("simulate", "--product", story.name, "--silent", ",".join(ids(story, ["alice", "bob"])))
    story.fire()
    taken = story.becomes("acknowledged")
    assert [one["id"] for one in who["order"]] == ids(story, ["alice", "bob", "carol"])
    assert rung(simulated) == ids(story, story.called()) == ids(story, ["alice", "bob", "carol"])
    assert simulated["events"][-1]["what"] == f"acknowledged by {story.id_of('carol')}"
    assert taken["acknowledged_by"] == "Carol"


def test_a_page_that_nobody_takes_ends_as_simulated(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob", rounds=2, calls=2)
    for person in ("alice", "bob"):
        story.phone(person, "busy")
    simulated = oncall("simulate", "--product", story.name, "--silent", "all")
    story.fire()
    story.becomes("triggered", unanswered=True)
    assert rung(simulated) == ids(story, story.called())
    assert len(story.called()) == 8
    assert simulated["events"][-1]["what"] == f"unanswered: {story.page()['reason']}"


def test_an_override_counts_for_the_next_call_as_foretold(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob")
    story.writes(f"SCHEDULE#{story.name}", {"members": ids(story, ["alice"])})
    story.writes(f"POLICY#{story.name}", {"steps": [{"schedule": story.name}], "rounds": 1, "ring_seconds": 60})
    assert oncall("who", "--product", story.name)["order"][0]["id"] == story.id_of("alice")
    override = oncall("take", story.id_of("bob"), "--for", "1h", "--schedule", story.name)
    assert f"{story.id_of('alice')} -> {story.id_of('bob')}" in oncall.said
    assert oncall("who", "--product", story.name)["order"][0]["id"] == story.id_of("bob")
    later = f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    assert oncall("who", "--product", story.name, "--at", later)["order"][0]["id"] == story.id_of("alice")
    story.fire()
    story.takes("bob")
    assert story.called() == ["bob"]
    oncall("override", "remove", override["id"])
    assert oncall("who", "--product", story.name)["order"][0]["id"] == story.id_of("alice")


# ---------------------------------------------------------------- what is done


def test_a_page_by_hand_is_taken_and_resolved_by_command(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob")
    paged = oncall("page", story.name, "checkout is slow", "--as", story.id_of("bob"))
    assert "rings Alice, then Bob" in oncall.said
    call = story.rings("alice")
    incident = paged["incident"]
    assert incident in [one["id"] for one in oncall("incidents", "--open")]
    assert oncall("acknowledge", incident, "--as", story.id_of("alice"))["by"] == "Alice"
    assert story.ended(call["sid"])["status"] == "canceled"
    story.finished(paged["execution"])
    oncall("acknowledge", incident, "--as", story.id_of("bob"), status=1)
    assert "Alice has it already" in oncall.said
    assert oncall("resolve", incident, "--as", story.id_of("bob"))["resolved"]
    told = oncall("incident", incident)
    assert (told["state"], told["summary"], told["title"]) == ("resolved", "checkout is slow", "Paged by Bob")
    assert [event["kind"] for event in told["timeline"]] == ["triggered", "ringing", "acknowledged", "resolved"]
    assert story.called() == ["alice"]
    oncall("resolve", incident, status=1)
    assert "is resolved already" in oncall.said
    wait_until(lambda: any("Bob ended it by command" in one["text"] for one in story.messages()), 60, "Slack's line")


def test_resolving_stops_a_phone_that_rings(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob")
    execution = story.fire()
    call = story.rings("alice")
    (incident,) = story.incidents()
    oncall("resolve", incident["id"])
    assert "Alerts that fire on open another incident" in oncall.said
    assert story.ended(call["sid"])["status"] == "canceled"
    story.finished(execution)
    assert story.called() == ["alice"]


def test_a_page_for_slack_only_or_without_words_is_refused(night: Night, oncall: Command) -> None:
    story = night.story("alice", product={"call": False})
    oncall("page", story.name, "hello", status=1)
    assert "for Slack only" in oncall.said
    oncall("page", story.name, " ", status=1)
    oncall("page", story.name, "hello", "--as", "nobody", status=1)
    assert "there is no responder 'nobody'" in oncall.said
    assert story.incidents() == []


def test_a_test_call_proves_a_number_and_tells_nobody_else(night: Night, oncall: Command) -> None:
    story = night.story("alice", "bob")
    alice = story.id_of("alice")
    story.phone("alice", "busy")
    oncall("call-test", alice, status=1)
    assert "the line is busy" in oncall.said
    story.phone("alice", "answer", digits="1", press_after=0.1)
    proven = oncall("call-test", alice)
    assert (proven["proven"], proven["status"]) == (True, proofs.PROVEN)
    assert "only a test call" in story.calls("alice")[-1]["said"][0]
    assert story.called() == ["alice", "alice"]
    assert story.messages() == []
    story.phone("bob", "invalid")
    oncall("call-test", story.id_of("bob"), status=1)
    assert "Twilio refuses the number" in oncall.said


def test_a_calendar_can_be_subscribed_to_until_it_is_revoked(night: Night, oncall: Command) -> None:
    story = night.story("alice")
    story.writes(f"SCHEDULE#{story.name}", {"members": ids(story, ["alice"])})
    address = oncall("calendar", "add", story.name, "--responder", story.id_of("alice"))["address"]
    oncall("calendar", "add", story.name, status=1)
    assert "is a calendar" in oncall.said
    answer = requests.get(address, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    (event,) = Calendar.from_ical(answer.text).events
    assert event["SUMMARY"] == f"Alice is on call ({story.name})"
    assert requests.get(address + "x", timeout=30).status_code == 404
    assert requests.get(address.partition("?")[0], timeout=30).status_code == 404
    assert story.name in [one["name"] for one in oncall("calendar", "list")]
    oncall("calendar", "revoke", story.name)
    assert requests.get(address, timeout=30).status_code == 404


# ---------------------------------------------------------------- whether it is ready


def wrong(found: Any) -> dict[str, str]:
    """What a doctor's failed checks say, by their names."""
    return {check["name"]: check["says"] for check in found["checks"] if check["level"] == "failed"}


@pytest.mark.usefixtures("account")
def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(night: Night, oncall: Command) -> None:
    story = night.story("alice")
    alice = story.id_of("alice")
    before = wrong(oncall("doctor", status=1))
    assert before[f"number of {alice}"] == "never proven"
    assert "Twilio" not in before
    assert "texts" not in before
    assert f"channel {story.channel}" not in before
    story.phone("alice", "answer", digits="1", press_after=0.1)
    oncall("call-test", alice)
    night.system.control("PUT", "slack", f"channels/{story.channel}", {"member": False})
    night.system.control(
        "PUT",
        "twilio",
        "account",
        {"balance": "0.40", "type": "Trial", "forbidden_countries": ["US"], "voice_only": [CALLER]},
    )
    rule = night.system.cloudformation.describe_stack_resource(
        StackName="on-call", LogicalResourceId="HeartbeatChanged"
    )["StackResourceDetail"]["PhysicalResourceId"]
    night.system.client("events").disable_rule(Name=rule)
    try:
        found = oncall("doctor", status=1)
    finally:
        night.system.client("events").enable_rule(Name=rule)
    after = wrong(found)
    assert "watch" not in before
    assert after["watch"] == "the rule HeartbeatChanged does not hear the heartbeat's alarm"
    assert f"number of {alice}" not in after
    assert after[f"channel {story.channel}"] == "Slack answered not_in_channel"
    assert after["Twilio's balance"] == "0.40 USD"
    assert after["Twilio's permissions"] == "may not call US"
    assert "on trial" in after["Twilio"]
    assert after["texts"] == f"{CALLER} cannot send text messages"
    assert "tells nobody" in after["fallback topic"]
    assert all(check["do"] for check in found["checks"] if check["level"] != "good")
    (quota,) = (check for check in found["checks"] if check["name"] == "concurrency")
    assert (quota["level"], quota["says"]) == ("warning", "AWS runs 10 functions of this account at once")


def test_a_deployment_is_verified_without_a_ring_or_a_mail(night: Night, oncall: Command) -> None:
    calls, told = len(night.system.calls()), night.system.published()
    found = oncall("verify")
    assert {check["name"]: check["level"] for check in found["checks"]} == dict.fromkeys(
        ("wrong path", "wrong token", "unsigned callback", "webhook", "odd webhook", "long webhook"), "good"
    )
    assert (len(night.system.calls()), night.system.published()) == (calls, told)


def test_what_is_wrong_with_a_deployment_is_said(night: Night, oncall: Command) -> None:
    night.system.faults("gateway", {"start_execution": {"type": "AccessDeniedException", "status": 400, "times": 3}})
    try:
        found = wrong(oncall("verify", status=1))
    finally:
        night.system.faults("gateway", {})
    assert found.keys() == {"webhook", "odd webhook", "long webhook"}
    assert "503" in found["webhook"]


def test_the_doctor_outlives_providers_that_do_not_answer(night: Night, oncall: Command) -> None:
    night.system.faults("slack", {"status": 500, "times": 100})
    assert wrong(oncall("doctor", status=1))["slack"].startswith("Slack answered")


def test_the_guided_setup_keeps_what_is_right_and_asks_again_for_what_is_wrong(
    night: Night, oncall: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    people = "Alice Example\n\n0312345678\n+12025550142\n\nAsia/Tokyo\n"
    kept = oncall("init", answers=f"\n\n\n\n{people}")
    assert kept == {"stored": [], "roster": True}
    assert "It begins with no country code that exists" in oncall.said
    assert oncall_file(tmp_path) == {"time_zone": "Asia/Tokyo", "responders": {"alice": "+12025550142"}}
    oncall("init", answers="ACwrong\nwrong\n" * 3, status=1)
    assert "Twilio does not know this account SID with this auth token" in oncall.said
    ssm = night.system.ssm
    secret = "/oncall/slack-signing-secret"
    before = ssm.get_parameter(Name=secret, WithDecryption=True)["Parameter"]["Value"]
    try:
        assert oncall("init", answers="\n\n\nanother\n")["stored"] == [secret]
        assert ssm.get_parameter(Name=secret, WithDecryption=True)["Parameter"]["Value"] == "another"
        assert "another" not in oncall.said
    finally:
        ssm.put_parameter(Name=secret, Value=before, Type="SecureString", Overwrite=True)


def oncall_file(folder: Path) -> Any:
    """The roster that was written, with each responder's number."""
    document = yaml.safe_load((folder / "roster.yaml").read_text())
    document["responders"] = {key: body["phone"] for key, body in document["responders"].items()}
    return document


def test_a_report_counts_what_happened_but_no_tests(night: Night, oncall: Command) -> None:
    story = night.story("alice")
    story.phone("alice", "answer", digits="1", press_after=0.1)
    story.fire()
    story.becomes("acknowledged")
    story.finished(story.resolve())
    tested = oncall("page", story.name, "only a test", "--test")
    story.finished(tested["execution"])
    report = oncall("report", "--since", "1d")
    assert report["by_product"][story.name] == 1
    assert report["tests"] >= 1
    assert next(one for one in report["woken"] if one["name"] == "Alice")["calls"] >= 1
    assert report["to_acknowledge"]["count"] >= 1
    assert report["cost_of_calls"]["currency"] == "USD"
    of_aws = report["cost_of_aws"]
    assert of_aws["counted"] == of_aws["executions"] >= 1
    assert 5 * of_aws["executions"] <= of_aws["transitions"] <= 40 * of_aws["executions"]
    assert 0 < of_aws["amount"] < 0.01 * of_aws["executions"]
