"""Every path of the state machine, executed: what is asked of whom, in which order, and how it ends."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oncall.alerts import by_hand
from tests.devstack.application import wait_for
from tests.statemachine.stand_in import (
    CALL,
    RECEIVE,
    SLACK,
    TOPIC,
    Answer,
    Machine,
    after,
    fails,
    gives,
    refuses,
)

GROUP_KEY = '{}:{alertname="it\'s {} \\\\ 漢😀"}'
WEBHOOK: dict[str, Any] = {
    "source": "alertmanager",
    "received_at": 1_780_000_000_000,
    "webhook": {"groupKey": GROUP_KEY, "status": "firing", "alerts": [{"status": "firing", "labels": {}}]},
}
RESPONDERS = [
    {"id": "aiko", "name": "Aiko", "language": "ja"},
    {"id": "ben", "name": "Ben", "language": None},
]
DONE = gives({"done": True, "wait_seconds": 0, "incidents": []})
BEHIND = gives({"done": False, "wait_seconds": 1, "incidents": ["i1"]})
RINGS = gives(None)
RETRIES = 10
SLACK_STATES = {"SlackAlert", "SlackAlertBesideCall", "SlackNotification"}


def decides(action: str, severity: str = "critical", timeout_seconds: int = 30) -> Answer:
    """ReceiveAlerts' answer."""
    page = {"policy": "default", "page": "p1", "timeout_seconds": timeout_seconds} if action == "page" else {}
    return gives(
        {
            "action": action,
            "severity": severity,
            "incidents": ["i1"],
            "page": page,
            "responders": RESPONDERS if page else [],
            "follow": {},
        }
    )


def says(
    result: str, following: str, *, incidents: tuple[str, ...] = (), wait_seconds: int = 0, reason: str = "as told"
) -> dict[str, Any]:
    """What releases a PhoneCall step."""
    return {
        "result": result,
        "reason": reason,
        "next": following,
        "wait_seconds": wait_seconds,
        "incidents": list(incidents),
    }


def taken(*incidents: str) -> dict[str, Any]:
    """The end of a page that a human took."""
    return says("success", "end", incidents=incidents, reason="acknowledged by Aiko")


def when_rung(machine: Machine, call: int) -> str:
    """The task token of a call that rings now."""
    wait_for(lambda: len(machine.stand_in.events(CALL)) >= call, f"call {call}")
    token: str = machine.stand_in.events(CALL)[call - 1]["token"]
    return token


def told(machine: Machine) -> str:
    """The one message of the fallback topic."""
    (message,) = machine.stand_in.published
    assert message["TopicArn"] == TOPIC
    return f"{message['Subject']}\n{message['Message']}"


def phone_states(states: list[str]) -> list[str]:
    """The states of the branch that calls."""
    own = {"PhoneCall", "NoWordFromTheCall", "IsItTaken", "WaitToCall", "PhoneCallFailed", "PageEnded", "CallsEnded"}
    return [state for state in states if state in own]


# What to do.


def test_a_warning_goes_to_slack_alone(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("alert", "warning"))
    machine.stand_in.script(SLACK, DONE)
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states == ["ReceiveAlerts", "WhatToDo", "SlackAlert", "IsSlackAlerted", "Done"]
    assert machine.stand_in.events(RECEIVE) == [{"execution": ran.arn, "input": WEBHOOK}]
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}]
    assert not machine.stand_in.published


def test_a_critical_group_that_joined_an_open_page_rings_nobody_else(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("alert", "critical"))
    machine.stand_in.script(SLACK, DONE)
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states[2:] == ["SlackAlert", "IsSlackAlerted", "Done"]


def test_one_of_many_that_joined_is_told_by_others_and_looks_once_whether_it_was(machine: Machine) -> None:
    joined = {"action": "alert", "severity": "critical", "incidents": ["i1"], "page": {}, "responders": []}
    machine.stand_in.script(RECEIVE, gives({**joined, "follow": {"wait_seconds": 1}}))
    machine.stand_in.script(SLACK, DONE)
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states == ["ReceiveAlerts", "WhatToDo", "WaitForOthers", "SlackAlert", "IsSlackAlerted", "Done"]
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}]


def test_a_group_that_joined_waits_twice_for_its_turn_in_slack_with_at_most_twelve_transitions(
    machine: Machine,
) -> None:
    machine.stand_in.script(RECEIVE, decides("alert"))
    machine.stand_in.script(SLACK, BEHIND, BEHIND, DONE)
    ran = machine.start(WEBHOOK)
    assert ran.ended() == "SUCCEEDED"
    assert Counter(ran.states)["SlackAlert"] == 3
    assert len(ran.states) == 11


def test_what_repeats_or_resolves_only_updates_slack(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("notify"))
    machine.stand_in.script(SLACK, DONE)
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states[2:] == ["SlackNotification", "IsSlackNotified", "DidAllWork", "Done"]
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}]


def test_nothing_to_do_ends_at_once(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("none"))
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states == ["ReceiveAlerts", "WhatToDo", "Done"]


def test_a_standby_waits_and_then_asks_again_with_what_it_was_given(machine: Machine) -> None:
    following = {**WEBHOOK, "followed": "once"}
    waits = {"action": "follow", "severity": "critical", "incidents": [], "page": {}, "responders": []}
    machine.stand_in.script(
        RECEIVE, gives({**waits, "follow": {"wait_seconds": 1, "request": following}}), decides("none")
    )
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert ran.states == ["ReceiveAlerts", "WhatToDo", "Follow", "ReceiveAlerts", "WhatToDo", "Done"]
    assert [event["input"] for event in machine.stand_in.events(RECEIVE)] == [WEBHOOK, following]


@pytest.mark.parametrize("decision", [decides("dance"), decides("page", "warning")], ids=["new", "mixed up"])
def test_a_decision_that_the_machine_does_not_know_is_not_lost_in_silence(machine: Machine, decision: Answer) -> None:
    """While a deployment changes both, an old execution can meet a new function."""
    machine.stand_in.script(RECEIVE, decision)
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert ran.states == ["ReceiveAlerts", "WhatToDo", "ReportFailure", "Failed"]
    assert ran.arn in told(machine)


# The phones.


def test_the_first_responder_takes_it(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, RINGS, machine.releases(taken("i1", "i2")))
    ran = machine.start(WEBHOOK)
    token = when_rung(machine, 1)
    pressed = says("success", "call", reason="acknowledged by Aiko")
    machine.client.send_task_success(taskToken=token, output=json.dumps(pressed))
    assert ran.ended() == "SUCCEEDED"
    # What is billed: every state entered is a transition.
    assert Counter(ran.states) == Counter(
        [
            *("ReceiveAlerts", "WhatToDo", "AlertAndCall"),
            *("SlackAlertBesideCall", "IsSlackAlertedBesideCall", "SlackTold"),
            *("PhoneCall", "IsItTaken", "PhoneCall", "IsItTaken", "PageEnded"),
            *("SlackNotification", "IsSlackNotified", "DidAllWork", "Done"),
        ]
    )
    assert len(ran.states) == 15
    assert machine.stand_in.events(CALL)[0] == {
        "token": token,
        "execution": ran.arn,
        "page": {"policy": "default", "page": "p1", "timeout_seconds": 30},
        "responders": RESPONDERS,
    }
    assert not machine.stand_in.published


def test_every_call_waits_with_a_token_of_its_own(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, RINGS)
    ran = machine.start(WEBHOOK)
    first = when_rung(machine, 1)
    machine.client.send_task_success(taskToken=first, output=json.dumps(says("fail", "call", reason="no-answer")))
    second = when_rung(machine, 2)
    assert first != second
    with pytest.raises(machine.client.exceptions.TaskTimedOut):
        machine.client.send_task_success(taskToken=first, output=json.dumps(taken("i1")))
    assert ran.status == "RUNNING"
    machine.client.send_task_success(taskToken=second, output=json.dumps(taken("i1")))
    assert ran.ended() == "SUCCEEDED"


def test_the_second_responder_takes_what_the_first_did_not(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, RINGS, RINGS, machine.releases(taken("i1")))
    ran = machine.start(WEBHOOK)
    for call, word in ((1, says("fail", "call", reason="busy")), (2, says("success", "call"))):
        machine.client.send_task_success(taskToken=when_rung(machine, call), output=json.dumps(word))
    assert ran.ended() == "SUCCEEDED"
    assert phone_states(ran.states) == [*(["PhoneCall", "IsItTaken"] * 3), "PageEnded"]
    calls = machine.stand_in.events(CALL)
    assert [call["page"] for call in calls] == [calls[0]["page"]] * 3
    assert [call["responders"] for call in calls] == [RESPONDERS] * 3


def test_a_product_without_calls_is_skipped(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, machine.releases(says("skip", "end")))
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert phone_states(ran.states) == ["PhoneCall", "IsItTaken", "CallsEnded"]
    # It named no incidents, so Slack hears of the execution's own.
    assert "PageEnded" not in ran.states
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}] * 2


def test_a_page_that_nobody_took_ends_without_a_failure_of_ours(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, machine.releases(says("fail", "end", incidents=("i1", "i7"), reason="unanswered")))
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert machine.stand_in.events(SLACK)[-1] == {"incidents": ["i1", "i7"]}


def test_all_incidents_of_a_page_reach_slack_when_it_ends(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    covered = [f"i{number}" for number in range(300)]
    machine.stand_in.script(CALL, machine.releases(taken(*covered)))
    assert machine.run(WEBHOOK).status == "SUCCEEDED"
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}, {"incidents": covered}]


def test_a_call_without_a_word_is_looked_at_again_and_is_no_failure(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page", timeout_seconds=1))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, RINGS, machine.releases(taken("i1")))
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert phone_states(ran.states) == ["PhoneCall", "NoWordFromTheCall", "PhoneCall", "IsItTaken", "PageEnded"]
    assert not machine.stand_in.published


def test_calls_pause_when_they_are_told_to(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    waits = machine.releases(says("fail", "wait", wait_seconds=1, reason="quiet"))
    machine.stand_in.script(CALL, waits, waits, machine.releases(taken("i1")))
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    assert phone_states(ran.states) == [*(["PhoneCall", "IsItTaken", "WaitToCall"] * 2), *phone_states(ran.states)[-3:]]
    assert phone_states(ran.states)[-3:] == ["PhoneCall", "IsItTaken", "PageEnded"]


# Slack beside the phones.


def test_phones_do_not_wait_for_slack(machine: Machine) -> None:
    answered = threading.Event()
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, after(answered, DONE), DONE)

    def take(event: dict[str, Any]) -> None:
        machine.releases(taken("i1"))(event)
        answered.set()

    machine.stand_in.script(CALL, take)
    assert machine.run(WEBHOOK).status == "SUCCEEDED"


def test_slack_does_not_wait_for_phones(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, RINGS)
    ran = machine.start(WEBHOOK)
    wait_for(lambda: "SlackTold" in ran.states, "Slack to be told")
    machine.client.send_task_success(taskToken=when_rung(machine, 1), output=json.dumps(taken("i1")))
    assert ran.ended() == "SUCCEEDED"


@pytest.mark.parametrize(
    ("action", "asked", "waited"),
    [
        ("alert", "SlackAlert", "WaitForSlackAlert"),
        ("notify", "SlackNotification", "WaitForSlack"),
        ("page", "SlackAlertBesideCall", "WaitForSlackBesideCall"),
    ],
)
def test_slack_is_asked_again_until_it_is_up_to_date(machine: Machine, action: str, asked: str, waited: str) -> None:
    machine.stand_in.script(RECEIVE, decides(action))
    machine.stand_in.script(SLACK, BEHIND, BEHIND, DONE)
    told_slack = threading.Event()
    machine.stand_in.script(CALL, after(told_slack, machine.releases(taken("i1"))))
    ran = machine.start(WEBHOOK)
    wait_for(lambda: ran.states.count(asked) == 3, f"{asked} to be entered three times")
    told_slack.set()
    assert ran.ended() == "SUCCEEDED"
    assert ran.states.count(waited) == 2


# What fails ends red and loud.


def test_slack_failing_beside_the_call_does_not_stop_the_calls(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, fails("ConfigurationError"), DONE)
    machine.stand_in.script(CALL, RINGS, RINGS, machine.releases(taken("i1")))
    ran = machine.start(WEBHOOK)
    wait_for(lambda: "SlackTold" in ran.states, "Slack to have failed")
    for call in (1, 2):
        machine.client.send_task_success(taskToken=when_rung(machine, call), output=json.dumps(says("fail", "call")))
    assert ran.ended() == "FAILED"
    assert phone_states(ran.states) == [*(["PhoneCall", "IsItTaken"] * 3), "PageEnded"]
    # Slack was asked once more after the calls, and the failure before it is told.
    assert ran.states[-5:] == ["SlackNotification", "IsSlackNotified", "DidAllWork", "ReportFailure", "Failed"]
    assert ran.arn in told(machine)


def test_calls_failing_end_red_after_slack_and_the_topic_were_told(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, fails("ConfigurationError"))
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert phone_states(ran.states) == ["PhoneCall", "PhoneCallFailed", "CallsEnded"]
    assert ran.states[-5:] == ["SlackNotification", "IsSlackNotified", "DidAllWork", "ReportFailure", "Failed"]
    assert machine.stand_in.events(SLACK) == [{"incidents": ["i1"]}] * 2
    assert ran.arn in told(machine)


def test_a_call_that_fails_after_it_waited_ends_red(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, machine.releases(says("fail", "call")), fails("ConfigurationError"))
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert phone_states(ran.states) == ["PhoneCall", "IsItTaken", "PhoneCall", "PhoneCallFailed", "CallsEnded"]
    assert ran.arn in told(machine)


@pytest.mark.parametrize("action", ["alert", "notify"])
def test_slack_failing_ends_red(machine: Machine, action: str) -> None:
    machine.stand_in.script(RECEIVE, decides(action))
    machine.stand_in.script(SLACK, fails("ConfigurationError"))
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert ran.states[-2:] == ["ReportFailure", "Failed"]
    assert ran.arn in told(machine)


def test_a_group_that_cannot_be_read_is_named_on_the_topic(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("WebhookError"))
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert ran.states == ["ReceiveAlerts", "WhatWasLost", "ReportLostGroup", "Failed"]
    message = told(machine)
    assert GROUP_KEY in message
    assert "firing" in message
    assert "WebhookError" in message
    assert ran.arn in message


def test_a_lost_event_of_another_source_is_told_with_what_it_was_about(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("WebhookError"))
    ran = machine.run({"source": "cloudwatch", "about": "shop-cpu", "detail": {}})
    assert ran.states == ["ReceiveAlerts", "WhatWasLost", "ReportLostEvent", "Failed"]
    message = told(machine)
    assert "cloudwatch" in message
    assert "shop-cpu" in message
    assert ran.arn in message


def test_a_lost_execution_of_the_reconciler_is_told_too(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("ConfigurationError"))
    ran = machine.run({"source": "reconciler", "policy": "default"})
    assert ran.status == "FAILED"
    assert ran.states == ["ReceiveAlerts", "WhatWasLost", "ReportFailure", "Failed"]
    assert ran.arn in told(machine)


@pytest.mark.parametrize("given", [WEBHOOK, {"source": "reconciler", "policy": "default"}], ids=["group", "reconciler"])
def test_a_topic_that_cannot_be_told_still_ends_red(machine: Machine, given: dict[str, Any]) -> None:
    machine.stand_in.script(RECEIVE, fails("WebhookError"))
    machine.stand_in.script("sns", refuses(503, "ServiceUnavailable"))
    ran = machine.run(given)
    assert ran.status == "FAILED"
    assert ran.states[-1] == "Failed"
    assert len(machine.stand_in.published) == 1 + RETRIES


def test_a_topic_that_is_away_for_a_moment_is_told_after_it(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("WebhookError"))
    machine.stand_in.script("sns", refuses(503, "ServiceUnavailable"), refuses(500, "InternalFailure"), gives(None))
    assert machine.run(WEBHOOK).status == "FAILED"
    assert len(machine.stand_in.published) == 3


# What may pass is tried again, what never will is not.

PASSING = [
    fails("ClientError"),
    fails("Sandbox.Timedout"),
    fails("Runtime.ExitError"),
    refuses(429, "TooManyRequestsException"),
    refuses(500, "ServiceException"),
    refuses(502, "EC2ThrottledException"),
]


@pytest.mark.parametrize("function", [RECEIVE, CALL, SLACK])
def test_what_may_pass_is_tried_again(machine: Machine, function: str) -> None:
    answers = {RECEIVE: decides("page"), SLACK: DONE, CALL: machine.releases(taken("i1"))}
    for name, answer in answers.items():
        machine.stand_in.script(name, *(PASSING if name == function else ()), answer)
    ran = machine.run(WEBHOOK)
    assert ran.status == "SUCCEEDED"
    calls = machine.stand_in.events(CALL)
    assert len({call["token"] for call in calls}) == len(calls), "a retry waits with a new token"
    assert len(machine.stand_in.events(function)) == len(PASSING) + (2 if function == SLACK else 1)
    assert not machine.stand_in.published


def test_a_function_that_hangs_is_given_up_and_tried_again(
    make_machine: Callable[[dict[str, Any]], Machine], definition: dict[str, Any]
) -> None:
    definition["States"]["SlackAlert"]["TimeoutSeconds"] = 1
    machine = make_machine(definition)
    over = threading.Event()
    machine.stand_in.script(RECEIVE, decides("alert"))
    machine.stand_in.script(SLACK, after(over, DONE), DONE)
    ran = machine.run(WEBHOOK)
    over.set()
    assert ran.status == "SUCCEEDED"
    assert len(machine.stand_in.events(SLACK)) == 2


@pytest.mark.parametrize("function", [CALL, SLACK])
def test_trying_again_ends(machine: Machine, function: str) -> None:
    answers = {RECEIVE: decides("page"), SLACK: DONE, CALL: machine.releases(taken("i1"))}
    for name, answer in answers.items():
        machine.stand_in.script(name, fails("ClientError") if name == function else answer)
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    asked = Counter(ran.states)
    states = {CALL: ["PhoneCall"], SLACK: ["SlackAlertBesideCall", "SlackNotification"]}
    assert [asked[state] for state in states[function]] == [1] * len(states[function]), "a retry is no new state"
    assert len(machine.stand_in.events(function)) == (1 + RETRIES) * len(states[function])
    assert ran.arn in told(machine)


EVENT = {"source": "pagerduty", "about": "shop-cpu", "said": "firing", "group": {}}
BY_HAND = by_hand.request("page-1", product="shop", text="checkout is slow", by="Ann", now=1, gateway="x")
AWAY = [fails("ClientError")] * (1 + RETRIES)


@pytest.mark.parametrize(
    ("given", "words"),
    [(WEBHOOK, GROUP_KEY), (EVENT, "shop-cpu"), (BY_HAND, "checkout is slow")],
    ids=["group", "event", "by hand"],
)
def test_what_was_accepted_while_the_table_was_away_for_long_is_told_once_and_rings_when_it_is_back(
    machine: Machine, given: dict[str, Any], words: str
) -> None:
    away = [*AWAY, *[fails("ClientError")] * 5]
    machine.stand_in.script(RECEIVE, *away, decides("page"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, machine.releases(taken("i1")))
    ran = machine.run(given)
    assert ran.status == "SUCCEEDED"
    assert len(machine.stand_in.events(CALL)) == 1
    asked = machine.stand_in.events(RECEIVE)
    assert [event["input"]["source"] for event in asked] == [given["source"]] * (len(away) + 1)
    message = told(machine)
    assert words in message
    assert "nobody was rung yet" in message
    assert "It is tried again every minute" in message


@pytest.mark.parametrize(
    "given",
    [WEBHOOK | {"webhook": {**WEBHOOK["webhook"], "status": "resolved"}}, EVENT | {"said": "resolved"}],
    ids=["group", "event"],
)
def test_what_is_over_and_cannot_be_read_yet_wakes_nobody(machine: Machine, given: dict[str, Any]) -> None:
    machine.stand_in.script(RECEIVE, *AWAY, decides("notify"))
    machine.stand_in.script(SLACK, DONE)
    assert machine.run(given).status == "SUCCEEDED"
    assert machine.stand_in.published == []


def test_whoever_waits_for_the_reconciler_is_told_that_it_goes_on(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("ClientError"))
    ran = machine.run({"source": "reconciler", "policy": "default"})
    assert ran.status == "FAILED"
    assert ran.states == ["ReceiveAlerts", "WhatWaits", "ReportFailure", "Failed"]


@pytest.mark.parametrize("error", ["WebhookError", "ClientError"], ids=["it cannot be read", "the table stays away"])
def test_the_end_of_trying_is_told(
    make_machine: Callable[[dict[str, Any]], Machine], definition: dict[str, Any], error: str
) -> None:
    definition["States"]["ReadAgain"]["Retry"][-1]["MaxAttempts"] = 3
    machine = make_machine(definition)
    machine.stand_in.script(RECEIVE, *AWAY, fails("ClientError"), fails(error))
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    assert ran.states[-4:] == ["ReadAgain", "WhatWasLost", "ReportLostGroup", "Failed"]
    waits, lost = [message["Message"] for message in machine.stand_in.published]
    assert "is tried again" in waits
    assert "It is not tried again" in lost
    assert GROUP_KEY in lost


def test_what_is_tried_again_ends_before_the_execution_does(definition: dict[str, Any]) -> None:
    """Then its end is told with what it was. Each attempt may take as long as it is given."""
    again = definition["States"]["ReadAgain"]
    longest = again["Retry"][-1]["MaxAttempts"] * (again["Retry"][-1]["IntervalSeconds"] + again["TimeoutSeconds"])
    assert 12 * 3600 < longest < definition["TimeoutSeconds"] - 3600


def test_an_error_of_our_own_code_is_given_up_after_a_minute(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, fails("KeyError"))
    ran = machine.run(WEBHOOK)
    assert ran.states == ["ReceiveAlerts", "WhatWasLost", "ReportLostGroup", "Failed"]
    assert len(machine.stand_in.events(RECEIVE)) == 1 + RETRIES
    assert "It is not tried again" in told(machine)


def test_a_topic_that_is_away_keeps_nobody_from_being_rung(machine: Machine) -> None:
    machine.stand_in.script(RECEIVE, *AWAY, decides("page"))
    machine.stand_in.script("sns", refuses(503, "ServiceUnavailable"))
    machine.stand_in.script(SLACK, DONE)
    machine.stand_in.script(CALL, machine.releases(taken("i1")))
    assert machine.run(WEBHOOK).status == "SUCCEEDED"
    assert len(machine.stand_in.events(CALL)) == 1


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (RECEIVE, "WebhookError"),
        (RECEIVE, "ConfigurationError"),
        (CALL, "ConfigurationError"),
        (SLACK, "ConfigurationError"),
    ],
)
def test_what_never_will_work_is_not_tried_again(machine: Machine, function: str, kind: str) -> None:
    answers = {RECEIVE: decides("page"), SLACK: DONE, CALL: machine.releases(taken("i1"))}
    for name, answer in answers.items():
        machine.stand_in.script(name, fails(kind) if name == function else answer)
    ran = machine.run(WEBHOOK)
    assert ran.status == "FAILED"
    entered = sum(state in SLACK_STATES for state in ran.states) if function == SLACK else 1
    assert len(machine.stand_in.events(function)) == entered
