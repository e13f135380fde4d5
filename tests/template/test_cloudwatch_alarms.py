"""The rule that hears CloudWatch's alarms, and the template of alarms to begin with."""

import json
from typing import Any

import pytest
from cfnlint.api import lint_file
from moto.events.models import EventPattern

from devstack.aws.events import target_input
from devstack.aws.template import Scope, parse
from oncall.alerts.cloudwatch import PRODUCT_TAG, SEVERITY_TAG
from tests.template.conftest import PSEUDO, ROOT
from tests.template.test_lint import REGIONS
from tests.unit.test_alarms_of_cloudwatch import event

ALARMS = ROOT / "cloudwatch/alarms.yaml"


@pytest.fixture(scope="module")
def rule(translated: Any) -> Any:
    """The rule's properties, resolved."""
    scope = Scope(
        refs={**PSEUDO, "Api": "abc123", "StageName": "prod", "StateMachine": "arn"}, attribute=lambda *_: "arn"
    )
    return scope.resolve(translated["Resources"]["AlarmChanged"]["Properties"])


def sent(name: str, state: str = "ALARM", **more: Any) -> dict[str, Any]:
    """An event as EventBridge has it."""
    given = event(state, alarmName=name)
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        **{key: given[key] for key in ("account", "region", "detail")},
        **more,
    }


def matches(rule: Any, given: dict[str, Any]) -> bool:
    """Whether the rule hears an event."""
    return bool(EventPattern.load(json.dumps(rule["EventPattern"])).matches_event(given))  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["ALARM", "OK", "INSUFFICIENT_DATA"])
def test_every_change_of_a_teams_alarm_is_heard(rule: Any, state: str) -> None:
    assert matches(rule, sent("shop-cpu", state))
    assert matches(rule, sent("shop-cpu", state, account="210987654321", region="ap-northeast-1"))


@pytest.mark.parametrize("name", ["oncall-heartbeat-silent", "oncall-api-errors", "TargetTracking-table/x-AlarmHigh-1"])
def test_our_own_alarms_and_those_of_target_tracking_never_page(rule: Any, name: str) -> None:
    assert not matches(rule, sent(name))


def test_nothing_else_is_heard(rule: Any) -> None:
    assert not matches(rule, sent("x", source="custom"))
    assert not matches(rule, sent("x", **{"detail-type": "CloudWatch Alarm Configuration Change"}))


def test_the_execution_is_given_what_is_read(rule: Any) -> None:
    (target,) = rule["Targets"]
    given = json.loads(target_input(target, sent('a "quoted" name')))
    gateway = "abc123.execute-api.us-east-1.amazonaws.com/prod"
    assert given == {**event(alarmName='a "quoted" name'), "about": 'a "quoted" name', "gateway": gateway}


def test_nothing_is_heard_unless_wanted(translated: Any) -> None:
    assert translated["Parameters"]["CloudWatchAlarms"]["Default"] == "false"
    assert translated["Resources"]["AlarmChanged"]["Condition"] == "HearsCloudWatch"
    alarms_lost = translated["Conditions"][translated["Resources"]["AlarmsLost"]["Condition"]]
    assert {"Condition": "HearsCloudWatch"} in alarms_lost["Fn::And"]


def test_cfn_lint_passes_on_the_alarms() -> None:
    assert [str(found) for found in lint_file(ALARMS, config=REGIONS)] == []


def test_every_alarm_to_begin_with_says_whose_it_is_and_how_bad_and_sends_it_along() -> None:
    alarms = {name: each["Properties"] for name, each in parse(ALARMS.read_text())["Resources"].items()}
    assert len(alarms) == 21
    for name, alarm in alarms.items():
        tags = {tag["Key"]: tag["Value"] for tag in alarm["Tags"]}
        assert tags[PRODUCT_TAG] == {"Ref": "Product"}, name
        assert tags[SEVERITY_TAG] in ("critical", "warning"), name
        assert alarm["ActionConfiguration"] == {"AlarmTagsPropagation": {"Enabled": True}}, name
        assert "AlarmActions" not in alarm, name
        assert alarm["AlarmDescription"]["Fn::Sub"].startswith("${Product}: "), name
