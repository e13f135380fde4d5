"""Keys pressed on the phone, buttons in Slack, and what Twilio says of a call: early, late, twice and at once."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from xml.etree import ElementTree as ET

import pytest

from oncall import incidents, pages
from oncall.phone import keys
from oncall.phone.provider import Callbacks
from tests.builders import DATABASE, MINUTE, SATO, SUZUKI, TAKAHASHI, DiedError, World, alert, webhook


def test_one_takes_it_and_says_so_after_it_is_written(world: World) -> None:
    run = world.fire()
    said = world.hears(world.last_call, "1")
    assert "You have it" in said
    assert world.incident(run).acknowledged_by == "Sato"


def test_nothing_is_said_while_it_is_not_written(world: World) -> None:
    run = world.fire()
    with world.dynamo.dies(1, answered=False), pytest.raises(DiedError):
        world.hears(world.last_call, "1")
    assert world.page().state == "open"
    assert "You have it" in world.hears(world.last_call, "1")
    assert world.incident(run).state == "acknowledged"


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(4))
def test_a_key_that_died_half_way_counts_when_it_comes_again(world: World, at: int, *, answered: bool) -> None:
    run = world.fire()
    with world.dynamo.dies(at, answered=answered):
        world.hears(world.last_call, "1")
    assert "You have it" in world.hears(world.last_call, "1")
    world.passes(2 * MINUTE)
    world.reconcile()
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.rung == [SATO]
    assert world.story(run).count("acknowledged") == 1


def test_two_passes_it_on_to_the_next_responder_at_once(world: World) -> None:
    run = world.fire()
    said = world.hears(world.last_call, "2")
    assert "next person is called now" in said
    assert world.rung == [SATO, SUZUKI]
    assert world.story(run) == ["triggered", "ringing", "call_ended", "ringing"]


def test_two_pressed_twice_passes_it_on_once(world: World) -> None:
    world.fire()
    call = world.last_call
    world.hears(call, "2")
    assert "next person is called now" in world.hears(call, "2")
    assert world.rung == [SATO, SUZUKI]


def test_who_passed_it_on_can_still_take_it(world: World) -> None:
    run = world.fire()
    call = world.last_call
    world.hears(call, "2")
    assert "You have it" in world.hears(call, "1")
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.telephone.calls[1].status == "canceled"


def test_three_repeats_the_alert(world: World) -> None:
    run = world.fire()
    said = world.hears(world.last_call, "3")
    assert "shop alert is down" in said
    assert world.page().state == "open"
    assert run.token


def test_zero_tells_the_details_and_the_keys_again(world: World) -> None:
    description = "GET https://shop.example.com/cart?x={1} does not answer: probe_success is 0"
    several = [
        alert("URL Alert(critical)", annotations={"description": description}),
        alert("Disk Alert", annotations={"summary": "db-01 has a full disk at /var/lib"}),
        alert("Load Alert", annotations={"summary": "db-02 has 95% of its processors busy"}),
    ]
    world.fire(webhook(*several))
    world.clock.time += 12 * MINUTE * 1000
    said = world.hears(world.last_call, "0")
    assert "The alert is called URL Alert, critical. It began 13 minutes ago. 3 alerts fire." in said  # at 02:59
    assert "GET shop dot example dot com, cart does not answer: probe success is 0." in said
    assert (
        "There are also: db zero 1 has a full disk at var lib. db zero 2 has 95 percent of its processors busy." in said
    )
    assert said.count("0 for details") == 2
    assert world.page().state == "open"
    assert "You have it" in world.hears(world.last_call, "1")


def test_the_details_tell_when_the_alert_began_and_not_when_we_heard_of_it(world: World) -> None:
    world.fire(webhook(alert(startsAt="2026-11-23T02:57:00Z"), alert("Disk Alert", startsAt="2026-11-23T02:40:00Z")))
    assert "It began 20 minutes ago." in world.hears(world.last_call, "0")


def heard(twiml: str) -> str:
    """What a call says, in one line."""
    return " ".join(" ".join(ET.fromstring(twiml).itertext()).split())  # noqa: S314  our own


def storm(world: World, count: int = 30) -> None:
    """So many groups of one cluster fire; the first one rings, and the others join its page while it rings."""
    for number in range(count):
        world.clock.time += 1000
        labels = {"cluster": "eu-1", "instance": f"web-{number:02}:9100"}
        one = alert("InstanceDown", labels=labels, annotations={"summary": f"web-{number:02} is down"})
        world.fire(webhook(one, key=f"web-{number:02}", product="shop"))
    assert len(world.page().incidents) == count
    assert world.rung == [SATO]


def test_who_takes_a_storm_hears_how_many_incidents_that_are(world: World) -> None:
    storm(world)
    call = world.last_call
    assert "Thank you. You have all 30 incidents." in world.hears(call, "1")
    assert "Thank you. You have all 30 incidents." in world.hears(call, "1")  # the same key once more
    assert all(one.acknowledged_by == "Sato" for one in world_incidents(world))


def world_incidents(world: World) -> list[incidents.Incident]:
    found = [incidents.read(world.table, one) for one in world.page().incidents]
    return [one for one in found if one]


def test_a_call_in_a_storm_says_how_many_and_what_all_have_in_common(world: World) -> None:
    storm(world)
    again = world.hears(world.last_call, "3")
    assert "30 incidents in all. They have in common: cluster eu 1. Press" in heard(again)
    world.twilio_says(world.last_call, "no-answer")
    assert world.ringing == [SUZUKI]
    assert "30 incidents in all. They have in common: cluster eu 1." in world.last_call.twiml


def test_zero_in_a_storm_tells_what_all_have_in_common_and_names_others(world: World) -> None:
    storm(world)
    said = world.hears(world.last_call, "0")
    assert "30 incidents in all. They have in common: cluster eu 1. alert Instance Down." in heard(said)
    assert "Among the others: web zero 1 is down. web zero 2 is down. web zero 3 is down." in heard(said)


def test_nothing_is_said_to_be_in_common_that_one_incident_has_not(world: World) -> None:
    storm(world, 3)
    world.fire(webhook(alert("DiskFull"), key="disk", product="billing"))
    said = world.hears(world.last_call, "3")
    assert "4 incidents in all, of several products. Press" in heard(said)
    assert world.page().in_common == {"region": "", "namespace": "", "service": "", "node": "", "host": "", "zone": "",
                                      "availability_zone": ""}  # fmt: skip


def test_an_alert_that_joins_an_incident_later_ends_what_it_had_in_common(world: World) -> None:
    down = [alert("InstanceDown", labels={"instance": host}, fingerprint=host) for host in ("db-01:9100", "web-01")]
    world.fire(webhook(down[0]))
    world.fire(webhook(alert("DiskFull", labels={"instance": "db-01:9187"}), key=DATABASE))
    assert world.page().in_common["instance"] == "db-01"
    world.fire(webhook(*down))
    assert "instance" not in world.page().in_common
    world.resolve(webhook(*down, status="resolved"))
    world.fire(webhook(down[1], key="web"))
    assert "instance" not in world.page().in_common


def test_a_storm_writes_each_value_that_differs_a_few_times_at_most(world: World) -> None:
    """A page of hundreds of incidents stays small: what is known not to be in common is not kept for each."""
    storm(world, 40)
    assert len([trait for trait in world.page().traits if trait.startswith("instance=")]) <= 3


@pytest.mark.parametrize("digits", ["4", "9", "*", "#", "11"])
def test_another_key_explains_the_keys(world: World, digits: str) -> None:
    world.fire()
    said = world.hears(world.last_call, digits)
    assert heard(said).startswith("That key does nothing. Press 1 to take it")
    assert "shop alert is down" not in said
    assert world.page().state == "open"


def test_the_same_key_twice_is_told_the_same(world: World) -> None:
    run = world.fire()
    assert world.hears(world.last_call, "1") == world.hears(world.last_call, "1")
    assert world.story(run).count("acknowledged") == 1


def test_a_late_key_counts_and_stops_the_next_phone(world: World) -> None:
    run = world.fire()
    late = world.last_call
    world.twilio_says(late, "no-answer")
    assert world.ringing == [SUZUKI]
    assert "You have it" in world.hears(late, "1")
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.ringing == []


def test_a_late_key_after_the_page_gave_up_counts(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 1}})
    run = world.fire()
    late = world.last_call
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    assert world.incident(run).unanswered
    assert "You have it" in world.hears(late, "1")
    incident = world.incident(run)
    assert (incident.state, incident.unanswered) == ("acknowledged", False)
    assert world.page().is_settled


def test_two_keys_at_once_have_one_winner_and_the_other_hears_who(world: World) -> None:
    run = world.fire()
    first = world.last_call
    world.twilio_says(first, "no-answer")
    second = world.last_call
    said: list[str] = []
    world.dynamo.before("UpdateItem", lambda: said.append(world.hears(second, "1")))
    said.append(world.hears(first, "1"))
    assert "You have it" in said[0]
    assert "Suzuki already has it, taken just now" in said[1]
    assert world.incident(run).acknowledged_by == "Suzuki"


def test_a_key_on_a_resolved_page_is_told_that_it_is_over(world: World) -> None:
    world.fire()
    call = world.last_call
    world.twilio_says(call, "in-progress")
    world.resolve()
    for key in ("1", "2", "3", "5"):
        assert "has been resolved" in world.hears(call, key), key


def test_a_key_two_in_the_moment_of_the_resolution_is_told_that_it_is_over(world: World) -> None:
    world.fire()
    call = world.last_call
    world.dynamo.before("UpdateItem", lambda: world.receive(webhook(status="resolved")))
    assert "has been resolved" in world.hears(call, "2")
    assert world.rung == [SATO]


@pytest.mark.parametrize("key", ["2", "3", "7"])
def test_another_key_on_a_page_that_somebody_has_says_who(world: World, key: str) -> None:
    run = world.fire()
    call = world.last_call
    world.twilio_says(call, "in-progress")
    world.takes_in_slack(run.decision["incidents"][0], user="U0X", name="honda")
    world.clock.time += 3 * MINUTE * 1000
    assert "honda already has it, taken 3 minutes ago" in world.hears(call, key)


def test_a_key_of_a_page_that_is_long_gone_says_so(world: World) -> None:
    world.fire()
    old = world.last_call
    world.hears(old, "1")
    world.passes(3 * MINUTE)
    world.fire(webhook(key=DATABASE))
    assert "Sato already has it, taken 3 minutes ago" in world.hears(old, "1")
    assert "no longer open" in world.hears(old, "2")
    assert world.page().state == "open"


def test_a_late_key_after_the_repeat_has_opened_a_new_page_counts_for_the_incident(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 1}, "RESPONDER#suzuki": None, "RESPONDER#takahashi": None})
    run = world.fire()
    late = world.last_call
    world.twilio_says(late, "no-answer")
    assert world.incident(run).unanswered
    world.fire()
    assert world.ringing == [SATO]
    assert "You have it" in world.hears(late, "1")
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.page().state == "acknowledged"
    assert world.ringing == []


def test_a_late_key_of_somebody_who_has_left_the_roster_counts_by_their_id(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 1}, "RESPONDER#suzuki": None, "RESPONDER#takahashi": None})
    run = world.fire()
    late = world.last_call
    world.twilio_says(late, "no-answer")
    world.roster({"RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI}, "RESPONDER#sato": None})
    world.fire()
    assert world.ringing == [SUZUKI]
    assert "You have it" in world.hears(late, "1")
    assert world.incident(run).acknowledged_by == "sato"


def test_a_late_key_of_a_call_before_such_keys_were_known_says_that_its_page_is_gone(world: World) -> None:
    world.fire()
    old = world.last_call.callbacks
    world.hears(world.last_call, "1")
    world.passes(3 * MINUTE)
    world.fire(webhook(key=DATABASE))
    before = Callbacks(old.base, old.policy, old.page, old.number)
    assert "no longer open" in keys.key_pressed(world.services, before, "1")


def test_a_key_of_a_call_that_never_was_changes_nothing(world: World) -> None:
    world.fire()
    call = world.last_call
    forged = Callbacks(call.callbacks.base, "default", call.callbacks.page, 7)
    assert "no longer open" in keys.key_pressed(world.services, forged, "1")
    assert world.page().state == "open"


def test_a_key_answers_in_the_language_of_who_pressed_it(world: World) -> None:
    world.roster({"RESPONDER#sato": {"name": "佐藤", "phone": SATO, "language": "ja", "position": 1}})
    world.fire()
    assert "ありがとうございます" in world.hears(world.last_call, "1")


def test_a_key_pressed_while_twilio_is_still_asked_counts(world: World) -> None:
    run = world.receive(webhook())
    said: list[str] = []
    world.telephone.while_asked.append(lambda call: said.append(world.hears(call, "1")))
    world.go_on(run)
    assert "You have it" in said[0]
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.last_call.goodbye == ""  # nobody interrupts the thanks


def test_a_step_that_rings_on_while_another_takes_it_is_released(world: World) -> None:
    """The page is read when no phone rings, and written when one does."""
    run = world.fire()
    first = world.last_call
    first.status = "completed"
    keys.call_changed(world.services, first.callbacks, "completed", first.sid)
    world.dynamo.before("UpdateItem", world.settles_down)
    world.hears(first, "1")
    assert world.rung == [SATO, SUZUKI]
    assert world.ringing == []
    assert run.is_over


# ---------------------------------------------------------------- what Twilio says


@pytest.mark.parametrize("order", list(permutations(["initiated", "in-progress", "completed"])))
def test_the_callbacks_of_a_call_may_come_in_any_order(world: World, order: tuple[str, ...]) -> None:
    run = world.fire()
    call = world.last_call
    for status in order:
        keys.call_changed(world.services, call.callbacks, status, call.sid)
    call.status = "completed"
    world.settles_down()
    assert world.page().calls[0].status == "completed"
    assert world.rung == [SATO, SUZUKI]
    assert world.story(run).count("call_ended") == 1


def test_a_callback_that_is_repeated_changes_nothing(world: World) -> None:
    run = world.fire()
    call = world.last_call
    for _ in range(3):
        world.twilio_says(call, "busy")
    assert world.rung == [SATO, SUZUKI]
    assert world.story(run).count("call_ended") == 1


def test_a_late_callback_of_the_call_before_does_not_skip_the_one_that_rings(world: World) -> None:
    world.fire()
    first = world.last_call
    world.hears(first, "2")
    world.twilio_says(first, "completed")
    assert world.rung == [SATO, SUZUKI]
    assert world.ringing == [SUZUKI]


def test_the_end_of_the_call_that_took_it_changes_nothing(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    before = world.page()
    world.twilio_says(world.last_call, "completed")
    assert world.page() == before
    assert run.outcome[0] == "success"


def test_a_callback_of_a_page_that_never_was_writes_nothing(world: World) -> None:
    stranger = Callbacks("https://x.example.com/prod", "nobody", "0" * 16, 1)
    keys.call_changed(world.services, stranger, "completed", "CA0")
    assert pages.read(world.table, "nobody") is None


def test_an_early_callback_says_the_calls_sid_before_twilios_answer_does(world: World) -> None:
    run = world.receive(webhook())
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda call: world.twilio_says(call, "initiated"))
    world.go_on(run)
    assert world.page().calls[0].sid == world.last_call.sid
    world.passes(5)
    assert world.rung == [SATO]


def test_a_call_that_ends_while_twilio_is_still_asked_goes_on_to_the_next(world: World) -> None:
    run = world.receive(webhook())
    world.telephone.while_asked.append(lambda call: world.twilio_says(call, "busy"))
    world.go_on(run)
    world.passes(MINUTE)
    assert world.rung == [SATO, SUZUKI]


# ---------------------------------------------------------------- what is pressed in Slack


def test_whoever_presses_the_button_has_it_by_their_name_in_the_roster(world: World) -> None:
    run = world.fire()
    taken = world.takes_in_slack(run.decision["incidents"][0], user="U0SATO", name="yui.s")
    assert (taken.ours, taken.by) == (True, "Sato")
    assert world.incident(run).acknowledged_by == "Sato"
    assert world.page().acknowledged_via == "slack"


def test_somebody_whom_the_roster_does_not_know_has_it_by_their_slack_name(world: World) -> None:
    run = world.fire()
    assert world.takes_in_slack(run.decision["incidents"][0], user="U0X", name="honda").by == "honda"


def test_the_button_takes_all_that_the_page_covers(world: World) -> None:
    first, second = world.fire(), world.fire(webhook(key=DATABASE))
    world.takes_in_slack(second.decision["incidents"][0])
    assert world.incident(first).state == "acknowledged"
    assert world.incident(second).state == "acknowledged"


def test_the_button_pressed_twice_says_who_has_it(world: World) -> None:
    run = world.fire()
    world.takes_in_slack(run.decision["incidents"][0])
    again = world.takes_in_slack(run.decision["incidents"][0], user="U0X", name="honda")
    assert (again.ours, again.by) == (False, "Sato")
    assert world.story(run).count("acknowledged") == 1


def test_the_button_of_a_resolved_incident_says_that_it_is_over(world: World) -> None:
    run = world.fire()
    world.resolve()
    assert world.takes_in_slack(run.decision["incidents"][0]).over


def test_the_button_of_an_incident_that_never_was_says_that_it_is_over(world: World) -> None:
    assert world.takes_in_slack("20200101-000000-abcdef").over


def test_the_button_of_a_warning_takes_it(world: World) -> None:
    run = world.fire(webhook(alert(severity="warning")))
    assert world.takes_in_slack(run.decision["incidents"][0]).ours
    assert world.incident(run).state == "acknowledged"
    assert world.slack_asked == run.decision["incidents"]


def test_the_button_of_an_unanswered_incident_takes_it_even_if_the_policy_has_another_page(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 1}})
    run = world.fire()
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    world.fire(webhook(key=DATABASE))
    assert world.takes_in_slack(run.decision["incidents"][0]).ours
    assert world.incident(run).state == "acknowledged"
    assert world.page().state == "open"


def test_the_button_of_an_incident_that_fires_anew_takes_it_even_if_its_last_page_was_taken(world: World) -> None:
    run = world.fire(webhook(alert("one")))
    world.hears(world.last_call, "1")
    world.passes(10 * MINUTE)
    # The step dies after it has told the incident, and before there is a page.
    event = incidents.Event("new_alerts", key="new/two", detail={"count": 1})
    incidents.tell(world.table, run.decision["incidents"][0], event, now=world.clock.now(), state="triggered")
    taken = world.takes_in_slack(run.decision["incidents"][0], user="U0X", name="honda")
    assert (taken.ours, taken.by) == (True, "honda")
    assert world.incident(run).acknowledged_by == "honda"


def test_the_button_and_the_key_at_once_have_one_winner(world: World) -> None:
    run = world.fire()
    call = world.last_call
    world.dynamo.before(
        "UpdateItem", lambda: world.takes_in_slack(run.decision["incidents"][0], user="U0X", name="honda")
    )
    assert "honda already has it" in world.hears(call, "1")
    assert world.incident(run).acknowledged_by == "honda"


def test_an_incident_taken_alone_while_it_joins_a_page_stops_that_page(world: World) -> None:
    """The button is pressed in the moment in which the incident, known and on no page, gets one."""
    run = world.receive(webhook(alert(severity="warning")))
    incident = run.decision["incidents"][0]
    world.dynamo.before("TransactWriteItems", lambda: world.fire(webhook(alert(severity="critical"))))
    world.takes_in_slack(incident)
    assert world.incident(run).state == "acknowledged"
    assert world.ringing == []
    world.passes(10 * MINUTE)
    assert len(world.rung) <= 1


def test_everybody_pressing_at_once_leaves_one_owner(world: World) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    world.twilio_says(world.last_call, "no-answer")
    assert world.rung == [SATO, SUZUKI, TAKAHASHI]
    with ThreadPoolExecutor(3) as people:
        said = list(
            people.map(lambda call: keys.key_pressed(world.services, call.callbacks, "1"), world.telephone.calls)
        )
    world.settles_down()
    winners = [call.to for call, words in zip(world.telephone.calls, said, strict=True) if "You have it" in words]
    assert len(winners) == 1
    assert sum("already has it" in words for words in said) == 2
    assert {SATO: "Sato", SUZUKI: "Suzuki", TAKAHASHI: "Takahashi"}[winners[0]] == world.incident(run).acknowledged_by
