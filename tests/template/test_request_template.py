"""What the gateway makes of a webhook: an input that Step Functions takes, whatever was posted, and unchanged where it fits."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.aws.gateway import StepFunctionsError, check_start_execution
from devstack.aws.mapping_templates import Template
from oncall.alerts.alertmanager import MOST_ALERTS, read_webhook
from oncall.alerts.group import KEPT_ALERTS, AlertGroup
from tests.template.conftest import TEMPLATE

EVENTS = sorted((Path(__file__).parents[1] / "events").glob("*/*.json"))
CONTEXT = {
    "extendedRequestId": "JKJa+mPL/HcESHA=",
    "requestId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "requestTimeEpoch": 1_780_000_000_000,
    "domainName": "example.com",
    "stage": "prod",
}
LIMIT = 262_144  # bytes of an execution's input
WHOLE = 80_000  # characters of a webhook that is handed on as it is
HOSTILE = {
    "quotes": 'it\'s "quoted" \'twice\' """',
    "backslashes": "\\ \\\\ \\' \\\" \\n \\u0041 \\",
    "lines": "one\ntwo\r\nthree\ttab\b\f\v",
    "controls": "".join(map(chr, range(32))) + "\x7f\x85",
    "velocity": "$x ${x} $!x #set($x = 1) #if(true) #end #* *# ## $util.escapeJavaScript('x') $context.requestId",
    "html": "</script><b>&amp;</b>",
    "japanese": "応答が遅い。ｶﾅ",
    "emoji": "😀👩‍👩‍👧🏳️‍🌈",
    "separators": "\u2028\u2029\ufeff\u200b\ufffe\uffff",
    "combining": "e\u0301 \u202eltr",
    "json": '{"a": [1, "}"]}',
    "braces": "{{ .Labels }} {} %s",
}


@pytest.fixture(scope="module")
def template(body: Any) -> Template:
    """The request template of /alerts."""
    integration = body["paths"]["/alerts"]["post"]["x-amazon-apigateway-integration"]
    (source,) = integration["requestTemplates"].values()
    return Template(source)


def render(template: Template, webhook: Any, *, ensure_ascii: bool = False) -> Any:
    """The execution's input that a webhook becomes, after Step Functions has taken it."""
    text = template.render(body=json.dumps(webhook, ensure_ascii=ensure_ascii), context=CONTEXT).text
    assert text.isascii(), "no encoding can spoil it"
    check_start_execution(text)
    request = json.loads(text)
    assert request["name"] == "webhook-JKJa-mPL-HcESHA-"
    assert len(request["input"].encode("utf-8", "surrogatepass")) <= LIMIT
    given = json.loads(request["input"])
    assert given["source"] == "alertmanager"
    assert given["received_at"] == CONTEXT["requestTimeEpoch"]
    assert given["gateway"] == "example.com/prod"
    return given


def length(webhook: Any) -> int:
    """Characters as Java counts them, of the webhook written without spaces."""
    return len(json.dumps(webhook, ensure_ascii=False, separators=(",", ":")).encode("utf-16-le", "surrogatepass")) // 2


def alert(number: int = 0, /, *, status: str = "firing", **texts: str) -> dict[str, Any]:
    """An alert with labels."""
    return {
        "status": status,
        "labels": {"alertname": "URL Alert(critical)", "severity": "critical", "n": str(number), **texts},
        "annotations": {"summary": f"site {number} is down"},
        "startsAt": "2026-11-22T08:34:42.202985Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=probe_success+%3D%3D+0&g0.tab=1",
        "fingerprint": f"{number:016x}",
    }


def webhook(*alerts: dict[str, Any], key: str = '{}:{alertname="x"}', status: str = "firing", **more: Any) -> Any:
    """A webhook as Alertmanager writes it."""
    return {
        "receiver": "on-call",
        "status": status,
        "alerts": list(alerts),
        "groupLabels": {"alertname": "x"},
        "commonLabels": {"alertname": "x", "product": "product-a", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.com:9093",
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        **more,
    }


# What fits arrives as it was sent.


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_what_alertmanager_sends_arrives_unchanged(template: Template, path: Path) -> None:
    posted = json.loads(path.read_text())
    given = render(template, posted)
    assert given["cut"] is None
    assert given["webhook"] == posted


def test_there_are_events_of_both_alertmanagers() -> None:
    assert {path.parent.name for path in EVENTS} == {"alertmanager-0.25", "alertmanager-0.34", "reported"}
    assert len(EVENTS) == 20


@pytest.mark.parametrize("ensure_ascii", [True, False], ids=["escaped", "utf-8"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_arrive_unchanged(template: Template, text: str, ensure_ascii: bool) -> None:
    posted = webhook({**alert(label=text), "annotations": {text: text}}, key=text, more=[text, {text: text}])
    given = render(template, posted, ensure_ascii=ensure_ascii)
    assert given["cut"] is None
    assert given["webhook"] == posted


def test_half_characters_arrive_as_something_and_harm_nothing_else(template: Template) -> None:
    posted = webhook(alert(label="\ud83d"), alert(1, label="\udc00 tail"), key="\ud83d{}:{}")
    given = render(template, posted, ensure_ascii=True)
    assert given["webhook"]["alerts"][1]["labels"]["label"].endswith(" tail")
    group = read_webhook(given["webhook"], received_at=1)
    assert "".join(value for each in group.alerts for value in each.labels.values()).encode()
    assert group.id


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none() | st.lists(st.text())))
@settings(max_examples=50, deadline=None)
def test_any_further_fields_arrive_unchanged(body_template: Template, fields: dict[str, Any]) -> None:
    posted = {**fields, **webhook(alert())}
    assert render(body_template, posted)["webhook"] == posted


@pytest.fixture(scope="module")
def body_template(template: Template) -> Template:
    """The same, for hypothesis: made once."""
    return template


@pytest.mark.parametrize("text", ["x", "漢", "😀", '"', "\\", "\x01", "\u2028", "'"], ids=ascii)
def test_the_longest_webhook_that_is_not_cut_fits_whatever_it_is_made_of(template: Template, text: str) -> None:
    each = length(text) - 2
    start = webhook({**alert(), "annotations": {"description": ""}})
    count = (WHOLE - length(start)) // each
    whole = webhook({**alert(), "annotations": {"description": text * count}})
    assert WHOLE - each < length(whole) <= WHOLE
    given = render(template, whole)
    assert (given["cut"], given["webhook"]) == (None, whole)
    longer = webhook({**alert(), "annotations": {"description": text * (count + 1)}})
    assert render(template, longer)["cut"] == {"alerts": 1, "firing": 1, "characters": length(longer)}


# What does not fit is cut, and says so.

MEGABYTE = 1_000_000


ALL_HOSTILE = "".join(HOSTILE.values())
MANY = {f"{ALL_HOSTILE}{n}": ALL_HOSTILE for n in range(1_000)}
HUGE: dict[str, Callable[[], Any]] = {
    "five thousand alerts": lambda: webhook(*(alert(n) for n in range(5_000))),
    "ten megabytes": lambda: webhook(*(alert(n, label="漢'\"\\" * 150) for n in range(10_000))),
    "a label of a megabyte": lambda: webhook(alert(long="x" * MEGABYTE), alert(1)),
    "a label's name of a megabyte": lambda: webhook(alert(**{"x" * MEGABYTE: "y"}), alert(1)),
    "a group key of a megabyte": lambda: webhook(alert(), key="{}:{" + "k" * MEGABYTE + "}"),
    "a thousand hostile labels": lambda: webhook(
        alert(**MANY), alert(1), commonLabels={"severity": "critical", **MANY}, key=ALL_HOSTILE * 100
    ),
    "emoji only": lambda: webhook(*(alert(n, label="😀" * 5_000) for n in range(50)), key="😀" * 5_000),
    "escapes only": lambda: webhook(
        *(alert(n, **{"\u2028" * 300: "\u2028" * 300}) for n in range(100)), key="\u2028" * 5_000
    ),
    "a url of a megabyte": lambda: webhook(
        {**alert(), "generatorURL": "http://example.com/" + "x" * MEGABYTE}, alert(1)
    ),
}


@cache
def huge(kind: str) -> Any:
    """A webhook that no execution's input could hold."""
    return HUGE[kind]()


@pytest.mark.parametrize("kind", HUGE)
def test_what_does_not_fit_is_cut_and_says_so(template: Template, kind: str) -> None:
    posted = huge(kind)
    given = render(template, posted)
    kept = given["webhook"]
    many = len(posted["alerts"])
    assert given["cut"] == {"alerts": many, "firing": many if many <= 1_000 else None, "characters": length(posted)}
    assert kept["status"] == "firing"
    assert len(kept["alerts"]) == min(KEPT_ALERTS, len(posted["alerts"]))
    for alert_kept, alert_posted in zip(kept["alerts"], posted["alerts"], strict=False):
        assert alert_kept["status"] == alert_posted["status"]
        for name, value in alert_kept["labels"].items():
            full = alert_posted["labels"][name]
            assert value == full or (value.endswith("...") and same(full, value[:-3]))


def same(full: str, start: str) -> bool:
    """Whether a text starts so; a half of its last character does no harm."""
    units = "utf-16-le", "surrogatepass"
    return full.encode(*units).startswith(start.encode(*units))


@pytest.mark.parametrize("kind", HUGE)
def test_what_was_cut_can_still_be_read(template: Template, kind: str) -> None:
    given = render(template, huge(kind))
    group = read_webhook(given["webhook"], received_at=given["received_at"], cut=given["cut"])
    assert group.severity == "critical"
    assert group.firing
    assert group.left_out == len(huge(kind)["alerts"]) - len(group.alerts)
    assert group.cut_characters == length(huge(kind))


@pytest.mark.parametrize("kind", [kind for kind in HUGE if kind != "a thousand hostile labels"])
def test_the_common_labels_and_the_first_alerts_texts_are_kept(template: Template, kind: str) -> None:
    posted = huge(kind)
    kept = render(template, posted)["webhook"]
    assert kept["commonLabels"] == posted["commonLabels"]
    first = kept["alerts"][0]
    assert first["labels"]["severity"] == "critical"
    assert first["annotations"] == posted["alerts"][0]["annotations"]
    assert first["fingerprint"] == posted["alerts"][0]["fingerprint"]
    assert first["startsAt"] == posted["alerts"][0]["startsAt"]


@pytest.mark.parametrize("kind", HUGE)
def test_every_alert_that_is_kept_can_be_told_from_others_and_its_start_is_known(template: Template, kind: str) -> None:
    """Without them an alert that is known would be new, and ring who has it."""
    posted = huge(kind)
    for kept, whole in zip(render(template, posted)["webhook"]["alerts"], posted["alerts"], strict=False):
        assert (kept["fingerprint"], kept["startsAt"]) == (whole["fingerprint"], whole["startsAt"])


def test_each_alert_has_its_share_of_the_texts(template: Template) -> None:
    """The product of the tenth alert decides who is rung, however much the first has to say."""
    long = {f"note {n}": "x" * 300 for n in range(200)}
    posted = webhook(*({**alert(n, product=f"product {n}"), "annotations": long} for n in range(10)))
    kept = render(template, posted)["webhook"]["alerts"]
    assert [each["labels"] for each in kept] == [each["labels"] for each in posted["alerts"]]
    assert all(len(each["annotations"]) > 5 for each in kept)


@pytest.mark.parametrize("text", ["\u2028", '"', "\\", "漢", "😀"], ids=ascii)
def test_the_most_that_is_kept_fits_whatever_it_is_made_of(template: Template, text: str) -> None:
    """All that is written beside the shares, at its longest."""
    short, name = (text * 100)[:100], (text * 40)[:40]
    texts = {f"{name}{n}": text * 300 for n in range(100)}
    each = {
        "status": "firing",
        "labels": texts,
        "annotations": texts,
        **dict.fromkeys(("startsAt", "endsAt", "generatorURL", "fingerprint"), short),
    }
    address = (text * 1_000)[:1_000]
    posted = webhook(*[each] * 12, key=text * 5_000, externalURL=address, truncatedAlerts=10**9, commonLabels={})
    kept = render(template, posted)["webhook"]["alerts"]  # which looks at its size
    assert len(kept) == 10
    if len(text.encode("utf-16-le")) == 2:
        assert {each["startsAt"] for each in kept} == {short}


def read(given: Any) -> AlertGroup:
    """The group that intake sees."""
    return read_webhook(given["webhook"], received_at=given["received_at"], cut=given["cut"])


@pytest.mark.parametrize("many", [900, 1_000, 2_000])
def test_a_resolved_group_that_is_cut_is_over(template: Template, many: int) -> None:
    posted = webhook(*(alert(n, status="resolved", long="x" * 90) for n in range(many)), status="resolved")
    given = render(template, posted)
    assert (given["cut"]["alerts"], given["cut"]["firing"]) == (many, 0)
    assert given["webhook"]["status"] == "resolved"
    assert {each["status"] for each in given["webhook"]["alerts"]} == {"resolved"}
    assert read(given).is_over
    assert not read(render(template, {**posted, "truncatedAlerts": 1})).is_over


@pytest.mark.parametrize("place", [0, 500, 999, 1_000, 1_999])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_one_that_fires_anywhere_in_a_list_keeps_its_group_from_being_over(
    template: Template, place: int, status: str
) -> None:
    """#foreach looks at 1,000 alerts: whether one fires beyond is asked of the group's word, and of the text."""
    listed = [alert(n, status="firing" if n == place else "resolved") for n in range(2_000)]
    group = read(render(template, webhook(*listed, status=status)))
    assert not group.is_over
    assert group.firing or status == "resolved"
    assert group.left_out > 1_900


def test_what_fires_is_counted_and_only_that_counts_as_cut_off(template: Template) -> None:
    over, firing = [alert(n, status="resolved") for n in range(900)], [alert(n) for n in range(900, 915)]
    given = render(template, webhook(*over, *firing))
    assert given["cut"]["firing"] == 15
    assert read(given).left_out == 5
    assert read(render(template, webhook(*over, *firing[:10]))).left_out == 0
    assert read(render(template, webhook(*over, *firing[:10], truncatedAlerts=3))).left_out == 3


def test_firing_alerts_are_kept_first(template: Template) -> None:
    """Alertmanager orders alerts by their labels, so those that fire may come after many that are resolved."""
    over, firing = [alert(n, status="resolved", long="x" * 5_000) for n in range(20)], [alert(20), alert(21)]
    kept = render(template, webhook(*over, *firing))["webhook"]["alerts"]
    assert [each["fingerprint"] for each in kept[:2]] == [each["fingerprint"] for each in firing]
    assert [each["status"] for each in kept] == ["firing"] * 2 + ["resolved"] * 8
    assert kept[2]["fingerprint"] == over[0]["fingerprint"]


def test_what_alertmanager_left_out_is_still_counted(template: Template) -> None:
    given = render(template, webhook(alert(long="x" * WHOLE), truncatedAlerts=450))
    assert given["webhook"]["truncatedAlerts"] == 450
    assert read_webhook(given["webhook"], received_at=1, cut=given["cut"]).left_out == 450


@pytest.mark.parametrize("many", [10**9, 10**40, 1e40, 1.5e10], ids=str)
def test_a_count_beyond_all_measure_is_kept_as_the_largest(template: Template, many: float) -> None:
    group = read_webhook(render(template, webhook(alert(), truncatedAlerts=many))["webhook"], received_at=1)
    given = render(template, webhook(alert(long="x" * WHOLE), truncatedAlerts=many))
    assert given["webhook"]["truncatedAlerts"] == MOST_ALERTS
    cut = read_webhook(given["webhook"], received_at=1, cut=given["cut"])
    assert group.left_out == cut.left_out == MOST_ALERTS


@pytest.mark.parametrize("alerts", [[], [alert()]], ids=["none", "one"])
def test_a_webhook_without_alerts_has_a_name_that_step_functions_refuses(template: Template, alerts: list[Any]) -> None:
    text = template.render(body=json.dumps(webhook(*alerts)), context=CONTEXT).text
    if alerts:
        check_start_execution(text)
        return
    with pytest.raises(StepFunctionsError) as refused:
        check_start_execution(text)
    assert refused.value.kind.endswith("#InvalidName")


@pytest.mark.parametrize("depth", [31, 33, 100, 500])
def test_any_nesting_arrives_and_is_read(template: Template, depth: int) -> None:
    deep: Any = "bottom"
    for level in range(depth):
        deep = [deep] if level % 2 else {"a": deep}
    posted = webhook({**alert(), "annotations": {"summary": deep}, "values": deep}, more=deep, commonLabels={"x": deep})
    given = render(template, posted)
    assert given["webhook"] == posted
    group = read_webhook(given["webhook"], received_at=1)
    assert len(group.alerts[0].annotations["summary"]) <= 1_000
    cut = render(template, {**posted, "alerts": [{**posted["alerts"][0], "padding": "x" * WHOLE}]})
    assert read_webhook(cut["webhook"], received_at=1, cut=cut["cut"]).firing


def test_the_template_needs_no_escape_of_cloudformations() -> None:
    """Other engines do not know ${!name}, and refuse the template for it."""
    assert "${!" not in TEMPLATE.read_text()


@pytest.mark.parametrize("odd", [0, -5, 1.5, None, "007", '1"', "x", [1], {"a": 1}, True, -1e40], ids=str)
def test_a_count_that_is_none_is_left_out(template: Template, odd: Any) -> None:
    assert "truncatedAlerts" not in render(template, webhook(alert(long="x" * WHOLE), truncatedAlerts=odd))["webhook"]


@pytest.mark.parametrize("url", ["http://alertmanager.example.com:9093/x?a='b'&c=\"d\"", "", "x" * 1_001, None])
def test_the_address_of_alertmanager_is_kept_if_it_is_of_a_sane_length(template: Template, url: str | None) -> None:
    kept = render(template, webhook(alert(long="x" * WHOLE), externalURL=url))["webhook"]
    assert kept.get("externalURL") == (url if url and len(url) <= 1_000 else None)


def test_a_short_group_key_is_kept_whole_even_when_the_rest_is_cut(template: Template) -> None:
    for key in HOSTILE.values():
        assert render(template, webhook(alert(long="x" * WHOLE), key=key))["webhook"]["groupKey"] == key


def test_long_group_keys_still_tell_groups_apart(template: Template) -> None:
    long = "x" * 90_000
    keys = [f"a{long}z", f"b{long}z", f"a{long}y", f"a{long}xz"]
    kept = [render(template, webhook(alert(), key=key))["webhook"]["groupKey"] for key in keys]
    assert len(set(kept)) == len(keys)
    assert kept[0] == render(template, webhook(alert(), alert(1), key=keys[0]))["webhook"]["groupKey"], (
        "and stay the same"
    )


@pytest.mark.parametrize("middle", ["x" * 3_000, "日本" * 1_000, "🔥" * 1_001, "🔥x" * 667])
def test_a_long_group_key_is_the_same_group_whether_its_webhook_was_cut_or_not(template: Template, middle: str) -> None:
    groups = []
    for alerts in (webhook(alert(), key=f"a{middle}z"), webhook(alert(long="x" * WHOLE), key=f"a{middle}z")):
        given = render(template, alerts)
        groups.append(read_webhook(given["webhook"], received_at=1, cut=given["cut"]).id)
    assert groups[0] == groups[1]


@pytest.mark.parametrize(
    "odd",
    [
        {"commonLabels": None},
        {"commonLabels": "text"},
        {"commonLabels": [1, 2]},
        {"commonLabels": {"number": 1, "null": None, "list": [1], "map": {"a": "b"}, "float": 1.5, "true": True}},
    ],
    ids=str,
)
def test_odd_shapes_are_cut_like_others(template: Template, odd: dict[str, Any]) -> None:
    strange = [
        {"status": "firing", "labels": {}, "annotations": shape} for shape in (None, "text", [1], 3, {"a": None})
    ]
    given = render(template, webhook(alert(long="x" * WHOLE), *strange, **odd))
    assert given["cut"]["alerts"] == 6
    assert len(given["webhook"]["alerts"]) == 6
