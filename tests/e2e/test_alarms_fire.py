"""Each alarm on our own parts fires of what it is about, and the fallback topic is told.

Elsewhere: the heartbeat's (test_heartbeat.py), the probe's (test_probe.py). Not at all: executions that run for
a day, and an alarm of CloudWatch's that EventBridge has given up after a day of trying.
"""

import time
from collections.abc import Callable, Iterator

import pytest
import requests

from oncall.table import Update
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Night

SPEED = 30  # a minute of CloudWatch's takes two seconds
PATIENCE = 180.0  # seconds, on a busy machine
ELSEWHERE = {"heartbeat-silent", "probe-failed", "probe-ring-slow", "probe-acknowledge-slow"}
IN_A_DAY = {"executions-timed-out", "alarms-lost", "alerts-shadowed"}


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


def until(night: Night, *alarms: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Waits until these alarms were told of. `meanwhile` goes on happening."""

    def told() -> bool:
        meanwhile()
        return set(alarms) <= alarmed(night)

    try:
        wait_until(told, PATIENCE, ", ".join(alarms))
    except AssertionError as error:
        raise AssertionError(f"nobody was told of {sorted(set(alarms) - alarmed(night))}") from error


def declared(night: Night) -> set[str]:
    """The stack's alarms, without its name."""
    found = night.system.client("cloudwatch").describe_alarms(AlarmNamePrefix="on-call-")["MetricAlarms"]
    return {each["AlarmName"].removeprefix("on-call-") for each in found}


def functions(night: Night) -> dict[str, str]:
    """The names of the stack's functions, by their alarms'."""
    found = night.system.cloudformation.describe_stack_resources(StackName="on-call")["StackResources"]
    names = {each["LogicalResourceId"]: each for each in found if each["ResourceType"] == "AWS::Lambda::Function"}
    alarms = night.system.client("cloudwatch").describe_alarms(AlarmNamePrefix="on-call-")["MetricAlarms"]
    return {
        alarm["AlarmName"].removeprefix("on-call-").removesuffix("-errors"): logical_id
        for logical_id, each in names.items()
        for alarm in alarms
        if alarm.get("MetricName") == "Errors" and alarm["Dimensions"][0]["Value"] == each["PhysicalResourceId"]
    }


def the_reconcilers_schedule(night: Night) -> str:
    """The name of its rule."""
    rules = night.system.client("events").list_rules()["Rules"]
    [name] = [rule["Name"] for rule in rules if "Reconcile" in rule["Name"] and rule.get("ScheduleExpression")]
    return str(name)


def functions_die_and_have_to_wait(night: Night) -> None:
    """Each function fails, and then is throttled, until somebody was told."""
    ours = functions(night)
    everybody = {f"lambda:{logical_id}" for logical_id in ours.values()}

    def invoke_all() -> None:
        for logical_id in ours.values():
            answer = night.system.client("lambda")
            try:
                answer.invoke(FunctionName=night.function(logical_id), Payload=b"{}")
            except answer.exceptions.TooManyRequestsException:
                continue

    night.system.faults("aws", {key: {"kill": "before"} for key in everybody})
    invoke_all()
    until(night, *(f"{name}-errors" for name in ours))
    night.system.faults("aws", {key: {"status": 429, "type": "TooManyRequestsException"} for key in everybody})
    invoke_all()
    until(night, *(f"{name}-throttles" for name in ours))
    night.system.faults("aws", {})


def test_every_alarm_is_told_of_when_what_it_is_about_happens(night: Night) -> None:
    system = night.system
    functions_die_and_have_to_wait(night)

    # Somebody has disabled the schedule.
    schedule = the_reconcilers_schedule(night)
    system.client("events").disable_rule(Name=schedule)
    until(night, "reconciler-silent")
    system.client("events").enable_rule(Name=schedule)

    # The gateway: AWS refuses, a token is wrong again and again, and a client with the right one posts what is no webhook.
    shop = night.story("ann")
    system.faults("aws", {"states:StartExecution": {"status": 503, "type": "ServiceUnavailable"}})
    until(night, "api-errors", meanwhile=lambda: system.post_alerts(shop.webhook()))
    system.faults("aws", {})
    for _ in range(50):
        assert system.post_alerts(shop.webhook(), token="wrong" * 9).status_code == 403
    until(
        night, "api-refusals", "tokens-refused", meanwhile=lambda: system.post_alerts(shop.webhook(), token="wrong" * 9)
    )
    assert "alerts-refused" not in alarmed(night), "who has no token cannot hide who has one"
    assert system.post_alerts("no webhook").status_code == 400
    until(night, "alerts-refused")

    # A known sender's event that is none.
    address = f"{system.endpoints['gateway']}/events/generic"
    token = {"Authorization": f"Bearer {system.endpoints['bearer_token']}"}
    assert requests.post(address, json={"no": "summary"}, headers=token, timeout=30).status_code == 400
    until(night, "events-refused")

    # An execution that fails. It has before others are stopped below: a busy machine would stop it too.
    shop.starts({})
    until(night, "executions-failed")

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
    for execution in running:
        night.stepfunctions.stop_execution(executionArn=execution["executionArn"])
    system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})
    until(night, "executions-aborted", "pages-unanswered")

    # Slack refuses, and refuses.
    system.faults("slack", {"status": 500, "times": 100_000})
    blog = night.story()
    blog.fire("blog", severity="warning")
    behind = wait_until(
        lambda: found if (found := blog.incident("blog")) and "slack_behind_since" in found else None,
        PATIENCE,
        "Slack being behind",
    )

    def minutes_pass() -> None:
        past = int(time.time() * 1000) - 1
        night.table.update(Update(behind["pk"], "STATE", set={"due_at": past}))

    until(night, "slack-behind", meanwhile=minutes_pass)

    assert declared(night) - alarmed(night) <= ELSEWHERE | IN_A_DAY
