"""Who watches the platform itself: alarms for every part, a line in the guide for each, and a dashboard."""

import json
from typing import Any

import pytest

from devstack.aws.cloudwatch import filtered, judge, read_rule
from devstack.aws.template import Scope
from oncall_cli.aws_prices import MEMORY_GB, PRICES, idle_month
from tests.template.conftest import GIVEN, PSEUDO, ROOT
from tests.template.test_resources import of_type

ALARMS = "AWS::CloudWatch::Alarm"
GUIDE = ROOT / "docs/operations.md"


@pytest.fixture(scope="module")
def alarms(translated: Any) -> dict[str, Any]:
    """The alarms' properties."""
    return of_type(translated, ALARMS)


def metrics_of(alarm: Any) -> int:
    """How many metrics an alarm reads."""
    return sum("MetricStat" in each for each in alarm["Metrics"]) if "Metrics" in alarm else 1


def filters(translated: Any, log_group: str) -> list[Any]:
    """The metric filters of a log group."""
    every = of_type(translated, "AWS::Logs::MetricFilter").values()
    return [each for each in every if each["LogGroupName"] == {"Ref": log_group}]


def counted(translated: Any, log_group: str, line: dict[str, str]) -> list[str]:
    """The metrics that a line makes a point of."""
    resolved = [
        {**each, "MetricTransformations": [{**one, "MetricNamespace": "x"} for one in each["MetricTransformations"]]}
        for each in filters(translated, log_group)
    ]
    return [name for each in resolved for (_, name, _), _ in filtered(each, line)]


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
    assert environment["HEARTBEAT_ALARM"] == {"Fn::If": ["HasAlarms", {"Fn::Sub": named}, ""]}


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


def test_an_alarm_has_its_price_for_each_metric_and_the_first_ten_of_an_account_are_free(
    alarms: dict[str, Any],
) -> None:
    """CloudWatch's price is for each metric that an alarm reads, whatever it makes of them."""
    assert sum(metrics_of(alarm) for alarm in alarms.values()) <= 10


def test_without_alarms_nothing_is_left_that_only_they_hear(translated: Any) -> None:
    resources = translated["Resources"]
    conditions = translated["Conditions"]
    for name, each in resources.items():
        if each["Type"] == ALARMS or name == "HeartbeatChanged":
            condition = each["Condition"]
            wanted = conditions[condition].get("Fn::And", [{"Condition": condition}])
            assert {"Condition": "HasAlarms"} in wanted, name
    assert "HasAlarms" in conditions


def test_no_plain_alarm_on_the_table_waits_for_points(alarms: dict[str, Any]) -> None:
    assert not [name for name, alarm in alarms.items() if alarm.get("Namespace") == "AWS/DynamoDB"]


def test_a_request_that_fails_on_our_side_is_a_failure_and_a_flood_is_none(translated: Any) -> None:
    """What a function behind the API does, and what AWS refuses there, ends as a 5xx. Anybody can be over a throttle."""

    def points(status: str, refused: str = "-") -> list[str]:
        return counted(
            translated,
            "ApiLogs",
            {"service": "x", "client": "someone", "status": status, "refused": refused, "resource": "/alerts"},
        )

    for refused in ("-", "INTEGRATION_FAILURE", "AUTHORIZER_FAILURE", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"):
        assert [points(status, refused) for status in ("500", "502", "503", "504")] == [["Failures"]] * 4
    assert points("503", "THROTTLED") == points("503", "QUOTA_EXCEEDED") == points("202") == []


def test_a_step_or_an_execution_that_fails_is_a_failure(translated: Any) -> None:
    """Step Functions: errors and throttles of a function that a step invokes end the task, for this attempt."""
    ended = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
    for kind in ("TaskFailed", "TaskSubmitFailed", *ended):
        assert counted(translated, "StateMachineLogs", {"type": kind}) == ["Failures"], kind
    for kind in ("TaskTimedOut", "TaskSucceeded", "ExecutionSucceeded"):
        assert counted(translated, "StateMachineLogs", {"type": kind}) == [], (
            f"{kind}: a phone that nobody takes is none"
        )
    machine = translated["Resources"]["StateMachine"]["Properties"]["LoggingConfiguration"]
    assert machine["Level"] == "ERROR", "and such lines are written"


def test_every_function_is_a_step_or_behind_the_api_or_has_an_alarm_of_its_own(
    alarms: dict[str, Any], translated: Any, body: Any
) -> None:
    watched = {
        alarm["Dimensions"][0]["Value"]["Ref"]
        for alarm in alarms.values()
        if (alarm.get("Namespace"), alarm.get("MetricName")) == ("AWS/Lambda", "Errors")
    }
    assert watched == {"ReconcileFunction", "ProbeFunction"}
    machine = json.dumps(translated["Resources"]["StateMachine"]["Properties"]["DefinitionSubstitutions"])
    behind = json.dumps(body)
    for function in of_type(translated, "AWS::Lambda::Function"):
        assert (function in machine) or (f":{function}" in behind) or (function in watched), function


def test_both_filters_feed_the_one_metric_that_is_watched(alarms: dict[str, Any], translated: Any) -> None:
    failures = alarms["Failures"]
    for log_group in ("ApiLogs", "StateMachineLogs"):
        made = [one for each in filters(translated, log_group) for one in each["MetricTransformations"]]
        assert [
            one["MetricNamespace"] == failures["Namespace"] and "Dimensions" not in one and "DefaultValue" not in one
            for one in made
            if one["MetricName"] == failures["MetricName"]
        ] == [True], "without a value where nothing fails: a metric is paid for by the hours that it has points in"
    assert "Dimensions" not in failures


def test_who_has_no_token_cannot_hide_a_client_that_is_refused(translated: Any) -> None:
    def points(client: str, status: str, *, resource: str = "/alerts", refused: str = "-") -> list[str]:
        line = {"service": "x", "client": client, "status": status, "resource": resource, "refused": refused}
        return [each for each in counted(translated, "ApiLogs", line) if each != "Failures"]

    assert [points("alertmanager", status) for status in ("400", "413", "415")] == [["AlertsRefused"]] * 3
    assert [points("alertmanager", status) for status in ("202", "503")] == [[]] * 2
    assert [points("-", status) for status in ("400", "401", "403", "404", "413")] == [["StrangersRefused"]] * 5
    assert points("-", "403", resource="-", refused="MISSING_AUTHENTICATION_TOKEN") == [], "there is no such door"


def test_one_request_holds_no_alarm_of_refusals(alarms: dict[str, Any]) -> None:
    rule = read_rule(alarms["RequestsRefused"])
    assert judge(rule, [1.0], "OK") == "OK"
    a_group_interval = 300
    each_time = float(rule.period * rule.periods // a_group_interval)
    assert judge(rule, [each_time - 1], "OK") == "ALARM", (
        "a sender with a wrong token, which comes with each group_interval"
    )
    assert rule.period * rule.periods <= 1200
    rule = read_rule(alarms["AlertsRefused"])
    assert (judge(rule, [1.0], "OK"), judge(rule, [None], "ALARM")) == ("ALARM", "OK"), "told at once, over in a minute"


def test_the_guide_has_a_line_for_every_alarm_and_for_no_other(alarms: dict[str, Any]) -> None:
    lines = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `-")]
    assert {line.split("`")[1].removeprefix("-") for line in lines} == {name_of(alarm) for alarm in alarms.values()}


def test_the_guide_counts_the_alarms_right(alarms: dict[str, Any], translated: Any) -> None:
    always = {name for name in alarms if translated["Resources"][name]["Condition"] == "HasAlarms"}
    assert set(alarms) - always == {"ProbeErrors", "AlarmsLost"}
    guide = GUIDE.read_text()
    assert f"| Alarms | {len(always)}, one metric each, at 0.10 | {len(always) / 10:.2f} |" in guide


def test_the_devstack_can_judge_every_alarm(alarms: dict[str, Any]) -> None:
    for alarm in alarms.values():
        read_rule(alarm)


def test_what_our_own_alarms_and_the_dashboard_read_is_written_by_somebody(
    alarms: dict[str, Any], body_of: Any
) -> None:
    written = "".join(path.read_text() for path in (ROOT / "functions").glob("**/*.py"))
    by_the_gateway = {"Heartbeats", "AlertsRefused", "StrangersRefused"}
    read = {alarm["MetricName"] for alarm in alarms.values() if alarm.get("Namespace") == "OnCall"}
    read |= {
        metric[1] for widget in graphs(body_of) for metric in widget["properties"]["metrics"] if metric[0] == "OnCall"
    }
    for metric in read - by_the_gateway:
        stem = next((stem for stem in ("Alerts", "Page", "CallsThrough") if metric.startswith(stem)), metric)
        assert f'"{metric}"' in written or f'f"{stem}{{' in written, metric


def test_no_metric_is_read_from_the_wording_of_a_log_line(translated: Any) -> None:
    """Only the gateway and the state machine, which write no metrics of ours, have their logs' fields read."""
    read = {each["LogGroupName"]["Ref"] for each in of_type(translated, "AWS::Logs::MetricFilter").values()}
    assert read == {"ApiLogs", "StateMachineLogs"}


def graphs(dashboard: Any) -> list[Any]:
    """The widgets that show metrics."""
    return [widget for widget in dashboard["widgets"] if widget["type"] == "metric"]


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
    shown = {metric[1] for widget in graphs(body_of) for metric in widget["properties"]["metrics"]}
    assert shown >= {"PageSuccess", "PageFail", "SecondsToAcknowledge", "Errors", "Heartbeats", "4XXError", "5XXError"}
    lines = sum(len(widget["properties"]["metrics"]) for widget in graphs(body_of))
    assert lines <= 50, "CloudWatch: three dashboards with up to 50 metrics are free"
    assert {widget["properties"]["region"] for widget in graphs(body_of)} == {PSEUDO["AWS::Region"]}


def test_the_dashboard_and_the_guide_say_what_an_idle_month_costs(
    alarms: dict[str, Any], translated: Any, body_of: Any
) -> None:
    always = sum(translated["Resources"][name]["Condition"] == "HasAlarms" for name in alarms)
    watched, bare = idle_month(alarms=always), idle_month(alarms=0)
    assert (watched.total <= 2, bare.total <= 0.20, watched.after_free_tier <= 0.20) == (True, True, True)
    words = f"{watched.total:.2f} USD", f"{watched.after_free_tier:.2f} where", f"{bare.total:.2f} with Alarms=none"
    (text,) = [widget["properties"]["markdown"] for widget in body_of["widgets"] if widget["type"] == "text"]
    assert [word for word in (*words, PRICES.as_of) if word not in text] == []
    rows = [
        [cell.strip() for cell in line.split("|")] for line in GUIDE.read_text().splitlines() if line.startswith("| ")
    ]
    listed = {row[1].strip("*"): row[3].strip("*") for row in rows if len(row) == 6}
    for name, dollars in (
        *(("Alarms", watched.alarms), ("Heartbeats", watched.heartbeats), ("Reconciler", watched.reconciler)),
        *(("Functions kept warm", watched.kept_warm), ("Logs", watched.logs), ("Together", watched.total)),
        ("With `Alarms=none`", bare.total),
    ):
        assert listed[name] == f"{dollars:.2f}", name
    for function in ("ReconcileFunction", "ReceiveAlertsFunction", "PhoneCallFunction", "SlackNotificationFunction"):
        assert translated["Resources"][function]["Properties"]["MemorySize"] == 1024 * MEMORY_GB
