"""Webhooks on which other systems lost a page, or rang for nothing, played on the whole system with the right outcome.

They are those of tests/events/reported as Alertmanager and Grafana post them. Only what keeps two stories apart is the
story's own: the group's key, and the product where the webhook leaves it open.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.devstack_fixture import wait_until
from tests.e2e.story import Night, Story, readable

REPORTED = Path(__file__).parents[1] / "events" / "reported"


def reported(story: Story, name: str, *, products: Mapping[str, str] | None = None) -> Any:
    """A reported webhook as a group of the story's. `products` are the story's names for those that it names."""
    posted = json.loads((REPORTED / f"{name}.json").read_text(encoding="utf-8"))
    posted["groupKey"] = story.webhook()["groupKey"]
    for labels in [posted["commonLabels"], *(alert["labels"] for alert in posted["alerts"])]:
        if products is None:
            labels["product"] = story.name
        elif "product" in labels:
            labels["product"] = products[labels["product"]]
    return posted


def plays(story: Story, name: str, *, products: Mapping[str, str] | None = None) -> str:
    """Posts a reported webhook; returns the execution's name."""
    return story.posts(reported(story, name, products=products))


def test_a_resolution_of_a_list_that_was_cut_leaves_the_phone_ringing(night: Night) -> None:
    story = night.story("alice")
    plays(story, "truncated-1-firing")
    call = story.rings("alice")
    story.finished(plays(story, "truncated-2-resolved"))
    assert story.happened("unsure")["detail"] == {"count": 1}
    story.becomes("triggered")
    story.shows("others may be firing")
    assert story.call(call["sid"])["status"] == "ringing"
    story.takes("alice")
    story.becomes("acknowledged")
    story.finished(story.posts({**reported(story, "truncated-2-resolved"), "truncatedAlerts": 0}))
    story.becomes("resolved")  # the list is whole
    assert story.called() == ["alice"]


def takes_what_is_heard(story: Story, person: str, words: str) -> None:
    """A person answers, hears the words, and only then presses 1: a key cuts the rest off."""
    call = story.rings(person)
    story.system.answer(call["sid"])
    story.hears(call["sid"], words)
    story.system.press(call["sid"], "1")


@pytest.mark.parametrize("first", ["batch", "shop"])
def test_the_shop_rings_beside_a_product_that_nobody_is_called_for(night: Night, first: str) -> None:
    story = night.story("alice")
    products = {"batch": f"{story.name}-batch", "shop": story.name}
    story.writes(f"PRODUCT#{products['batch']}", {"call": False, "policy": story.name, "slack_channel": story.channel})
    posted = reported(story, "mixed-products", products=products)
    posted["alerts"].sort(key=lambda alert: alert["labels"]["product"] != products[first])
    story.posts(posted)
    takes_what_is_heard(story, "alice", "The shop is down")
    story.becomes("acknowledged")
    wait_until(lambda: len(story.heads()) == 2, what="a message for each product")
    (batch,) = story.incidents(product=products["batch"])
    assert (batch["state"], batch["call"]) == ("triggered", False)
    assert story.called() == ["alice"]


def test_each_policy_of_a_group_rings_and_each_stops_with_its_own_product(night: Night) -> None:
    story, other = night.story("alice"), night.story("bob")
    products = {"batch": other.name, "shop": story.name}
    plays(story, "mixed-products", products=products)
    calls = story.rings("alice"), other.rings("bob")
    assert story.page()["owner"] != other.page()["owner"]

    half = reported(story, "mixed-products", products=products)
    half["alerts"][0] |= {"status": "resolved", "endsAt": "2026-11-23T03:10:00Z"}
    story.finished(story.posts(half))
    assert other.ended(calls[1]["sid"])["status"] == "canceled"
    assert story.call(calls[0]["sid"])["status"] == "ringing"

    takes_what_is_heard(story, "alice", "The shop is down")
    story.becomes("acknowledged")
    (batch,) = story.incidents(product=other.name)
    assert batch["state"] == "resolved"
    assert (story.called(), other.called()) == (["alice"], ["bob"])


def test_a_part_and_then_all_of_what_somebody_has_rings_nobody(night: Night) -> None:
    story = night.story("alice")
    plays(story, "reload-1-all")
    story.takes("alice")
    story.becomes("acknowledged")
    story.settled()  # so a new page would ring at once
    story.finished(plays(story, "reload-2-subset"))
    story.becomes("acknowledged", firing=1, at_least=True)
    story.finished(plays(story, "reload-3-all"))
    taken = story.becomes("acknowledged", firing=3, at_least=False)
    assert list(taken["known"]) == [f"000000000000055{digit}" for digit in (2, 3, 4)]
    assert "new_alerts" not in story.kinds()
    assert len(story.incidents()) == 1
    assert story.called() == ["alice"]


@pytest.mark.parametrize(
    ("name", "said", "shown"),
    [
        ("message-only", "Job default backup failed to complete.", "Job default/backup failed to complete."),
        ("blank-summary", "Disk Full: db 1", "DiskFull: db-1"),
    ],
)
def test_a_text_that_says_nothing_gives_way_to_the_next(night: Night, name: str, said: str, shown: str) -> None:
    story = night.story("alice")
    plays(story, name)
    call = story.rings("alice")
    story.system.answer(call["sid"])
    story.hears(call["sid"], said)
    story.system.press(call["sid"], "1")
    story.shows(shown)
    story.becomes("acknowledged")


def test_a_time_stamp_is_said_as_a_date_in_both_languages(night: Night) -> None:
    story = night.story("alice", "bob")
    bob = {"name": "Bob", "phone": story.phones["bob"], "slack_user": story.slack_user("bob"), "language": "ja"}
    story.writes(f"RESPONDER#{story.id_of('bob')}", bob)
    plays(story, "timestamp")
    call = story.rings("alice")
    story.system.answer(call["sid"])
    assert "2026-12-01" not in story.hears(call["sid"], "December 1")
    story.system.press(call["sid"], "2")
    call = story.rings("bob")
    story.system.answer(call["sid"])
    assert "2026-12-01" not in story.hears(call["sid"], "12月1日")
    story.system.press(call["sid"], "1")
    story.becomes("acknowledged")


def test_grafanas_links_lead_to_grafanas_pages(night: Night) -> None:
    story = night.story("alice")
    plays(story, "grafana")
    story.takes("alice")
    message = story.shows("Latency is high")
    links = {link["text"]: link["url"] for link in _links(message["blocks"])}
    grafana = "https://grafana.example.com"
    assert links["Silence"].startswith(f"{grafana}/alerting/silence/new?alertmanager=grafana&")
    assert f"{grafana}/d/abc?orgId=1&viewPanel=2" in links.values()
    assert "#/silences/new" not in json.dumps(message["blocks"])
    assert "6.7" in readable(message)
    story.becomes("acknowledged")


def _links(part: Any) -> list[Any]:
    """The links of rich text."""
    if isinstance(part, list):
        return [link for one in part for link in _links(one)]
    return [part] if part.get("type") == "link" else _links(part.get("elements", []))
