"""The devstack's alarms are judged as CloudWatch judges them."""

import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from devstack.aws.cloudwatch import CloudWatch, Rule, filtered, judge, read_rule
from devstack.aws.template import TemplateError
from tests.devstack_fixture import wait_until

PLAIN: dict[str, Any] = {
    "Namespace": "AWS/Lambda",
    "MetricName": "Errors",
    "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
    "Statistic": "Sum",
    "Period": 60,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "Threshold": 1,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "TreatMissingData": "notBreaching",
}
METRIC = ("AWS/Lambda", "Errors", (("FunctionName", "f"),))


def silence(missing: str) -> Rule:
    """An alarm on less than one point in each of three minutes."""
    return Rule(METRIC, "Sum", 60, None, "LessThanThreshold", 1, 3, 3, missing)


def test_a_plain_alarm_is_read() -> None:
    assert read_rule(PLAIN) == Rule(METRIC, "Sum", 60, None, "GreaterThanOrEqualToThreshold", 1, 3, 2, "notBreaching")


def test_an_alarm_on_a_metric_that_is_filled_is_read() -> None:
    stat = {
        "Metric": {key: PLAIN[key] for key in ("Namespace", "MetricName", "Dimensions")},
        "Period": 60,
        "Stat": "Sum",
    }
    metrics = [
        {"Id": "errors", "MetricStat": stat, "ReturnData": False},
        {"Id": "filled", "Expression": "FILL(errors, 0)"},
    ]
    rest = {key: PLAIN[key] for key in ("ComparisonOperator", "Threshold", "EvaluationPeriods")}
    assert read_rule({**rest, "Metrics": metrics}) == Rule(
        METRIC, "Sum", 60, 0, "GreaterThanOrEqualToThreshold", 1, 3, 3, "missing"
    )


def test_a_filter_may_name_several_values() -> None:
    either = {
        "FilterPattern": '{ $.type = "TaskFailed" || $.type = "ExecutionFailed" }',
        "MetricTransformations": [{"MetricNamespace": "x", "MetricName": "Failures", "MetricValue": "1"}],
    }
    for kind, points in (("TaskFailed", 1), ("ExecutionFailed", 1), ("TaskTimedOut", 0)):
        assert len(list(filtered(either, {"type": kind}))) == points


@pytest.mark.parametrize("missing", ["breaching", "notBreaching", "missing"])
def test_an_alarm_on_a_metric_of_dynamodb_ignores_missing_data_whatever_it_says(missing: str) -> None:
    rule = read_rule(PLAIN | {"Namespace": "AWS/DynamoDB", "TreatMissingData": missing})
    assert rule.missing == "ignore"
    assert judge(rule, [None, None, None], "ALARM") == "ALARM"


@pytest.mark.parametrize(
    "wrong",
    [
        {"Statistic": "p99"},
        {"ComparisonOperator": "GreaterThanUpperThreshold"},
        {"Metrics": [{"Id": "e", "Expression": "SELECT 1"}]},
    ],
)
def test_what_is_not_judged_here_is_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        read_rule(PLAIN | wrong)


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([1, 1, 1], "OK"),
        ([0, 0, 0], "ALARM"),
        ([None, 0, None], "ALARM"),
        ([None, None, None], "ALARM"),
        ([1, None, None], "OK"),
        ([None, None, 1], "OK"),
    ],
)
def test_silence_breaches_where_missing_points_do(values: list[float | None], state: str) -> None:
    assert judge(silence("breaching"), values, "OK") == state


@pytest.mark.parametrize(
    ("missing", "state"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM")],
)
def test_no_point_at_all_is_what_the_alarm_says_of_missing_data(missing: str, state: str) -> None:
    assert judge(silence(missing), [None, None, None], "ALARM") == state


@pytest.mark.parametrize(("values", "state"), [([3, None, 1], "ALARM"), ([3, None, 0], "OK"), ([None, 1, 1], "ALARM")])
def test_some_of_the_periods_are_enough(values: list[float | None], state: str) -> None:
    assert judge(read_rule(PLAIN), values, "OK") == state


FILTER = {
    "LogGroupName": "of-a-gateway",
    "FilterPattern": '{ $.status = "4*" }',
    "MetricTransformations": [
        {
            "MetricNamespace": "OnCall",
            "MetricName": "BytesRefused",
            "MetricValue": "$.bytes",
            "Dimensions": [{"Key": "service", "Value": "$.service"}],
        }
    ],
}


def test_a_metric_filter_makes_points_of_the_lines_that_it_sees() -> None:
    line = {"status": "413", "bytes": 3, "service": "on-call"}
    assert list(filtered(FILTER, line)) == [(("OnCall", "BytesRefused", (("service", "on-call"),)), 3)]
    assert not list(filtered(FILTER, line | {"status": "202"}))
    assert not list(filtered(FILTER, {"status": "413", "service": "on-call"}))


def test_a_pattern_that_is_not_read_here_is_said() -> None:
    with pytest.raises(TemplateError):
        list(filtered(FILTER | {"FilterPattern": "ERROR"}, {}))


def test_a_minute_is_judged_however_late() -> None:
    """Whoever is told of a change may take long, and a busy machine as well."""
    told: list[str] = []
    begun, goes_on = threading.Event(), threading.Event()

    def put_event(event: Mapping[str, Any]) -> None:
        told.append(event["detail"]["state"]["value"])
        begun.set()
        goes_on.wait(30)

    declared = {"errors": {**PLAIN, "EvaluationPeriods": 1, "DatapointsToAlarm": 1}}
    resources: Any = SimpleNamespace(alarms=declared, arn=Mock(return_value="arn"), client=Mock(), region="us-east-1")
    speed = 120  # a minute takes half a second
    cloudwatch = CloudWatch(resources, speed=speed, put_event=put_event, failed=pytest.fail)

    def minute() -> int:
        return int(time.time() * speed // 60)

    assert begun.wait(30)
    cloudwatch.put(METRIC, [1])
    late = minute() + 3
    wait_until(lambda: minute() >= late, what="some minutes")
    goes_on.set()
    wait_until(lambda: told[:3] == ["OK", "ALARM", "OK"], what="the alarm, and its end")
