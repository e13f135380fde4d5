"""Each alarm on our own parts fires of what it is about, and the fallback topic is told.

Elsewhere: the heartbeat's (test_heartbeat.py). Not at all: executions that run for a day, and an alarm of CloudWatch's
that EventBridge has given up after a day of trying.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import requests

from oncall.table import Update
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Night

SPEED = 30  # a minute of CloudWatch's takes two seconds
PATIENCE = 180.0  # seconds, on a busy machine
ELSEWHERE = {"heartbeat-silent"}
IN_A_DAY = {"alarms-lost"}
STEPS = ("ReceiveAlertsFunction", "PhoneCallFunction", "SlackNotificationFunction")
DOORS = {  # a request that each function behind the API has to answer
    "AuthorizeFunction": ("POST", "/alerts", True),
    "ReceiveEventFunction": ("POST", "/events/generic/{key}", False),
    "PhoneReplyFunction": ("POST", "/calls/status", False),
    "SlackReplyFunction": ("POST", "/slack/actions", False),
    "ShiftCalendarFunction": ("GET", "/schedule.ics?token={key}", False),
    "PeerFunction": ("POST", "/peer/{key}", False),
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A system for alarms alone."""
    directory = tmp_path_factory.mktemp("alarms")
    environment = {"MONITORING": "0", "HEARTBEAT_EXPECTED": "false", "SCHEDULE_SPEED": str(SPEED), "ROSTER": ROSTER}
    with running_devstack(directory, **environment) as system:
        yield night_of(system)


def alarmed(night: Night) -> set[str]:
    """The alarms that the fallback topic was told of, without the stack's name."""
    subjects = [each["subject"] or "" for each in night.system.published()]
    return {subject.split('"')[1].removeprefix("on-call-") for subject in subjects if subject.startswith("ALARM: ")}


def until(night: Night, alarm: str) -> None:
    """Waits until an alarm was told of."""
    wait_until(lambda: alarm in alarmed(night), PATIENCE, alarm)


def declared(night: Night) -> set[str]:
    """The stack's alarms, without its name."""
    found = night.system.client("cloudwatch").describe_alarms(AlarmNamePrefix="on-call-")["MetricAlarms"]
    return {each["AlarmName"].removeprefix("on-call-") for each in found}


def told(night: Night) -> set[str]:
    """What our own functions have told the fallback topic, by its subject."""
    subjects = {each["subject"] or "" for each in night.system.published()}
    return {subject.removeprefix("On-call: ") for subject in subjects if subject.startswith("On-call: ")}


def functions(night: Night) -> set[str]:
    """The logical ids of the stack's functions."""
    found = night.system.cloudformation.describe_stack_resources(StackName="on-call")["StackResources"]
    return {each["LogicalResourceId"] for each in found if each["ResourceType"] == "AWS::Lambda::Function"}


@contextmanager
def telling(night: Night, alarm: str, what: str) -> Iterator[None]:
    """What happens within has to be told by an alarm, which may have been told of something else before."""

    def times() -> int:
        subjects = [each["subject"] or "" for each in night.system.published()]
        return sum(subject.startswith(f'ALARM: "on-call-{alarm}"') for subject in subjects)

    def is_over() -> bool:
        states = night.system.control("GET", "aws", "alarms")
        return [each["state"] for each in states if each["name"] == f"on-call-{alarm}"] != ["ALARM"]

    wait_until(is_over, PATIENCE, f"{alarm} being over")
    before = times()
    yield
    wait_until(lambda: times() > before, PATIENCE, f"{alarm} for {what}")


def the_reconcilers_schedule(night: Night) -> str:
    """The name of its rule."""
    rules = night.system.client("events").list_rules()["Rules"]
    [name] = [rule["Name"] for rule in rules if "Reconcile" in rule["Name"] and rule.get("ScheduleExpression")]
    return str(name)


def knock(night: Night, function: str) -> None:
    """A request from outside that only a function can answer."""
    method, path, has_token = DOORS[function]
    headers = {"Authorization": f"Bearer {uuid4().hex}{uuid4().hex}"} if has_token else {}
    address = f"{night.system.endpoints['gateway']}{path.format(key='k' * 40)}"
    requests.request(method, address, data="{}", headers=headers | {"Content-Type": "application/json"}, timeout=30)


FAULTS = [{"kill": "before", "times": 100}, {"status": 429, "type": "TooManyRequestsException"}]


@pytest.mark.parametrize("fault", FAULTS, ids=["dies", "has to wait"])
def test_whatever_a_function_behind_the_api_does_is_told_of(night: Night, fault: dict[str, object]) -> None:
    behind = sorted(functions(night) & set(DOORS))
    assert set(DOORS) - set(behind) <= {"PeerFunction"}, "there is no other stack here"
    for function in behind:
        with telling(night, "failures", function):
            night.system.faults("aws", {f"lambda:{function}": fault})
            knock(night, function)
            night.system.faults("aws", {})


@pytest.mark.parametrize("fault", FAULTS, ids=["dies", "has to wait"])
def test_whatever_a_function_does_as_a_step_is_told_of(night: Night, fault: dict[str, object]) -> None:
    for function in STEPS:
        story = night.story("ann")
        with telling(night, "failures", function):
            night.system.faults("aws", {f"lambda:{function}": fault | {"times": 1}})
            story.fire("step")
        night.system.faults("aws", {})
        story.resolve("step")


def test_every_function_is_watched(night: Night) -> None:
    assert functions(night) - set(DOORS) - set(STEPS) <= {"ReconcileFunction", "ProbeFunction"}


def test_what_the_gateway_refuses_is_told_of(night: Night) -> None:
    """AWS refuses, a token is wrong again and again, and senders with a good one post what cannot be read."""
    system, shop = night.system, night.story("ann")
    with telling(night, "failures", "a refused execution"):
        system.faults("aws", {"states:StartExecution": {"status": 503, "type": "ServiceUnavailable"}})
        assert system.post_alerts(shop.webhook()).status_code == 503
        system.faults("aws", {})
    with telling(night, "requests-refused", "a wrong token"):
        for _ in range(3):
            assert system.post_alerts(shop.webhook(), token="wrong" * 9).status_code == 403
    assert "alerts-refused" not in alarmed(night), "who has no token cannot hide who has one"
    with telling(night, "alerts-refused", "what is no webhook"):
        assert system.post_alerts("no webhook").status_code == 400
    address = f"{system.endpoints['gateway']}/events/generic"
    token = {"Authorization": f"Bearer {system.endpoints['bearer_token']}"}
    with telling(night, "alerts-refused", "what is no event"):
        assert requests.post(address, json={"no": "summary"}, headers=token, timeout=30).status_code == 400


def test_slack_that_is_behind_for_long_is_told_of(night: Night) -> None:
    night.system.faults("slack", {"status": 500, "times": 100_000})
    blog = night.story()
    blog.fire("blog", severity="warning")
    behind = wait_until(
        lambda: found if (found := blog.incident("blog")) and "slack_behind_since" in found else None,
        PATIENCE,
        "Slack being behind",
    )

    def is_told() -> bool:
        past = int(time.time() * 1000) - 1
        night.table.update(Update(behind["pk"], "STATE", set={"due_at": past, "slack_behind_since": past - 600_000}))
        return "Slack has not heard of what happened" in told(night)

    wait_until(is_told, PATIENCE, "Slack being behind for long")
    night.system.faults("slack", {})


def test_every_alarm_is_told_of_when_what_it_is_about_happens(night: Night) -> None:
    system = night.system
    with telling(night, "reconcile-errors", "the reconciler's death"):
        system.faults("aws", {"lambda:ReconcileFunction": {"kill": "before", "times": 5}})
    system.faults("aws", {})

    with telling(night, "probe-errors", "the probe's death"):
        system.faults("aws", {"lambda:ProbeFunction": {"kill": "before"}})
        system.client("lambda").invoke(FunctionName=night.function("ProbeFunction"), Payload=b"{}")
    system.faults("aws", {})

    # Somebody has disabled the schedule.
    schedule = the_reconcilers_schedule(night)
    system.client("events").disable_rule(Name=schedule)
    until(night, "reconciler-silent")
    system.client("events").enable_rule(Name=schedule)

    # An execution that fails. It has before others are stopped below: a busy machine would stop it too.
    shop = night.story("ann")
    with telling(night, "failures", "an execution that failed"):
        shop.starts({})

    # The table lets us wait.
    throttled = {"status": 400, "type": "ProvisionedThroughputExceededException"}
    writes = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")
    system.faults("aws", {f"dynamodb:{action}": throttled for action in writes})
    shop.fire("writes")
    until(night, "table-write-throttles")
    system.faults("aws", {"dynamodb:Query": throttled})
    until(night, "table-read-throttles")
    system.faults("aws", {})

    # Executions that are stopped, and a page that nobody takes.
    call = shop.rings("ann")
    running = night.stepfunctions.list_executions(
        stateMachineArn=system.endpoints["state_machine_arn"], statusFilter="RUNNING"
    )["executions"]
    shop.phone("ann", "busy")
    with telling(night, "failures", "executions that are stopped"):
        for execution in running:
            night.stepfunctions.stop_execution(executionArn=execution["executionArn"])
    system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})
    wait_until(lambda: "nobody took a page" in told(night), PATIENCE, "an unanswered page")
    stopped = [subject for subject in told(night) if subject.endswith("ended as ABORTED")]
    assert stopped, "by name, beside the alarm"

    assert declared(night) - alarmed(night) <= ELSEWHERE | IN_A_DAY
