"""The first set-up of an account in which nothing is yet: secrets are checked before they are stored, nothing is half done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from devstack.slack.api import create_app as slack_app
from devstack.telnyx.api import create_app as telnyx_app
from devstack.twilio.api import create_app as twilio_app
from oncall_cli import secret_store
from oncall_cli.main import app
from tests.cli.conftest import REGION
from tests.devstack.application import serving

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

SID = "AC" + "0123456789abcdef" * 2
TWILIO, BOT, SIGNING = "0c1d2e3f", "xoxb-4a5b6c7d", "8e9f0a1b"
TELNYX, PUBLIC = "KEY2d3e4f", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
RIGHT = f"{SID}\n{TWILIO}\n{BOT}\n{SIGNING}\n"
NOBODY = "\n"  # in the roster

pytestmark = pytest.mark.usefixtures("target")


@pytest.fixture(autouse=True)
def providers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Twilio and Slack are near, and the folder has no roster yet."""
    monkeypatch.chdir(tmp_path)
    phones = twilio_app(account_sid=SID, auth_token=TWILIO, numbers=["+12025550100"])
    workspace = slack_app(bot_token=BOT, signing_secret=SIGNING)
    second = telnyx_app(api_key=TELNYX, account_sid="account", application="1", signing_key=PUBLIC)
    with serving(phones) as twilio_url, serving(second) as telnyx_url, serving(workspace) as slack_url:
        monkeypatch.setattr(secret_store, "TELNYX", telnyx_url)
        monkeypatch.setattr(secret_store, "TWILIO", twilio_url)
        monkeypatch.setattr(secret_store, "SLACK", f"{slack_url}/api/")
        yield


@pytest.fixture
def ssm() -> "SSMClient":
    return boto3.client("ssm", region_name=REGION)


@dataclass
class Answered:
    status: int
    said: str
    shown: str


type SetUp = Callable[..., Answered]


@pytest.fixture
def set_up() -> SetUp:
    def run(answers: str, *options: str) -> Answered:
        ran = CliRunner().invoke(app, ["init", "--region", REGION, *options], input=answers)
        if ran.exception and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return Answered(ran.exit_code, ran.stderr, ran.output)

    return run


def stored(ssm: "SSMClient") -> dict[str, str]:
    found: Any = ssm.get_parameters_by_path(Path="/oncall", Recursive=True, WithDecryption=True)["Parameters"]
    assert all(one["Type"] == "SecureString" for one in found)
    return {one["Name"]: one["Value"] for one in found}


def test_what_is_checked_is_stored(set_up: SetUp, ssm: "SSMClient") -> None:
    done = set_up(RIGHT + NOBODY)
    assert done.status == 0
    secrets = stored(ssm)
    made = [secrets.pop(f"/oncall/{name}-token") for name in ("bearer", "heartbeat")]
    assert [len(token) for token in set(made)] == [64, 64], "made here, and not the same"
    assert secrets == {
        "/oncall/twilio-account-sid": SID,
        "/oncall/twilio-auth-token": TWILIO,
        "/oncall/slack-bot-token": BOT,
        "/oncall/slack-signing-secret": SIGNING,
    }
    assert "sam deploy --guided; at SlackWorkspace type: T0SIMULATED A0SIMULATED" in done.said
    assert not any(secret in done.shown for secret in (TWILIO, BOT, SIGNING))


def test_the_second_telephone_providers_secrets_are_checked_and_stored_if_wanted(
    set_up: SetUp, ssm: "SSMClient"
) -> None:
    twilio, slack = f"{SID}\n{TWILIO}\n", f"{BOT}\n{SIGNING}\n"
    slips = f"KEYwrong\n{PUBLIC}\n{TELNYX}\nno key\n"
    done = set_up(f"{twilio}{slips}{TELNYX}\n{PUBLIC} {PUBLIC}\n{slack}{NOBODY}", "--telnyx")
    assert done.status == 0, done.said
    assert "Telnyx refuses this API key. Once more:" in done.said
    assert "Base64 of 32 bytes (Mission Control, Keys & Credentials). Once more:" in done.said
    secrets = stored(ssm)
    assert (secrets["/oncall/telnyx-api-key"], secrets["/oncall/telnyx-public-key"]) == (TELNYX, f"{PUBLIC} {PUBLIC}")
    assert TELNYX not in done.shown


def test_again_it_keeps_everything(set_up: SetUp, ssm: "SSMClient") -> None:
    set_up(RIGHT + NOBODY)
    before = stored(ssm)
    again = set_up("\n\n\n\n" + NOBODY)
    assert (again.status, stored(ssm)) == (0, before)
    assert "the secrets are as they were" in again.said


def test_a_slip_is_asked_for_again(set_up: SetUp, ssm: "SSMClient") -> None:
    done = set_up(f"{SID}\nwrong\n{SID}\n{TWILIO}\nxoxb-wrong\n{BOT}\n{SIGNING}\n" + NOBODY)
    assert done.status == 0
    assert "Twilio does not know this account SID with this auth token. Once more:" in done.said
    assert "Slack answered invalid_auth. Once more:" in done.said
    assert stored(ssm)["/oncall/slack-bot-token"] == BOT


def test_what_stays_wrong_stores_nothing(set_up: SetUp, ssm: "SSMClient") -> None:
    refused = set_up(f"{SID}\nwrong\n" * 3)
    assert (refused.status, stored(ssm)) == (1, {})
    assert "Twilio does not know" in refused.said


@pytest.mark.parametrize(
    "answers", ["", f"{SID}\n{TWILIO}\n", f"{SID}\n{TWILIO}\n{BOT}\n", f"{SID}\n{TWILIO}\n{BOT}\n\n"]
)
def test_who_stops_in_the_middle_has_stored_nothing(set_up: SetUp, ssm: "SSMClient", answers: str) -> None:
    assert set_up(answers).status == 1
    assert stored(ssm) == {}


def test_the_first_roster_can_be_applied(set_up: SetUp) -> None:
    people = "佐藤 結衣\n\n+81 90-1234-5678\nAlex Miller\nalex\n+12025550142\n\nAsia/Tokyo\n"
    assert set_up(RIGHT + people).status == 0
    assert yaml.safe_load(Path("roster.yaml").read_text()) == {
        "time_zone": "Asia/Tokyo",
        "responders": {
            "responder1": {"name": "佐藤 結衣", "phone": "+819012345678"},
            "alex": {"name": "Alex Miller", "phone": "+12025550142"},
        },
    }
    checked = CliRunner().invoke(app, ["roster", "check", "roster.yaml"])
    assert (checked.exit_code, checked.stdout) == (0, "roster.yaml: good: 2 responders\n")


def test_a_roster_that_is_there_is_left_alone(set_up: SetUp) -> None:
    Path("roster.yaml").write_text("responders: {alice: +12025550100}\n")
    done = set_up(RIGHT)
    assert "roster.yaml is there already" in done.said
    assert Path("roster.yaml").read_text() == "responders: {alice: +12025550100}\n"


def test_doors_of_the_first_roster(set_up: SetUp) -> None:
    """Numbers get their one form, a new area code is let in, and a zone that the stack does not know is asked for again."""
    people = (
        "Hanako\n\n+81 (0)90 1234 5678\nMaría\n\n+52 1 55 1234 5678\n"
        "Eve\n\n+81 3123\n+1 679-555-0123\n\nlocaltime\ntokyo\nAsia/Tokyo\n"
    )
    done = set_up(RIGHT + people)
    assert done.status == 0
    written = yaml.safe_load(Path("roster.yaml").read_text())
    assert [one["phone"] for one in written["responders"].values()] == [
        "+819012345678",
        "+525512345678",
        "+16795550123",
    ]
    assert written["time_zone"] == "Asia/Tokyo"
    for said in (
        "It has 0 after the country code, which is dialled within JP only: write +819012345678.",
        "It has the 1 that mobile numbers of Mexico had",
        "It is too short for JP",
        "It is not known to exist in US",
        "There is no time zone tokyo: did you mean Asia/Tokyo?",
    ):
        assert said in done.said
    assert CliRunner().invoke(app, ["roster", "check", "roster.yaml"]).exit_code == 0
