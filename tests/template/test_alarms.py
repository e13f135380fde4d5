"""Who watches the platform itself: alarms for every part, a line in the guide for each, and a dashboard."""

import json
from typing import Any

import pytest

from devstack.aws.cloudwatch import filtered, judge, read_rule
from devstack.aws.template import Scope
from tests.template.conftest import GIVEN, PSEUDO, ROOT
from tests.template.test_resources import of_type

ALARMS = "AWS::CloudWatch::Alarm"
GUIDE = ROOT / "docs/operations.md"


@pytest.fixture(scope="module")
def alarms(translated: Any) -> dict[str, Any]:
    """The alarms' properties."""
    return of_type(translated, ALARMS)


def name_of(alarm: Any) -> str:
    """An alarm's name without the stack's."""
    name: str = alarm["AlarmName"]["Fn::Sub"]
    assert name.startswith("${AWS::StackName}-"), "the topic's policy lets in nothing else"
    return name.removeprefix("${AWS::StackName}-")


def test_every_alarm_tells_the_fallback_topic_what_it_means(alarms: dict[str, Any]) -> None:
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Ref": "FallbackTopic"}], name
        assert len(alarm["AlarmDescription"].split()) >= 8, name
        assert alarm["AlarmDescription"].endswith((".", ").")), name


def test_every_alarm_says_what_missing_data_means_and_only_silence_breaches(alarms: dict[str, Any]) -> None:
    missing = {name: alarm["TreatMissingData"] for name, alarm in alarms.items()}
    assert missing.pop("HeartbeatSilent") == {"Fn::If": ["IsHeartbeatExpected", "breaching", "ignore"]}
    assert missing.pop("ReconcilerSilent") == "ignore"
    assert set(missing.values()) == {"notBreaching"}


def test_a_first_deployment_mails_no_alarm(alarms: dict[str, Any], translated: Any) -> None:
    """An alarm is judged from its first minute on, when nothing has run and nobody was heard."""
    assert translated["Parameters"]["HeartbeatExpected"]["Default"] == "false"
    for name, alarm in alarms.items():
        given = alarm | ({"TreatMissingData": "ignore"} if name == "HeartbeatSilent" else {})
        rule = read_rule(given)
        assert judge(rule, [None] * rule.periods, "INSUFFICIENT_DATA") in ("OK", "INSUFFICIENT_DATA"), name
        assert not alarm.get("InsufficientDataActions"), name


@pytest.mark.parametrize("name", ["HeartbeatSilent", "ReconcilerSilent"])
@pytest.mark.parametrize("missing", ["breaching", "ignore"])
def test_a_silence_that_goes_on_does_not_look_like_its_end(alarms: dict[str, Any], name: str, missing: str) -> None:
    """FILL makes nothing of a window that has no point any more."""
    rule = read_rule({**alarms[name], "TreatMissingData": missing})
    assert judge(rule, [None] * rule.periods, "ALARM") == "ALARM"


def test_the_heartbeats_alarm_is_made_after_the_rule_that_hears_it(translated: Any, alarms: dict[str, Any]) -> None:
    """It fires within a minute or two; the rule waits for the API, which takes longer."""
    resources = translated["Resources"]
    assert resources["HeartbeatSilent"]["DependsOn"] in ("HeartbeatChanged", ["HeartbeatChanged"])
    (heard,) = resources["HeartbeatChanged"]["Properties"]["EventPattern"]["resources"]
    named = alarms["HeartbeatSilent"]["AlarmName"]["Fn::Sub"]
    prefix = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:"
    assert heard == {"Fn::Sub": prefix + named}, "by its name: a reference would be a circle"
    assert "HeartbeatSilent" not in json.dumps(resources["HeartbeatChanged"])
    environment = resources["ReconcileFunction"]["Properties"]["Environment"]["Variables"]
    assert environment["HEARTBEAT_ALARM"] == {"Fn::Sub": named}


def test_silence_is_told_and_paged_within_five_minutes(alarms: dict[str, Any]) -> None:
    rule = read_rule({**alarms["HeartbeatSilent"], "TreatMissingData": "breaching"})
    assert (rule.statistic, rule.comparison, rule.threshold, rule.fill) == ("Sum", "LessThanThreshold", 1, 0)
    # The minute of the last beat, the minutes without one, and one until CloudWatch looks.
    assert 60 + rule.period * rule.periods + 60 <= 300
    assert rule.period * rule.points >= 180, "one lost heartbeat, or a restart of Alertmanager, is no silence"
    assert alarms["HeartbeatSilent"]["OKActions"] == [{"Ref": "FallbackTopic"}]


def test_an_alarm_on_the_table_recovers_without_points(alarms: dict[str, Any]) -> None:
    """CloudWatch keeps the state of alarms on DynamoDB's metrics when there is no point, and throttles are rare."""
    for name in ("TableReadThrottles", "TableWriteThrottles"):
        rule = read_rule(alarms[name])
        assert (rule.missing, rule.fill, rule.points) == ("ignore", 0, 1)
        throttled = [*[0.0] * (rule.periods - 1), 7.0]
        assert judge(rule, throttled, "OK") == "ALARM"
        assert judge(rule, [0.0] * rule.periods, "ALARM") == "OK"
        assert rule.periods > 1, "FILL makes a zero of the last minute, of which CloudWatch has no points yet"


def test_no_plain_alarm_on_the_table_waits_for_points(alarms: dict[str, Any]) -> None:
    assert not [name for name, alarm in alarms.items() if alarm.get("Namespace") == "AWS/DynamoDB"]


def test_every_function_has_an_alarm_on_errors_and_on_throttles(alarms: dict[str, Any], translated: Any) -> None:
    watched = {
        (alarm["MetricName"], alarm["Dimensions"][0]["Value"]["Ref"])
        for alarm in alarms.values()
        if alarm.get("Namespace") == "AWS/Lambda"
    }
    functions = of_type(translated, "AWS::Lambda::Function")
    assert watched == {(metric, function) for metric in ("Errors", "Throttles") for function in functions}


def test_every_end_of_an_execution_that_is_no_success_has_an_alarm(alarms: dict[str, Any]) -> None:
    watched = {alarm["MetricName"] for alarm in alarms.values() if alarm.get("Namespace") == "AWS/States"}
    assert watched == {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"}


def test_who_has_no_token_cannot_hide_a_client_that_is_refused(alarms: dict[str, Any], translated: Any) -> None:
    [counted] = [
        each
        for each in of_type(translated, "AWS::Logs::MetricFilter").values()
        if each["LogGroupName"] == {"Ref": "ApiLogs"}
    ]

    def points(client: str, status: str) -> int:
        return len(list(filtered(counted, {"service": "oncall", "client": client, "status": status})))

    assert [points("alertmanager", status) for status in ("400", "413", "415", "202", "503")] == [1, 1, 1, 0, 0]
    assert [points("-", status) for status in ("400", "401", "403", "404", "413")] == [0] * 5
    assert alarms["AlertsRefused"]["MetricName"] == counted["MetricTransformations"][0]["MetricName"]


def test_one_request_holds_no_alarm_of_refusals(alarms: dict[str, Any]) -> None:
    for name in ("ApiRefusals", "TokensRefused"):
        rule = read_rule(alarms[name])
        once = [*[None] * (rule.periods - 1), 1.0]
        assert judge(rule, once, "OK") == "OK", name
    rule = read_rule(alarms["TokensRefused"])
    every_five_minutes = [1.0] * rule.periods
    assert rule.period * rule.periods <= 1200
    assert judge(rule, every_five_minutes, "OK") == "ALARM", (
        "a sender with a wrong token, which comes with each group_interval"
    )
    rule = read_rule(alarms["AlertsRefused"])
    assert (judge(rule, [1.0], "OK"), judge(rule, [None], "ALARM")) == ("ALARM", "OK"), "told at once, over in a minute"


def test_the_guide_has_a_line_for_every_alarm_and_for_no_other(alarms: dict[str, Any]) -> None:
    lines = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `-")]
    assert {line.split("`")[1].removeprefix("-") for line in lines} == {name_of(alarm) for alarm in alarms.values()}


def test_the_guide_counts_the_alarms_right(alarms: dict[str, Any]) -> None:
    of_the_probe = [name for name in alarms if name.startswith("Probe")]
    guide = GUIDE.read_text()
    count = len(alarms) - len(of_the_probe)
    assert f"| Alarms | {count}, one metric each, at 0.10 | {count / 10:.2f} |" in guide
    assert f"| The probe, at AWS | {len(of_the_probe)} more alarms at 0.10" in guide


def test_the_devstack_can_judge_every_alarm(alarms: dict[str, Any]) -> None:
    for alarm in alarms.values():
        read_rule(alarm)


def test_what_our_own_alarms_and_the_dashboard_read_is_written_by_somebody(
    alarms: dict[str, Any], body_of: Any
) -> None:
    written = "".join(path.read_text() for path in (ROOT / "functions").glob("**/*.py"))
    by_the_gateway = {"Heartbeats", "AlertsRefused"}
    read = {alarm["MetricName"] for alarm in alarms.values() if alarm.get("Namespace") == "OnCall"}
    read |= {
        metric[1]
        for widget in body_of["widgets"]
        for metric in widget["properties"]["metrics"]
        if metric[0] == "OnCall"
    }
    for metric in read - by_the_gateway:
        stem = next((stem for stem in ("Alerts", "Page", "CallsThrough") if metric.startswith(stem)), metric)
        assert f'"{metric}"' in written or f'f"{stem}{{' in written, metric


def test_no_metric_is_read_from_the_wording_of_a_log_line(translated: Any) -> None:
    """Only the gateway, which writes no metrics of its own, has its log's fields read."""
    filters = of_type(translated, "AWS::Logs::MetricFilter").values()
    assert [each["LogGroupName"] for each in filters] == [{"Ref": "ApiLogs"}]


@pytest.fixture(scope="module")
def body_of(translated: Any) -> Any:
    """The dashboard."""
    scope = Scope(
        refs={**dict.fromkeys(translated["Resources"], "x"), **GIVEN, **PSEUDO, "StageName": "prod"},
        attribute=lambda name, attribute: f"{name}.{attribute}",
    )
    (dashboard,) = of_type(translated, "AWS::CloudWatch::Dashboard").values()
    return json.loads(scope.resolve(dashboard["DashboardBody"]))


def test_the_dashboard_shows_pages_calls_time_to_acknowledge_and_errors(body_of: Any) -> None:
    shown = {metric[1] for widget in body_of["widgets"] for metric in widget["properties"]["metrics"]}
    assert shown >= {"PageSuccess", "PageFail", "SecondsToAcknowledge", "Errors", "Heartbeats", "4XXError", "5XXError"}
    lines = sum(len(widget["properties"]["metrics"]) for widget in body_of["widgets"])
    assert lines <= 50, "CloudWatch: three dashboards with up to 50 metrics are free"
    assert {widget["properties"]["region"] for widget in body_of["widgets"]} == {PSEUDO["AWS::Region"]}
