"""What a newcomer types, and what somebody reads at 80 columns at night."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from oncall.alerts.alertmanager import read_webhook
from oncall.incidents import Event, Route, open_incident, tell
from oncall.table import Table
from oncall_cli import incident_commands
from oncall_cli.errors import CommandError
from oncall_cli.main import app
from oncall_cli.output import confirm
from oncall_cli.target import Target
from oncall_cli.when import parse_duration
from tests.builders import START, alert, webhook
from tests.cli.conftest import REGION, Run

ROSTER = """\
responders: {alice: {phone: "+12025550100", name: Alice}, bob: {phone: "+12025550101", name: Bob}}
schedules: {primary: {members: [alice]}, second: {members: [bob]}}
policies: {day: {steps: [{schedule: primary}]}, night: {steps: [{schedule: second}]}}
products: {shop: {policy: day}, billing: {policy: night}}
"""


@pytest.fixture
def applied(oncall: Run, write: Callable[..., str]) -> Run:
    assert oncall("roster", "apply", write(ROSTER)).status == 0
    return oncall


@pytest.fixture
def incident(target: Target) -> str:
    return opened(target, call=True)


def opened(target: Target, *, call: bool) -> str:
    """An incident of a full disk that Alice has."""
    one = alert(
        "Disk",
        annotations={
            "summary": "db-01 has a full disk",
            "description": "/var/lib has 2% left, and fills in an hour",
            "runbook_url": "https://example.com/runbooks/disk",
        },
    )
    group = read_webhook(webhook(one, product="shop"), received_at=START)
    table = Table(target.dynamodb, target.table)
    route = Route("default", call=call, channel="C0", base="")
    incident = open_incident(table, group, execution="one", now=START, route=route).incident
    tell(table, incident.id, Event("ringing", key="1", who="Alice"), now=START + 1000)
    told = Event(
        "acknowledged", key="2", who="Alice", detail={"via": "phone", "seconds": 9, "covered": 30}, at=START + 9000
    )
    tell(table, incident.id, told, now=START + 20_000, state="acknowledged", set_={"acknowledged_by": "Alice"})
    return incident.id


def test_the_version(run: Run) -> None:
    assert run("--version").out.startswith("oncall 0.")


def test_without_a_terminal_nothing_is_written_without_yes(target: Target, write: Callable[..., str]) -> None:
    given = ["roster", "apply", write(ROSTER), "--table", target.table, "--region", REGION]
    refused = CliRunner().invoke(app, given)
    assert refused.exit_code == 1
    assert "there is no terminal to ask at. Give --yes" in refused.stderr
    assert CliRunner().invoke(app, ["roster", "history", *given[3:], "--json"]).stdout == "[]\n"
    with pytest.raises(CommandError):
        confirm("Sure?", yes=False)


@pytest.mark.parametrize(
    ("written", "hours"), [("90m", 1.5), ("2h30m", 2.5), ("1w", 168), ("1d 12h", 36), ("2 weeks", 336), ("1H", 1)]
)
def test_lengths(written: str, hours: float) -> None:
    assert parse_duration(written) == timedelta(hours=hours)


@pytest.mark.parametrize("written", ["", "0h", "2", "2h30", "h", "2hm", "2 h x", "-1h"])
def test_what_is_no_length(written: str) -> None:
    with pytest.raises(CommandError, match="write it like 90m, 2h30m"):
        parse_duration(written)


def test_who_without_a_product_lists_each_policy(applied: Run) -> None:
    shown = applied("who").out
    assert "policy day" in shown
    assert "for shop" in shown
    assert "policy night" in shown
    assert "for billing" in shown
    assert shown.index("Alice") < shown.index("policy night") < shown.index("Bob")


def test_who_says_that_the_roster_does_not_know_a_product(applied: Run) -> None:
    assert "the roster has no product 'shpo', so the policy" in (told := applied("who", "--product", "shpo")).err
    assert "did you mean shop?" in told.err


def test_a_page_for_an_unknown_product_wakes_nobody(applied: Run) -> None:
    refused = applied("page", "shpo", "checkout is slow")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == "oncall: the roster has no product 'shpo': did you mean shop?\n"


def test_an_override_made_twice_is_one_and_says_how_to_undo_it(applied: Run) -> None:
    first = applied("take", "bob", "--for", "2h", "--schedule", "primary")
    assert "undo it: oncall override remove bob-" in first.out
    again = applied("take", "bob", "--for", "2h", "--schedule", "primary")
    assert "says so already" in again.out
    assert len(applied("override", "list", "--json").json) == 1


def test_an_incident_of_a_product_without_calls_says_so(oncall: Run, target: Target) -> None:
    quiet = opened(target, call=False)
    assert "It rings nobody: the product shop has call: false\n" in oncall("incident", quiet).out
    assert oncall("incident", quiet, "--json").json["call"] is False


def test_an_incident_that_rings_does_not_say_that_it_does_not(oncall: Run, incident: str) -> None:
    assert "rings nobody" not in oncall("incident", incident).out


def test_an_incident_reads_as_slacks_thread_in_the_order_of_what_was_done(
    oncall: Run, incident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    lines = oncall("incident", incident).out.splitlines()
    assert lines[1:4] == [
        "db-01 has a full disk",
        "/var/lib has 2% left, and fills in an hour",
        "Runbook: https://example.com/runbooks/disk",
    ]
    assert lines[-4:] == [
        "Monday 2026-11-23",
        "03:00:00  The alert fired.",
        "03:00:01  Calling Alice …",
        "03:00:09  Acknowledged: Alice took it by phone after 9 s, with 29 others.",
    ]


def test_at_80_columns_ids_are_whole_and_each_line_fits(
    oncall: Run, incident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_commands, "now", lambda: START + 60_000)
    monkeypatch.setattr(incident_commands, "terminal_columns", lambda: 80)
    for arguments in (("incidents",), ("incident", incident)):
        shown = oncall(*arguments).out
        assert incident in shown
        assert max(map(len, shown.splitlines())) <= 80
