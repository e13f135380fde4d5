"""An incident's life on the whole system: who is rung, who is not, what stops it, and what everybody is told."""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import alert
from tests.devstack_fixture import wait_until
from tests.e2e.story import QUICK, Night, Story, at_once

NORA = "+12025550100"  # whom the default policy of roster.yaml rings

# ---------------------------------------------------------------- somebody takes it


def test_the_first_who_presses_1_has_it_and_nobody_else_is_rung(night: Night) -> None:
    story = night.story("alice", "bob")
    execution = story.fire()

    call = story.takes("alice")

    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    story.hears(call["sid"], "You have it")
    story.shows("Alice has it")
    story.finished(execution)
    assert story.called() == ["alice"]
    assert story.outcome(execution)["result"] == "success"


def test_every_action_is_in_the_timeline_with_who_what_and_when(night: Night) -> None:
    story = night.story("alice", "bob")
    began = time.time()
    story.phone("alice", "busy")
    execution = story.fire()
    story.takes("bob")
    story.becomes("acknowledged")
    story.finished(execution)
    story.settled()
    story.finished(story.resolve())

    told = [(event["kind"], event["who"]) for event in story.timeline()]
    told.remove(("texted", "Bob"))  # beside the acknowledgement
    assert told[0] == ("triggered", "")
    assert told[-2:] == [("acknowledged", "Bob"), ("resolved", "")]
    assert {("ringing", "Alice"), ("call_ended", "Alice"), ("ringing", "Bob")} <= set(told)
    assert all(began - 1 < event["at"] / 1000 < time.time() + 1 for event in story.timeline())
    wait_until(lambda: len(story.thread()) >= 4, what="the story in the thread")
    # Whom Slack calls by a name of several people is not mentioned: every story has an Alice, and the first one is alone.
    assert re.search(f"Calling (Alice|<@{story.slack_user('alice')}>)", " ".join(story.thread()))
    assert "Alice: busy" in " ".join(story.thread())


def test_whoever_takes_it_by_phone_is_texted_the_link_to_the_story(night: Night) -> None:
    story = night.story("alice", "bob", sms_before_call=True)
    story.phone("alice", "busy")
    story.fire()
    story.rings("bob")
    story.is_told()  # so Slack has the message, and the table its address
    story.takes("bob")
    story.settled()

    texts = {person: story.texts(person) for person in ("alice", "bob")}
    link = f"/archives/{story.channel}/p{story.message()['ts'].replace('.', '')}"
    assert [text.partition(":")[0] for text in texts["alice"]] == ["On-call alert"]
    assert [text.partition(":")[0] for text in texts["bob"]] == ["On-call alert", "You have it"]
    assert texts["bob"][1].endswith(link)
    assert story.kinds().count("texted") == 3


def test_0_tells_the_details_and_2_passes_it_on_and_3_says_it_again(night: Night) -> None:
    story = night.story("alice", "bob")
    night.people_speak_fast()
    story.fire()
    call = story.rings("alice")
    story.system.answer(call["sid"])
    story.hears(call["sid"], "Press 1")
    story.system.press(call["sid"], "3")
    wait_until(lambda: " ".join(story.call(call["sid"])["said"]).count("On-call alert") >= 2, what="the alert again")
    story.system.press(call["sid"], "0")
    story.hears(call["sid"], "The alert is called")

    story.system.press(call["sid"], "2")

    story.hears(call["sid"], "The next person is called now")
    story.takes("bob")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Bob"


def test_a_phone_that_only_connects_counts_where_the_policy_says_so(night: Night) -> None:
    story = night.story("alice", "bob", answer="connected")
    execution = story.fire()

    story.system.answer(story.rings("alice")["sid"])

    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    story.finished(execution)
    assert story.called() == ["alice"]


def test_acknowledge_in_slack_stops_the_ringing_phone(night: Night) -> None:
    story = night.story("alice", "bob")
    execution = story.fire()
    call = story.rings("alice")

    story.presses_acknowledge("bob")

    assert story.ended(call["sid"])["status"] == "canceled"
    assert story.becomes("acknowledged")["acknowledged_by"] == "Bob"
    story.finished(execution)
    assert story.called() == ["alice"]
    assert "acknowledge" not in json.dumps(story.shows("Bob has it")["blocks"])  # the button has gone


def test_who_is_listening_hears_that_somebody_else_has_it(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire()
    call = story.listens("alice")

    story.presses_acknowledge("bob")

    story.hears(call["sid"], "Bob already has it")
    story.ended(call["sid"])


def test_a_key_in_japanese_is_answered_in_japanese(night: Night) -> None:
    story = night.story("alice", product={"language": "ja"})
    story.writes(f"RESPONDER#{story.id_of('alice')}", {"name": "佐藤", "phone": story.phones["alice"]})
    night.people_speak_fast()
    story.fire()
    call = story.rings("alice")
    story.system.answer(call["sid"])
    story.hears(call["sid"], "オンコールのアラートです")

    story.system.press(call["sid"], "1")

    story.hears(call["sid"], "対応者として記録しました")
    story.shows("佐藤さんが対応中")


# ---------------------------------------------------------------- somebody does not


def _hangs_up(story: Story) -> None:
    call = story.listens("alice")
    story.system.hang_up(call["sid"])


def _presses_wrong_keys(story: Story) -> None:
    call = story.rings("alice")
    story.system.answer(call["sid"])
    story.hears(call["sid"], "Press 1")
    story.system.press(call["sid"], "7")
    story.hears(call["sid"], "That key does nothing.")
    story.system.press(call["sid"], "#")  # ends what is typed, and nothing is: Twilio goes on waiting
    story.system.hang_up(call["sid"])


def _nothing(story: Story) -> None:
    del story


@pytest.mark.parametrize(
    ("behaviour", "alice", "status"),
    [
        pytest.param("busy", _nothing, "busy", id="busy"),
        pytest.param("no-answer", _nothing, "no-answer", id="no answer"),
        pytest.param("failed", _nothing, "failed", id="failed"),
        pytest.param("voicemail", _nothing, "completed", id="voicemail"),
        pytest.param("ring", _hangs_up, "completed", id="answered and hung up"),
        pytest.param("ring", _presses_wrong_keys, "completed", id="wrong keys"),
    ],
)
def test_the_next_responder_rings_when_a_call_ends_untaken(
    night: Night,
    record_property: Callable[[str, object], None],
    behaviour: str,
    alice: Callable[[Story], None],
    status: str,
) -> None:
    story = night.story("alice", "bob", ring_seconds=5)
    night.people_speak_fast()
    story.phone("alice", behaviour)
    execution = story.fire()
    alice(story)

    story.takes("bob")

    (first,) = story.calls("alice")
    (second,) = story.calls("bob")
    assert first["status"] == status
    record_property("seconds to the next call", second["created_at"] - first["ended_at"])
    steps = [step for step in story.states(execution) if step in ("PhoneCall", "WaitToCall", "NoWordFromTheCall")]
    assert steps[:2] == ["PhoneCall", "PhoneCall"]  # at once: no wait, and no time limit, between them
    assert story.becomes("acknowledged")["acknowledged_by"] == "Bob"
    assert [event["detail"]["status"] for event in story.timeline() if event["kind"] == "call_ended"] == [status]


def test_nobody_takes_it_in_any_round_and_everybody_hears_of_it(night: Night) -> None:
    story = night.story("alice", "bob", rounds=2)
    story.phone("alice", "busy")
    story.phone("bob", "failed")

    execution = story.fire()

    story.becomes("triggered", unanswered=True)
    story.finished(execution)
    assert story.called() == ["alice", "bob", "alice", "bob"]
    assert story.outcome(execution)["result"] == "fail"
    message = story.told("nobody took a page")["message"]
    assert "- Alice: busy (2 times)" in message
    assert "- Bob: could not be called" in message
    story.shows("UNANSWERED")
    story.tells("Nobody took it")


def test_the_next_repeat_of_an_unanswered_alert_rings_again(night: Night) -> None:
    story = night.story("alice")
    story.phone("alice", "busy")
    story.finished(story.fire())
    story.becomes("triggered", unanswered=True)
    story.phone("alice", "ring")

    story.fire()

    story.takes("alice", nth=2)
    story.becomes("acknowledged", unanswered=False)
    assert len(story.incidents()) == 1


def test_a_responder_is_called_twice_in_a_row_where_the_policy_says_so(night: Night) -> None:
    story = night.story("alice", "bob", calls=2)
    story.phone("alice", "busy")
    story.fire()

    story.takes("bob")

    story.becomes("acknowledged")
    assert story.called() == ["alice", "alice", "bob"]


# ---------------------------------------------------------------- it is over before anybody takes it


def test_resolved_while_ringing_stops_that_phone_and_rings_no_other(night: Night) -> None:
    story = night.story("alice", "bob", rounds=2)
    execution = story.fire()
    call = story.rings("alice")

    story.resolve()

    assert story.ended(call["sid"])["status"] == "canceled"
    story.becomes("resolved")
    story.finished(execution)
    assert story.called() == ["alice"]
    assert story.outcome(execution)["result"] == "skip"
    story.shows("Resolved")


def test_resolved_while_somebody_listens_is_told_to_them(night: Night) -> None:
    story = night.story("alice", "bob")
    execution = story.fire()
    call = story.listens("alice")

    story.resolve()

    story.hears(call["sid"], "It is over")
    story.ended(call["sid"])
    story.finished(execution)
    assert story.called() == ["alice"]


def test_a_resolution_that_overtakes_its_firing_ends_resolved_and_rings_nobody(night: Night) -> None:
    story = night.story("alice")
    night.system.faults("aws", {"lambda:ReceiveAlertsFunction": {"delay": 4, "times": 1}})
    firing = story.fire()
    wait_until(lambda: "ReceiveAlerts" in story.states(firing), what="the start of the firing's execution")

    resolution = story.resolve()

    story.finished(resolution)
    assert story.incidents() == []  # the firing is still on its way
    story.finished(firing)
    story.becomes("resolved")
    story.shows("Resolved")
    assert story.called() == []


def test_the_same_group_fires_anew_after_its_resolution(night: Night) -> None:
    story = night.story("alice")
    story.fire()
    story.takes("alice")
    story.becomes("acknowledged")
    story.finished(story.resolve())

    story.fire()

    story.rings("alice", nth=2)
    assert [incident["state"] for incident in story.incidents()] == ["resolved", "triggered"]
    story.resolve()


# ---------------------------------------------------------------- the same thing more than once


def test_fifty_equal_webhooks_at_once_are_one_incident_and_one_call(night: Night) -> None:
    story = night.story("alice", "bob")
    webhook = story.webhook()

    executions = at_once([lambda: story.posts(webhook)] * 50)

    story.takes("alice")
    story.becomes("acknowledged")
    for execution in executions:
        story.finished(execution, timeout=120)
    assert len(story.incidents()) == 1
    assert story.called() == ["alice"]
    assert len(story.heads()) == 1
    assert story.kinds().count("triggered") == 1
    assert story.kinds().count("acknowledged") == 1


def test_two_alertmanagers_are_one_incident_and_one_call(night: Night) -> None:
    story = night.story("alice", "bob")
    pair = [story.webhook(externalURL=f"http://alertmanager-{one}.example.com") for one in "ab"]

    executions = at_once([lambda webhook=webhook: story.posts(webhook) for webhook in pair])  # type: ignore[misc]

    story.takes("alice")
    story.becomes("acknowledged")
    for execution in executions:
        story.finished(execution)
    assert len(story.incidents()) == 1
    assert story.called() == ["alice"]


# ---------------------------------------------------------------- more than one incident


def test_a_group_that_joins_rings_no_second_phone_and_one_key_takes_both(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire("shop")
    call = story.rings("alice")

    story.finished(story.fire("search"))
    story.system.answer(call["sid"])
    story.system.press(call["sid"], "1")

    for group in ("shop", "search"):
        assert story.becomes("acknowledged", group)["acknowledged_by"] == "Alice"
        story.shows("Alice has it", group)
    assert story.called() == ["alice"]


def test_the_page_goes_on_for_the_group_that_is_not_resolved(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire("shop")
    call = story.rings("alice")
    story.finished(story.fire("search"))

    story.finished(story.resolve("shop"))
    story.system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})

    assert "search is down" in " ".join(story.listens("bob")["said"])
    story.system.press(story.calls("bob")[0]["sid"], "1")
    story.becomes("acknowledged", "search")
    assert story.becomes("resolved", "shop")


def test_new_alerts_on_an_acknowledged_incident_ring_again(night: Night) -> None:
    story = night.story("alice")
    first = alert("shop is down", labels={"product": story.name})
    story.fire(alerts=[first])
    story.takes("alice")
    story.becomes("acknowledged")
    story.settled()

    story.fire(alerts=[first, alert("checkout is down", labels={"product": story.name})])

    story.takes("alice", nth=2)
    story.becomes("acknowledged")
    assert story.kinds().count("acknowledged") == 2
    assert story.kinds().count("new_alerts") == 1
    assert len(story.incidents()) == 1


def test_new_alerts_are_only_told_where_the_policy_says_so(night: Night) -> None:
    story = night.story("alice", ring_on_new_alerts=False)
    first = alert("shop is down", labels={"product": story.name})
    story.fire(alerts=[first])
    story.takes("alice")
    story.becomes("acknowledged")
    story.settled()

    story.finished(story.fire(alerts=[first, alert("checkout is down", labels={"product": story.name})]))

    story.tells("more alert")
    assert story.called() == ["alice"]
    assert story.becomes("acknowledged")


def test_a_repeat_of_what_somebody_has_rings_nobody(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire()
    story.takes("alice")
    story.becomes("acknowledged")
    story.settled()

    story.finished(story.fire())

    assert story.kinds()[-1] == "repeated"
    assert story.becomes("acknowledged")
    assert story.called() == ["alice"]


# ---------------------------------------------------------------- the quiet window


def test_within_the_quiet_window_slack_is_told_first_and_phones_ring_at_its_end(night: Night) -> None:
    story = night.story("alice", quiet_seconds=8)
    story.fire("shop")
    story.takes("alice")
    story.becomes("acknowledged", "shop")
    quiet_until = story.settled()["quiet_until"] / 1000

    story.fire("search")

    story.tells(f"<@{story.slack_user('alice')}>", "search")
    assert time.time() < quiet_until, "the machine was too slow to see the window"
    assert story.called() == ["alice"]
    second = story.takes("alice", nth=2)
    assert second["created_at"] >= quiet_until
    story.becomes("acknowledged", "search")


def test_what_is_taken_within_the_quiet_window_rings_nobody(night: Night) -> None:
    story = night.story("alice", quiet_seconds=8)
    story.fire("shop")
    story.takes("alice")
    story.becomes("acknowledged", "shop")
    story.settled()
    execution = story.fire("search")

    story.presses_acknowledge("alice", "search")

    story.becomes("acknowledged", "search")
    story.finished(execution)
    assert story.called() == ["alice"]


def test_after_the_quiet_window_a_new_group_rings_at_once(night: Night) -> None:
    story = night.story("alice", quiet_seconds=2)
    story.fire("shop")
    story.takes("alice")
    story.becomes("acknowledged", "shop")
    quiet_until = story.settled()["quiet_until"] / 1000
    wait_until(lambda: time.time() > quiet_until, what="the end of the quiet window")

    story.fire("search")

    story.takes("alice", nth=2)
    story.becomes("acknowledged", "search")
    assert "quiet" not in story.kinds("search")


# ---------------------------------------------------------------- late, and at the same moment


def test_a_late_key_counts_and_stops_the_next_phone(night: Night) -> None:
    story = night.story("alice", "bob")
    story.fire()
    late = story.rings("alice")
    story.twilio_says(late, "no-answer")  # an early word: her phone rings on, but for us her call has ended
    second = story.rings("bob")

    story.system.answer(late["sid"])
    story.system.press(late["sid"], "1")

    story.hears(late["sid"], "You have it")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    assert story.ended(second["sid"])["status"] == "canceled"


def test_a_late_key_still_takes_what_nobody_took(night: Night) -> None:
    story = night.story("alice")
    execution = story.fire()
    late = story.rings("alice")
    story.twilio_says(late, "no-answer")
    story.finished(execution)
    story.becomes("triggered", unanswered=True)

    story.system.answer(late["sid"])
    story.system.press(late["sid"], "1")

    story.hears(late["sid"], "You have it")
    assert story.becomes("acknowledged", unanswered=False)["acknowledged_by"] == "Alice"
    story.shows("Alice has it")


def test_of_phone_and_slack_at_the_same_moment_one_wins_and_the_other_is_told_who(night: Night) -> None:
    story = night.story("alice", "bob")
    night.people_speak_fast()
    story.fire()
    call = story.listens("alice")
    ts, bob = story.message()["ts"], story.slack_user("bob")

    at_once(
        [
            lambda: story.system.press(call["sid"], "1"),
            lambda: story.system.press_button(ts, "acknowledge", bob),
        ]
    )

    winner = story.becomes("acknowledged")["acknowledged_by"]
    story.hears(call["sid"], "You have it" if winner == "Alice" else "Bob already has it")
    story.shows(f"{winner} has it")
    story.settled()
    assert story.kinds().count("acknowledged") == 1


# ---------------------------------------------------------------- who and whether at all


def test_a_product_without_calls_is_told_in_slack_alone(night: Night) -> None:
    story = night.story("alice", product={"call": False})

    execution = story.fire()

    story.finished(execution)
    assert story.outcome(execution)["result"] == "skip"
    story.shows("Nobody is called for this product")
    assert story.called() == []
    story.presses_acknowledge("alice")
    story.becomes("acknowledged")


def test_a_product_that_the_roster_does_not_know_uses_the_default_policy(night: Night) -> None:
    story = night.story()
    story.phones["nora"] = NORA
    story.system.line(NORA, "ring")

    story.fire(product=f"{story.name}-unknown")

    story.takes("nora")
    wait_until(
        lambda: [one["state"] for one in story.incidents(product=f"{story.name}-unknown")] == ["acknowledged"],
        what="the acknowledgement",
    )


def test_a_warning_is_told_in_slack_alone(night: Night) -> None:
    story = night.story("alice")

    execution = story.fire(severity="warning")

    story.finished(execution)
    story.shows("Warning")
    assert story.called() == []
    assert "SlackAlert" in story.states(execution)
    assert "PhoneCall" not in story.states(execution)


def test_a_warning_that_becomes_critical_rings(night: Night) -> None:
    story = night.story("alice")
    story.finished(story.fire(severity="warning"))

    story.fire(severity="critical")

    story.takes("alice")
    story.becomes("acknowledged")
    story.tells("It has become critical")
    assert len(story.incidents()) == 1


@pytest.mark.parametrize("severity", [None, "disaster"], ids=["missing", "unknown"])
def test_a_severity_that_is_not_known_counts_as_critical_and_says_so(night: Night, severity: str | None) -> None:
    story = night.story("alice")

    story.fire(severity=severity)

    story.takes("alice")
    story.shows("so it counts as critical")


def test_nobody_on_call_is_told_in_slack_and_on_the_fallback_topic(night: Night) -> None:
    story = night.story(steps=[{"schedule": "empty"}])
    story.writes("SCHEDULE#empty", {"members": []})

    execution = story.fire()

    assert "nobody is on call" in story.told("nobody took a page")["message"]
    story.shows("UNANSWERED")
    story.tells("Nobody is on call")
    story.finished(execution)


def test_without_any_roster_slack_and_the_fallback_topic_say_so(night: Night) -> None:
    story = night.story()
    product = f"{story.name}-without-roster"

    with night.without_roster():
        execution = story.fire(product=product)
        story.finished(execution)

    (incident,) = story.incidents(product=product)
    assert incident["unanswered"]
    assert any("当番がいない" in one["message"] and product in one["message"] for one in night.system.published())
    wait_until(
        lambda: any("当番がいない" in one["text"] for one in night.system.messages()), what="the thread in Slack"
    )


# ---------------------------------------------------------------- the roster changes in the middle of a page


def test_the_next_attempt_rings_the_changed_number(night: Night) -> None:
    story = night.story("alice", "bob", "carol")
    story.fire()
    call = story.rings("alice")

    story.writes(f"RESPONDER#{story.id_of('bob')}", {"name": "Bob", "phone": story.phones["carol"]})
    story.system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})

    story.takes("carol")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Bob"
    assert story.calls("bob") == []


def test_a_removed_responder_is_not_rung_any_more(night: Night) -> None:
    story = night.story("alice", "bob", "carol")
    story.fire()
    call = story.rings("alice")

    story.erases(f"RESPONDER#{story.id_of('bob')}")
    story.system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})

    story.takes("carol")
    story.becomes("acknowledged")
    assert story.called() == ["alice", "carol"]


def test_an_override_that_begins_counts_for_the_next_attempt(night: Night) -> None:
    story = night.story("alice", "bob", rounds=2)
    schedule = f"{story.name}-schedule"
    story.writes(f"SCHEDULE#{schedule}", {"members": [story.id_of("alice")]})
    story.writes(f"POLICY#{story.name}", {"steps": [{"schedule": schedule}], **QUICK, "rounds": 2})
    story.fire()
    call = story.rings("alice")

    end = datetime.now(UTC) + timedelta(hours=1)
    override = {"responder": story.id_of("bob"), "schedule": schedule, "end": end.isoformat(timespec="seconds")}
    story.writes(f"OVERRIDE#{story.name}", override)
    story.system.control("POST", "twilio", f"calls/{call['sid']}/decline", {})

    story.takes("bob")
    story.becomes("acknowledged")
    assert story.called() == ["alice", "bob"]


# ---------------------------------------------------------------- acknowledged for too long


def test_what_is_acknowledged_for_too_long_is_reminded_of_in_slack_and_then_rings(night: Night) -> None:
    story = night.story("alice", remind_after_minutes=1)
    story.fire()
    story.takes("alice")
    incident = story.becomes("acknowledged")
    story.minutes_pass()
    night.reconciles()
    story.tells("has had this for a long time")
    assert story.called() == ["alice"]

    story.minutes_pass()
    story.starts({"source": "reconciler", "incidents": [incident["id"]]})  # as the reconciler does in another minute
    story.takes("alice", nth=2)
    story.tells("The phones ring again")
    story.becomes("acknowledged")
