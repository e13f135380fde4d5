"""What is counted in a report: what happened to people, in their own hours; tests count for nothing."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from oncall.incidents import Incident, TimelineEvent
from oncall.probe.rules import POLICY as PROBE_POLICY
from oncall_cli.report import Durations, summarize
from tests import records

TOKYO = ZoneInfo("Asia/Tokyo")
NIGHT = int(datetime(2026, 11, 22, 18, 12, tzinfo=UTC).timestamp() * 1000)  # 03:12 in Tokyo
NOON = NIGHT + 9 * 3_600_000
type Story = tuple[Incident, list[TimelineEvent]]


def event(kind: str, at: int, who: str = "", **detail: Any) -> TimelineEvent:
    return records.event(kind, who, at=at, **detail)


def story(opened: int, *events: TimelineEvent, **more: Any) -> Story:
    incident = records.incident(opened_at=opened, **{"severity": "critical", "product": "shop", **more})
    return incident, [event("triggered", opened), *events]


def taken(opened: int, seconds: int) -> Story:
    return story(opened, event("acknowledged", opened + seconds * 1000, "Alice", via="phone"))


def test_nothing_happened() -> None:
    report = summarize([], TOKYO)
    assert (report.incidents, report.calls, report.woken) == (0, 0, ())
    assert report.to_acknowledge == Durations(0, None, None)


def test_who_was_woken_how_often_and_at_which_local_hour() -> None:
    found = [
        story(
            NIGHT,
            event("ringing", NIGHT, "Alice"),
            event("call_ended", NIGHT + 25_000, "Alice", status="no-answer"),
            event("ringing", NIGHT + 25_000, "Bob"),
            event("acknowledged", NIGHT + 40_000, "Bob", via="phone"),
        ),
        story(NOON, event("ringing", NOON, "Alice")),
    ]
    report = summarize(found, TOKYO)
    alice, bob = report.woken
    assert (alice.name, alice.calls, alice.nights, alice.hours[3], alice.hours[12]) == ("Alice", 2, 1, 1, 1)
    assert (bob.name, bob.calls, bob.nights) == ("Bob", 1, 1)
    assert (report.calls, report.call_outcomes) == (3, {"no-answer": 1})


def test_through_which_telephone_provider_phones_rang() -> None:
    found = [story(NIGHT, *(event("ringing", NIGHT, "Alice", provider=one) for one in ("Twilio", "Telnyx", "Telnyx")))]
    assert summarize(found, TOKYO).calls_through == {"Telnyx": 2, "Twilio": 1}
    assert summarize([story(NIGHT, event("ringing", NIGHT, "Alice"))], TOKYO).calls_through == {}


def test_the_first_acknowledgement_counts() -> None:
    incident, events = taken(NIGHT, 30)
    events += [event("acknowledged", NIGHT + 900_000, "Bob", via="slack")]
    assert summarize([(incident, events)], TOKYO).to_acknowledge == Durations(1, 30.0, 30.0)


def test_the_median_and_the_95th_percentile() -> None:
    report = summarize([taken(NIGHT, seconds) for seconds in range(1, 101)], TOKYO)
    assert report.to_acknowledge == Durations(100, 50.5, 95.0)


def test_warnings_are_not_waited_for_but_resolve() -> None:
    found = [
        story(NIGHT, event("acknowledged", NIGHT + 5000, "Alice", via="slack"), severity="warning"),
        story(NIGHT, severity="warning", resolved_at=NIGHT + 60_000),
    ]
    report = summarize(found, TOKYO)
    assert (report.to_acknowledge.count, report.to_resolve) == (0, Durations(1, 60.0, 60.0))
    assert report.by_severity == {"warning": 2}


def test_unanswered_pages_are_counted_even_if_taken_later() -> None:
    found = [story(NIGHT, event("unanswered", NIGHT + 1, reason="nobody"), event("acknowledged", NIGHT + 2, "Bob"))]
    assert summarize(found, TOKYO).unanswered == 1


def test_tests_and_the_probe_count_for_nothing() -> None:
    found = [
        story(NIGHT, event("ringing", NIGHT, "Alice"), product="oncall-probe", policy=PROBE_POLICY),
        story(NIGHT, event("ringing", NIGHT, "Alice"), test=True),
        taken(NIGHT, 10),
    ]
    report = summarize(found, TOKYO)
    assert (report.incidents, report.tests, report.calls, report.woken) == (1, 2, 0, ())
