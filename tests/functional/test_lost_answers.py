"""Answers of DynamoDB that are lost on the way: botocore sends the request again, and a condition meets its own write.

A transaction carries a token by which DynamoDB knows it again; a conditional update does not.
"""

from typing import Any

import pytest

from oncall import intake
from tests.builders import MINUTE, SATO, SUZUKI, World, webhook

EVERY_REQUEST = range(12)


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_webhook_rings_one_phone_whatever_answer_is_lost(world: World, number: int) -> None:
    with world.dynamo.loses(number):
        run = world.fire()
        world.passes(10)
    assert world.rung == [SATO]
    assert world.ringing == [SATO]
    assert run.token


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_after_a_text_the_phone_rings_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    world.telephone.text_sender = "+12025550199"
    world.roster({"POLICY#default": {"sms_before_call": True}})
    with world.dynamo.loses(number):
        run = world.fire()
    assert world.rung == [SATO]
    assert len(world.telephone.texts) == 1
    assert world.story(run) == ["triggered", "ringing", "texted"]


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_group_that_joins_joins_whatever_answer_is_lost(world: World, number: int) -> None:
    world.fire()
    with world.dynamo.loses(number):
        other = world.fire(webhook(key="other"))
    assert world.rung == [SATO]
    assert world.incident(other).id in world.page().incidents


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_key_counts_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    run = world.fire()
    with world.dynamo.loses(number):
        said = world.hears(world.last_call, "1")
    assert "You have it" in said
    assert world.incident(run).state == "acknowledged"
    assert run.outcome[0] == "success"
    assert world.page().is_settled


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_late_key_stops_the_next_phone_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    run = world.fire()
    first = world.last_call
    world.twilio_says(first, "completed")
    assert world.ringing == [SUZUKI]
    with world.dynamo.loses(number):
        assert "You have it" in world.hears(first, "1")
    assert SUZUKI not in world.ringing
    assert world.incident(run).acknowledged_by == "Sato"


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_the_button_stops_the_phone_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    run = world.fire()
    with world.dynamo.loses(number):
        taken = world.takes_in_slack(run.decision["incidents"][0])
    assert taken.ours
    assert world.ringing == []
    assert world.incident(run).state == "acknowledged"


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_resolution_stops_the_phone_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    run = world.fire()
    with world.dynamo.loses(number):
        world.resolve()
    assert world.ringing == []
    assert world.page().state == "resolved"
    assert run.outcome[0] == "skip"


@pytest.mark.parametrize("key", ["completed", "2"])
@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_the_next_phone_rings_at_once_whatever_answer_is_lost(world: World, number: int, key: str) -> None:
    world.fire()
    with world.dynamo.loses(number):
        if key == "2":
            world.hears(world.last_call, key)
            world.last_call.status = "completed"
        else:
            world.twilio_says(world.last_call, key)
        world.passes(10)
    assert world.rung == [SATO, SUZUKI]


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_connected_call_counts_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    run = world.fire()
    with world.dynamo.loses(number):
        world.twilio_says(world.last_call, "in-progress")
    assert world.incident(run).state == "acknowledged"
    assert run.outcome[0] == "success"


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_page_that_nobody_takes_ends_loudly_and_once_whatever_answer_is_lost(world: World, number: int) -> None:
    world.roster({"POLICY#default": {"rounds": 1}, "RESPONDER#suzuki": None, "RESPONDER#takahashi": None})
    run = world.fire()
    with world.dynamo.loses(number):
        world.twilio_says(world.last_call, "busy")
        world.passes(10)
    assert world.topic.subjects == ["nobody took a page"]
    assert world.incident(run).unanswered
    assert world.page().is_settled


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_a_page_whose_execution_died_goes_on_at_once_whatever_answer_is_lost(world: World, number: int) -> None:
    run = world.receive(webhook())  # and its execution dies before the first ring
    world.project(*run.decision["incidents"])  # so the page alone is due
    world.clock.sleep(3 * MINUTE)
    with world.dynamo.loses(number):
        world.reconcile()
        world.passes(10)
    assert world.rung == [SATO]
    assert world.page().owner != run.name


@pytest.mark.parametrize("number", EVERY_REQUEST)
def test_an_incident_without_a_page_is_paged_at_once_whatever_answer_is_lost(
    world: World, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(intake, "_page", _dies)
        with pytest.raises(ZeroDivisionError):
            world.receive(webhook())
    world.clock.sleep(3 * MINUTE)
    with world.dynamo.loses(number):
        world.reconcile()
        world.passes(10)
    assert world.rung == [SATO]


def _dies(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError
