"""What the doctor says of the roster by itself; what it asks AWS, Twilio and Slack is tried on the whole system."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import requests

from devstack.slack.api import create_app as slack_app
from devstack.slack.workspace import User
from devstack.telnyx.api import create_app as telnyx_app
from oncall import providers
from oncall.roster import parse
from oncall.table import Table
from oncall_cli import doctor, roster_check
from oncall_cli.doctor import Check, Patient
from oncall_cli.providers import ProviderError
from oncall_cli.secret_store import Secrets
from oncall_cli.target import Stack, Target
from tests.devstack.application import serving

NOW = datetime.now(UTC)


def patient(target: Target, document: dict[str, Any], *, deployed_at: datetime = NOW) -> Patient:
    """Of a stack that is not asked for anything."""
    stack = Stack("on-call", "CREATE_COMPLETE", deployed_at, {}, {})
    roster, _ = parse(document)
    return Patient(target, stack, roster, cast("Secrets", None))


@pytest.mark.parametrize(
    ("release", "days", "says", "do"),
    [
        (f"{NOW.year}.1", 10, f"the data are of {NOW.year}.1", ""),
        (f"{NOW.year}.1", 400, "the stack's data are older than its deployment", "sam deploy"),
        (f"{NOW.year - 2}.3", 10, f"the time zone data here are of {NOW.year - 2}.3", "install oncall anew"),
    ],
)
def test_old_time_zones_are_told(
    target: Target, monkeypatch: pytest.MonkeyPatch, release: str, days: int, says: str, do: str
) -> None:
    for module in (doctor, roster_check):
        monkeypatch.setattr(module, "version", lambda _: release)
    (check,) = doctor._time_zones(patient(target, {}, deployed_at=NOW - timedelta(days=days)))
    assert check.says.startswith(says)
    assert do in check.do
    assert check.level == ("warning" if do else "good")


def test_numbers_that_were_mended_by_hand_are_looked_at_too(target: Target) -> None:
    """What is in the table may never have been checked as a file."""
    phones = {"alice": "+8109012345678", "bob": "+819012345678", "carol": "+16795550123", "dave": "+9991234567"}
    found = list(doctor._numbers(patient(target, {"responders": phones})))
    told = {(check.name, check.level, check.says) for check in found if not check.says.startswith("never proven")}
    assert told == {
        (
            "number of alice",
            "failed",
            "has 0 after the country code, which is dialled within JP only: write +819012345678",
        ),
        ("number of bob", "failed", "is also the number of alice: one call would ring both as one"),
        (
            "number of carol",
            "warning",
            "is not known to exist in US: compare each digit. It may be of a range that is newer than our list",
        ),
        ("number of dave", "failed", "begins with no country code that exists: write + and the country code first"),
    }


def test_whose_turn_never_comes_is_told(target: Target) -> None:
    document = {
        "responders": {"alice": "+12025550100", "bob": "+12025550101"},
        "schedules": {"s": {"layers": [{"members": ["alice"]}, {"members": ["bob"]}]}},
        "policies": {"p": {"steps": ["everyone", {"responder": "bob"}]}},
    }
    warnings = [check for check in doctor._roster(patient(target, document)) if check.level == "warning"]
    assert [(check.name, check.says.partition(" reaches")[0]) for check in warnings] == [
        ("coverage", "schedules s layers 1 is never used: the layers before it have all of its hours"),
        ("coverage", "policies p steps 1 the last step"),
    ]
    assert all(isinstance(check, Check) and check.do for check in warnings)


def test_whose_slack_user_is_nobody_is_told(target: Target) -> None:
    known = [User("U0ALICE", "alice"), User("U0DAVE", "dave", deleted=True), User("U0APP", "app", is_bot=True)]
    users = {"alice": "U0ALICE", "bob": "U0BOB", "carol": "U0ALICE", "dave": "U0DAVE", "erin": "U0APP", "frank": None}
    responders = {
        name: {"phone": f"+1202555010{number}", "slack_user": user} for number, (name, user) in enumerate(users.items())
    }
    with serving(slack_app(bot_token="xoxb-1", signing_secret="s", users=known)) as url:
        secrets = Secrets({}, {"SlackBotTokenParameter": "xoxb-1"}, "", f"{url}/api/")
        stack = Stack("on-call", "CREATE_COMPLETE", NOW, {}, {})
        roster, problems = parse({"responders": responders})
        found = list(doctor._slack_users(Patient(target, stack, roster, secrets)))
    assert problems == ()
    assert {(check.name, check.level, check.says) for check in found} == {
        (
            "Slack user of carol",
            "failed",
            "is also the Slack user of alice: what they press in Slack would count as alice's",
        ),
        ("Slack user of alice", "good", "U0ALICE is alice"),
        ("Slack user of bob", "failed", "nobody in the workspace is U0BOB"),
        ("Slack user of carol", "good", "U0ALICE is alice"),
        ("Slack user of dave", "failed", "U0DAVE (dave) is deactivated in Slack"),
        ("Slack user of erin", "failed", "U0APP is the app app, which presses no button"),
    }
    assert all(check.do for check in found if check.level == "failed")


@pytest.mark.parametrize(
    ("pinned", "level", "says"),
    [
        ("", "warning", "buttons and /oncall count from any workspace and app"),
        (
            "T0OTHER A0SIMULATED",
            "failed",
            "SlackWorkspace is T0OTHER A0SIMULATED, and the token is of T0SIMULATED A0SIMULATED",
        ),
        ("A0SIMULATED T0SIMULATED", "good", "buttons and /oncall count from T0SIMULATED A0SIMULATED alone"),
    ],
)
def test_a_workspace_that_is_not_pinned_is_told(target: Target, pinned: str, level: str, says: str) -> None:
    values = {"SlackBotTokenParameter": "xoxb-1"}
    with serving(slack_app(bot_token="xoxb-1", signing_secret="s", channels={"C0": "on-call"})) as url:
        secrets = Secrets({}, values, "", f"{url}/api/")
        stack = Stack("on-call", "CREATE_COMPLETE", NOW, {}, {"SlackWorkspace": pinned, "SlackChannel": "C0"})
        found = list(doctor._slack(Patient(target, stack, parse({})[0], secrets)))
    (check,) = [one for one in found if one.name == "Slack's workspace"]
    assert (check.level, check.says.partition(":")[0]) == (level, says)
    assert ('SlackWorkspace="T0SIMULATED A0SIMULATED"' in check.do) is (level != "good")


TELNYX = {
    "TelnyxApplicationId": "1293384261075731499",
    "TelnyxAccountSid": "account",
    "TelnyxCallerNumber": "+12025550197",
}


def telnyx_says(target: Target, account: dict[str, Any], **changed: str) -> dict[str, tuple[str, str]]:
    """What the doctor says of Telnyx, whose account is like this: by name, the level and the words."""
    phones = telnyx_app(
        api_key="KEY1",
        account_sid="account",
        application=TELNYX["TelnyxApplicationId"],
        signing_key="A" * 43 + "=",
        numbers=["+12025550197"],
    )
    with serving(phones) as url:
        requests.put(f"{url}/_sim/account", json=account, timeout=10).raise_for_status()
        values = {"TelnyxApiKeyParameter": changed.pop("key", "KEY1")}
        secrets = Secrets({}, values, "", "", "account", url)
        stack = Stack("on-call", "CREATE_COMPLETE", NOW, {}, {**TELNYX, **changed})
        return {
            one.name: (one.level, one.says) for one in doctor._telnyx(Patient(target, stack, parse({})[0], secrets))
        }


def test_a_second_provider_that_is_ready_is_good(target: Target) -> None:
    assert telnyx_says(target, {}) == {
        "Telnyx": ("good", "the key is right, and the application places calls"),
        "Telnyx's balance": ("good", "100.00 USD"),
        "Telnyx's number": ("good", "+12025550197 belongs to the account"),
    }


@pytest.mark.parametrize(
    ("account", "changed", "name", "level"),
    [
        ({"application": {"active": False}}, {}, "Telnyx", "failed"),
        ({"application": {"outbound": {}}}, {}, "Telnyx", "failed"),
        ({"application": {"voice_method": "get"}}, {}, "Telnyx", "failed"),
        ({"balance": "1.20"}, {}, "Telnyx's balance", "failed"),
        ({}, {"TelnyxCallerNumber": "+12025550111"}, "Telnyx's number", "warning"),
    ],
)
def test_what_would_keep_the_second_provider_from_calling_is_told(
    target: Target, account: dict[str, Any], changed: dict[str, str], name: str, level: str
) -> None:
    assert telnyx_says(target, account, **changed)[name][0] == level


@pytest.mark.parametrize("changed", [{"key": "KEY2"}])
def test_a_wrong_key_of_the_second_provider_is_told(target: Target, changed: dict[str, str]) -> None:
    with pytest.raises(ProviderError, match="Telnyx refuses this API key"):  # which the doctor tells as a failed check
        telnyx_says(target, {}, **changed)


def test_which_provider_is_down_is_told(target: Target) -> None:
    assert list(doctor._providers(patient(target, {}))) == []
    providers.trip(Table(target.dynamodb, target.table), "twilio", failure="ring", reason="no ringing", now=1)
    (check,) = doctor._providers(patient(target, {}))
    assert (check.name, check.level) == ("Twilio", "warning")
    assert check.says.endswith("no ringing")
