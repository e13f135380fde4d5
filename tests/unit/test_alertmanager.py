"""From what Alertmanager posts to an alert group."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncall.alerts.alertmanager import read_webhook
from oncall.alerts.group import AlertGroup
from oncall.errors import WebhookError
from tests.builders import alert, webhook

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
fields = ["groupKey", "status", "alerts", "commonLabels", "externalURL", "truncatedAlerts", "labels", "fingerprint"]
odd_alerts = st.dictionaries(st.sampled_from([*fields, "annotations", "startsAt"]), json_values)
odd_webhooks = st.dictionaries(st.sampled_from(fields), json_values | st.lists(odd_alerts, max_size=3))


def read(*alerts: dict[str, Any], cut: dict[str, Any] | None = None, **more: Any) -> AlertGroup:
    return read_webhook(webhook(*alerts, **more), received_at=0, cut=cut)


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        (["critical"], "critical"),
        (["warning"], "warning"),
        (["warning", "critical"], "critical"),
        (["warning", None], "critical"),
        ([None], "critical"),
        (["page"], "critical"),
        (["info"], "critical"),
        (["Warning"], "warning"),
        (["warning", "warning"], "warning"),
    ],
)
def test_whatever_is_not_known_to_be_a_warning_is_critical(severities: list[str | None], expected: str) -> None:
    assert read(*[alert(f"alert {n}", severity=s) for n, s in enumerate(severities)]).severity == expected


@pytest.mark.parametrize(
    ("severity", "note"), [(None, "missing"), ("sev-9", "odd sev-9"), ("warning", ""), ("critical", ""), (" P1 ", "")]
)
def test_a_severity_that_was_guessed_says_so(severity: str | None, note: str) -> None:
    assert read(alert(severity=severity)).severity_note == note


@pytest.mark.parametrize(
    ("labels", "matchers"),
    [
        ({"product": "shop", "alertname": "URL Alert(critical)"}, '{alertname="URL Alert(critical)", product="shop"}'),
        ({"a": 'x"y\\z\n{}'}, '{a="x\\"y\\\\z\\n{}"}'),
        ({"プロダクト": "店"}, '{プロダクト="店"}'),
        ({}, ""),
        ({"a b": "c"}, ""),
        ({"a=": "c"}, ""),
        ({"a": "x" * 2_000}, ""),
        ({f"name{number}": "x" for number in range(50)}, ""),
        ({f"name{number}": "x" * 90 for number in range(20)}, ""),
    ],
    ids=["as they are", "escaped", "not ASCII", "none", "a space", "reserved", "cut", "too many", "too long"],
)
def test_the_labels_in_common_are_written_as_alertmanagers_pages_read_them(
    labels: dict[str, str], matchers: str
) -> None:
    """One matcher less would silence more: then there is none."""
    assert read(alert(), commonLabels=labels, notification_reason="first notification").matchers == matchers


@pytest.mark.parametrize("name", ["host.name", "cluster-id", "プロダクト"])
def test_before_alertmanager_0_32_its_pages_read_plain_names_alone(name: str) -> None:
    """From then on a webhook says why it was sent."""
    labels = {"alertname": "Down", name: "a"}
    assert read(alert(), commonLabels=labels).matchers == ""
    newer = read(alert(), commonLabels=labels, notification_reason="first notification")
    assert f'{name}="a"' in newer.matchers
    assert read(alert(), commonLabels={"alertname": "Down"}).matchers == '{alertname="Down"}'


def test_a_cut_group_has_no_matchers_since_they_may_be_cut_as_well() -> None:
    hook = webhook(alert(), commonLabels={"product": "shop"})
    assert read_webhook(hook, received_at=0, cut={"alerts": 10_000, "characters": 90_000}).matchers == ""


def test_the_severity_is_that_of_what_fires_not_of_what_is_over() -> None:
    over = alert("over", severity="critical") | {"status": "resolved"}
    assert read(over, alert(severity="warning")).severity == "warning"


def test_cut_off_alerts_may_be_critical_unless_the_group_says_that_all_are_warnings() -> None:
    warning = alert(severity="warning")
    assert read(warning, truncatedAlerts=1).severity == "critical"
    assert read(warning, truncatedAlerts=1, commonLabels={"severity": "warning"}).severity == "warning"


def test_the_product_is_the_groups_or_that_of_its_loudest_alert() -> None:
    quiet = alert("quiet", severity="warning", labels={"product": "blog"})
    loud = alert("loud", labels={"product": "shop"})
    assert read(quiet, loud).product == "shop"
    assert read(quiet, loud, product="common").product == "common"
    assert read(alert()).product == ""


def test_unknown_fields_are_tolerated() -> None:
    group = read(alert() | {"new": 1}, notification_reason="firing", routeLabels={"a": "b"})
    assert len(group.alerts) == 1


def test_groups_are_told_apart_by_their_whole_key() -> None:
    one, other = ("x" * 5000 + end for end in "ab")
    assert read(key=one).id != read(key=other).id
    assert read(key=one).id == read(key=one).id
    assert len(read(key=one).id) == 32


def test_long_texts_are_cut_and_say_so() -> None:
    group = read(alert(annotations={"summary": "x" * 2000}))
    assert group.alerts[0].annotations["summary"] == "x" * 999 + "…"


def test_half_characters_are_replaced_and_whole_ones_kept() -> None:
    group = read(alert("\ud83d and \ud83d\udd25 and \udd25"))
    assert group.alerts[0].labels["alertname"] == "\ufffd and 🔥 and \ufffd"


def test_an_alert_without_a_fingerprint_gets_one_from_its_labels() -> None:
    one, same, other = (alert(name) | {"fingerprint": ""} for name in ("a", "a", "b"))
    prints = [one.fingerprint for one in read(one, same, other).alerts]
    assert prints[0] == prints[1] != prints[2]
    assert all(prints)


def test_what_the_gateway_cut_is_counted_with_what_alertmanager_left_out() -> None:
    group = read(alert(), cut={"alerts": 100, "characters": 90_000}, truncatedAlerts=5)
    assert (group.left_out, group.cut_characters) == (104, 90_000)


@given(odd_webhooks | json_values)
def test_anything_is_read_or_refused_with_a_reason(hook: Any) -> None:
    try:
        group = read_webhook(hook, received_at=0)
    except WebhookError as error:
        assert str(error)  # noqa: PT017  either way is right
        return
    assert group.key
    assert group.severity in ("critical", "warning")
    assert group.left_out >= 0
    for one in group.alerts:
        assert one.fingerprint
        for text in (*one.labels, *one.labels.values(), *one.annotations.values(), group.product):
            text.encode()  # no half characters: the table would refuse them
        assert "" not in one.labels  # neither does it take a name without a character
