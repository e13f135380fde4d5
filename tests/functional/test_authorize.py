"""Authorize: who has a token is let in, and nobody else."""

import time

import pytest
from botocore.exceptions import ClientError

from oncall import aws
from oncall.errors import ConfigurationError
from tests.functional.handlers import ARN, BEARER, HEARTBEAT, SsmAway, Stack, authorize, store

# An invocation that has nothing to count is no fault; Powertools warns of it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


@pytest.mark.parametrize("header", [f"Bearer {BEARER}", f"bearer {BEARER}", f"Bearer  {BEARER} "])
def test_the_right_token_is_let_in(stack: Stack, header: str) -> None:
    assert authorize(stack, header) == "Allow"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {BEARER}",
        BEARER,
        "Bearer bearer-toke",
        "Bearer bearer-token-",
        "Bearer 鍵",
        "Bearer \x00",
    ],
)
def test_any_other_token_is_refused(stack: Stack, header: str) -> None:
    assert authorize(stack, header) == "Deny"


def test_heartbeats_have_a_token_of_their_own(stack: Stack) -> None:
    doors = {ARN: f"Bearer {BEARER}", f"{ARN.rpartition('/')[0]}/heartbeat": f"Bearer {HEARTBEAT}"}
    for door in doors:
        for own, header in doors.items():
            event = {"type": "TOKEN", "authorizationToken": header, "methodArn": door}
            answer = stack.call("authorize", event)
            (statement,) = answer["policyDocument"]["Statement"]
            allowed = door == own
            assert statement["Effect"] == ("Allow" if allowed else "Deny"), (door, header)
            assert answer["principalId"] == ("alertmanager" if allowed else "-"), "nobody, as the access log has it"


def test_a_missing_token_of_heartbeats_keeps_no_alert_out(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_TOKEN_PARAMETER", "/oncall/nothing")
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    assert authorize(stack, "Bearer another") == "Deny"


def test_during_a_change_both_tokens_are_let_in(stack: Stack) -> None:
    store("BEARER_TOKEN_PARAMETER", "old-token new-token")
    assert [authorize(stack, f"Bearer {token}") for token in ("old-token", "new-token", "old-token new-token")] == [
        *("Allow", "Allow", "Deny")
    ]


def test_a_token_that_was_just_changed_is_let_in_at_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    store("BEARER_TOKEN_PARAMETER", "changed")
    later = time.monotonic() + 11
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert authorize(stack, "Bearer changed") == "Allow"
    assert authorize(stack, f"Bearer {BEARER}") == "Deny"


def test_a_known_token_is_let_in_while_ssm_is_away_and_another_one_is_asked_to_come_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    monkeypatch.setattr(aws, "client", lambda *_: SsmAway())
    later = time.monotonic() + aws.SECRET_SECONDS + 1
    monkeypatch.setattr("oncall.aws.time.monotonic", lambda: later)
    assert authorize(stack, f"Bearer {BEARER}") == "Allow"
    with pytest.raises(ClientError):  # it may be the new one: a refusal would lose a page
        authorize(stack, "Bearer changed")


def test_a_secret_that_cannot_be_read_is_an_error_and_no_refusal(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "client", lambda *_: SsmAway())
    with pytest.raises(ClientError):
        authorize(stack, f"Bearer {BEARER}")


@pytest.mark.parametrize("missing", ["the parameter", "its value"])
def test_a_missing_secret_says_what_to_store(stack: Stack, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    if missing == "the parameter":
        monkeypatch.setenv("BEARER_TOKEN_PARAMETER", "/oncall/nothing")
    else:
        store("BEARER_TOKEN_PARAMETER", " ")
    with pytest.raises(ConfigurationError, match="/oncall/"):
        authorize(stack, f"Bearer {BEARER}")
