"""An alarm of CloudWatch becomes an alert group: whose it is, how bad, and what is said of it.

The events are shaped as CloudWatch's guide shows them ("Alarm events and EventBridge", "Alarm tags in action payloads").
"""

from typing import Any

import pytest

from oncall.alerts.cloudwatch import read_event
from oncall.errors import WebhookError
from oncall.roster.sources import Rule, Source

PLAIN = Source("cloudwatch")
AT = 1_570_035_880_985  # of the event below


def event(value: str = "ALARM", **more: Any) -> dict[str, Any]:
    """An execution's input, as the rule's InputTransformer makes it of a change of a single metric's alarm."""
    detail = {
        "alarmName": "ServerCpuTooHigh",
        "configuration": {
            "description": "The server's CPU is busy",
            "metrics": [
                {
                    "id": "30b6c6b2-a864-43a2-4877-c09a1afc3b87",
                    "metricStat": {
                        "metric": {
                            "dimensions": {"InstanceId": "i-12345678901234567"},
                            "name": "CPUUtilization",
                            "namespace": "AWS/EC2",
                        },
                        "period": 300,
                        "stat": "Average",
                    },
                    "returnData": True,
                }
            ],
        },
        "previousState": {"value": "OK", "timestamp": "2019-10-02T16:59:40.985+0000"},
        "state": {
            "reason": "Threshold Crossed: 1 datapoint was greater than the threshold (70.0).",
            "timestamp": "2019-10-02T17:04:40.985+0000",
            "value": value,
            **more.pop("state", {}),
        },
        **more,
    }
    return {"source": "cloudwatch", "account": "123456789012", "region": "us-east-1", "detail": detail}


COMPOSITE = event(
    alarmName="CompositeDemo.Main",
    configuration={"alarmRule": "ALARM(CompositeDemo.FirstChild) OR ALARM(CompositeDemo.SecondChild)"},
    state={"reason": "CompositeDemo.FirstChild transitioned to ALARM"},
)


def test_an_alarm_fires_and_says_what_it_is_about() -> None:
    group = read_event(event(), PLAIN)
    assert group is not None
    (alert,) = group.alerts
    assert (group.is_over, group.severity, group.severity_note, group.product) == (False, "critical", "", "")
    assert group.received_at == AT
    assert alert.labels["alertname"] == "ServerCpuTooHigh"
    assert alert.labels["InstanceId"] == "i-12345678901234567"
    assert (alert.labels["account"], alert.labels["region"]) == ("123456789012", "us-east-1")
    assert alert.annotations["summary"] == "The server's CPU is busy"
    assert alert.annotations["description"].startswith("Threshold Crossed")
    page = "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/ServerCpuTooHigh"
    assert alert.generator_url == group.external_url == page


def test_an_ok_resolves_the_same_group() -> None:
    fired, over = read_event(event(), PLAIN), read_event(event("OK"), PLAIN)
    assert fired is not None
    assert over is not None
    assert over.is_over
    assert (over.id, over.alerts[0].fingerprint) == (fired.id, fired.alerts[0].fingerprint)


def test_the_account_and_the_region_are_part_of_what_an_alarm_is() -> None:
    others = [event(), event() | {"account": "210987654321"}, event() | {"region": "eu-central-1"}]
    groups = [read_event(one, PLAIN) for one in others]
    assert len({group.id for group in groups if group}) == 3


@pytest.mark.parametrize(
    ("name", "tags", "product", "severity"),
    [
        ("ServerCpuTooHigh", {}, "", "critical"),
        ("shop-cpu", {}, "shop", "warning"),
        ("shop-cpu", {"oncall:product": "search"}, "search", "warning"),
        ("shop-cpu", {"oncall:product": "search", "oncall:severity": "critical"}, "search", "critical"),
        ("shop-database", {}, "shop", "warning"),
        ("x-database", {}, "data", "critical"),
    ],
)
def test_tags_come_before_rules_and_rules_before_the_default(
    name: str, tags: dict[str, str], product: str, severity: str
) -> None:
    rules = (Rule("shop-*", "shop", "warning"), Rule("*-database", "data"))
    group = read_event(event(alarmName=name, alarmTags=tags), Source("cloudwatch", rules=rules))
    assert group is not None
    assert (group.product, group.severity) == (product, severity)
    assert group.alerts[0].labels.get("product", "") == product


@pytest.mark.parametrize(("setting", "fires"), [("ignore", None), ("alarm", True), ("ok", False)])
def test_no_data_is_what_the_roster_says(setting: Any, fires: bool | None) -> None:
    group = read_event(event("INSUFFICIENT_DATA"), Source("cloudwatch", insufficient_data=setting))
    assert (group and not group.is_over) is fires


def test_a_composite_alarm_fires_with_its_reason() -> None:
    group = read_event(COMPOSITE, PLAIN)
    assert group is not None
    assert group.alerts[0].annotations["description"] == "CompositeDemo.FirstChild transitioned to ALARM"


@pytest.mark.parametrize("by", ["WaitPeriod", "ExtensionPeriod", "Alarm"])
def test_a_suppressed_composite_says_nothing_until_that_ends_but_its_end_counts(by: str) -> None:
    assert read_event(event(state={"actionsSuppressedBy": by}), PLAIN) is None
    over = read_event(event("OK", state={"actionsSuppressedBy": by}), PLAIN)
    assert over is not None
    assert over.is_over


def test_what_a_mute_rule_mutes_is_for_slack_alone() -> None:
    group = read_event(event(muteDetail={"mutedByArn": "arn:aws:cloudwatch:::mute"}), PLAIN)
    assert group is not None
    assert group.severity == "warning"


@pytest.mark.parametrize(
    ("region", "host"),
    [("cn-north-1", "https://console.amazonaws.cn/"), ("us-gov-west-1", "https://console.amazonaws-us-gov.com/")],
)
def test_the_link_leads_to_the_console_of_the_partition(region: str, host: str) -> None:
    group = read_event(event(alarmName="a b/c") | {"region": region}, PLAIN)
    assert group is not None
    assert group.external_url == f"{host}cloudwatch/home?region={region}#alarmsV2:alarm/a%20b%2Fc"


def test_half_a_character_in_a_name_fires_as_well() -> None:
    group = read_event(event(alarmName="disk \ud800 full"), PLAIN)
    assert group
    assert group.firing[0].labels["alertname"] == "disk \ufffd full"
    assert group.firing[0].generator_url.endswith("disk%20%3F%20full")


def test_a_runbook_stands_in_a_tag() -> None:
    group = read_event(event(alarmTags={"oncall:runbook": "https://example.com/cpu"}), PLAIN)
    assert group is not None
    assert group.alerts[0].annotations["runbook_url"] == "https://example.com/cpu"


@pytest.mark.parametrize(
    "wrong",
    [
        {"detail": None},
        {"detail": {"alarmName": "x"}},
        {"detail": {"state": {"value": "ALARM", "timestamp": "2019-10-02T17:04:40.985+0000"}}},
        event("ALARMED"),
        event(state={"timestamp": "yesterday"}),
        event(state={"timestamp": "2019-10-02T17:04:40"}),
    ],
)
def test_what_cannot_be_read_is_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(WebhookError, match="CloudWatch"):
        read_event(event() | wrong, PLAIN)


@pytest.mark.parametrize(
    "odd",
    [
        {"configuration": None},
        {"configuration": {"metrics": "none"}},
        {"configuration": {"metrics": [{"expression": "a/b"}, None]}},
        {"alarmTags": []},
    ],
)
def test_what_is_of_another_type_and_not_needed_is_left_out(odd: dict[str, Any]) -> None:
    group = read_event(event(**odd), PLAIN)
    assert group is not None
    assert group.firing


def test_long_texts_are_cut_to_what_an_incident_keeps() -> None:
    dimensions = {f"Name{number}": "v" * 1000 for number in range(40)}
    metric = {"metricStat": {"metric": {"dimensions": dimensions}}}
    group = read_event(
        event(alarmName="n" * 255, configuration={"description": "d" * 1024, "metrics": [metric]}), PLAIN
    )
    assert group is not None
    labels = group.alerts[0].labels
    assert len(labels) == 20
    assert max(map(len, labels.values())) == 200
    assert labels["alertname"] == "n" * 199 + "…"
    assert group.alerts[0].annotations["summary"] == "d" * 999 + "…"
