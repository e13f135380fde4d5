"""Which of an alert's texts is told: the first that says something."""

from typing import Any

import pytest

from oncall import incidents
from oncall.alerts.annotations import headline
from oncall.incidents import Incident
from oncall.phone.provider import Callbacks
from oncall.phone.voice import Voice
from oncall.slack import messages
from tests import records
from tests.builders import BASE, alert, webhook

NOTHING = ["", " ", "\n  ", "-", "—", "🔥🔥", "...", "\u3000", "\u200b", "<no value>", "[no value]", "n/a", "None"]


def incident(annotations: dict[str, str], **labels: str) -> Incident:
    """An incident of an alert with these annotations."""
    one = alert("DiskFull", labels={"instance": "db-1", **labels}) | {"annotations": annotations}
    return records.incident(webhook(one), opened_at=0)


def called(one: Incident, language: Any = "en") -> str:
    """What a call says of it before the keys."""
    voice = Voice(language, Callbacks(BASE, "default", "0123456789abcdef", 1))
    return " ".join(text for _, text in voice.message(incidents.headline_of(one)))


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_text_that_says_nothing_falls_through_to_the_next(nothing: str) -> None:
    texts = {"summary": nothing, "message": nothing, "description": nothing}
    assert headline(texts) == ""
    assert headline(texts | {"description": "The disk is full"}) == "The disk is full"
    assert headline(texts | {"message": "Job failed", "description": "The disk is full"}) == "Job failed"
    assert headline(texts | {"summary": "Down", "message": "Job failed"}) == "Down"


@pytest.mark.parametrize("nothing", NOTHING)
def test_of_an_alert_that_says_nothing_call_and_slack_tell_the_name(nothing: str) -> None:
    one = incident({"summary": nothing, "description": nothing})
    assert "Disk Full: db 1." in called(one)
    text, blocks = messages.message(one, "en")
    assert text.startswith("🔴 DiskFull: db-1 |")
    assert blocks[0]["text"]["text"] == "🔴 DiskFull: db-1"


def test_an_alert_whose_name_says_nothing_has_no_name() -> None:
    one = incident({}, alertname="-", instance=" ")
    assert one.summary == "an alert without a name"


def test_a_message_counts_in_call_details_slack_and_text() -> None:
    one = incident({"message": "Job default/backup failed to complete."})
    assert "Job default backup failed to complete." in called(one)
    assert messages.message(one, "en")[0].startswith("🔴 Job default/backup failed to complete. |")
    details = Voice("en", Callbacks(BASE, "default", "0123456789abcdef", 1)).details(one, now=0)
    assert "Job default backup failed to complete." in details


def test_a_text_in_the_readers_language_comes_before_the_plain_one() -> None:
    one = incident({"summary": "Disk full", "summary_ja": "ディスクがいっぱいです"})
    assert incidents.headline_of(one).summaries == {"ja": "ディスクがいっぱいです"}
    assert "ディスクがいっぱいです" in called(one, "ja")


def test_a_blank_text_in_the_readers_language_falls_through_as_well() -> None:
    one = incident({"summary": "Disk full", "summary_ja": " "})
    assert incidents.headline_of(one).summaries == {}
    assert messages.message(one, "ja")[0].startswith("🔴 Disk full |")


def test_of_many_annotations_those_that_are_told_are_kept() -> None:
    many = {f"a{number}": "x" for number in range(20)}
    one = incident(
        {
            **many,
            "description": "The disk is full",
            "summary_ja": "いっぱいです",
            "runbook_url": "https://r.example.com",
        }
    )
    kept = one.alerts[0].annotations
    assert {"description", "summary_ja", "runbook_url"} <= kept.keys()
    assert len(kept) == 10
