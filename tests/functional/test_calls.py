"""The PhoneCall loop: one phone after another, round after round, until somebody has it; and what may go wrong on the way."""

import json
import re
import shlex

import pytest

from oncall import actions, incidents, intake, pages
from oncall.phone import keys, refusals, step
from oncall.phone.provider import UnavailableError
from tests.builders import DATABASE, MINUTE, SATO, SUZUKI, TAKAHASHI, World, alert, webhook

HONDA = "+12025550103"


def test_the_first_responder_is_rung_at_once_and_hears_the_alert(world: World) -> None:
    run = world.fire(webhook(alert(annotations={"summary": "The shop does not answer"}), product="shop"))
    assert world.ringing == [SATO]
    assert "The shop does not answer" in world.last_call.twiml
    assert world.last_call.ring_seconds == 25
    assert run.token  # the step waits
    assert world.story(run) == ["triggered", "ringing"]


def test_the_task_token_is_in_the_table_before_twilio_is_asked(world: World) -> None:
    seen = []
    world.telephone.while_asked.append(lambda _: seen.append((world.page().token, world.page().attempt)))
    run = world.fire()
    assert seen == [(run.token, 1)]


def test_from_webhook_to_ring_there_are_at_most_four_round_trips_to_the_table(world: World) -> None:
    asked = []
    world.telephone.while_asked.append(lambda _: asked.extend(world.dynamo.requests))
    before = len(world.dynamo.requests)
    world.fire()
    assert 0 < len(asked[before:]) <= 4, asked[before:]


def test_an_execution_has_nobodys_number(world: World) -> None:
    run = world.fire()
    assert world.rung == [SATO], "and rings it all the same"
    assert [one["id"] for one in run.decision["responders"]] == ["sato", "suzuki", "takahashi"]
    assert not re.search(r"\+\d{7}", json.dumps(run.decision))


def test_the_number_of_a_page_is_not_taken_for_one_that_has_changed_since(world: World) -> None:
    run = world.fire()
    resume = {"source": "reconciler", "policy": "default"}
    assert intake.receive(world.services, resume, execution=run.name).responders
    world.roster({"RESPONDER#sato": {"name": "Sato", "phone": "+12025550177", "position": 1}})
    decided = intake.receive(world.services, resume, execution=run.name)
    assert decided.responders == (), "the step looks at the roster itself"


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "completed"])
def test_a_call_that_ends_without_a_key_goes_on_to_the_next_responder_at_once(world: World, status: str) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, status)
    assert world.rung == [SATO, SUZUKI]
    assert run.outcome == ("fail", status)
    assert world.story(run) == ["triggered", "ringing", "call_ended", "ringing"]


def test_an_answered_phone_is_no_acknowledgement(world: World) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "in-progress")
    assert world.page().state == "open"
    assert world.incident(run).state == "triggered"


def test_an_answered_phone_counts_where_the_policy_says_so(world: World) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    run = world.fire()
    world.twilio_says(world.last_call, "in-progress")
    assert world.incident(run).state == "acknowledged"
    assert run.outcome[0] == "success"


def test_a_key_ends_the_page_and_names_who_has_it(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    assert run.outcome == ("success", "acknowledged by Sato")
    assert run.answers[-1].incidents == tuple(run.decision["incidents"])
    incident = world.incident(run)
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "Sato")
    assert world.story(run) == ["triggered", "ringing", "acknowledged"]
    assert world.page().is_settled
    assert world.topic.published == []


def test_a_responder_is_rung_as_often_in_a_row_as_the_policy_says(world: World) -> None:
    world.roster({"POLICY#default": {"calls": 2, "rounds": 1}})
    world.fire()
    for _ in range(5):
        world.twilio_says(world.last_call, "no-answer")
    assert world.rung == [SATO, SATO, SUZUKI, SUZUKI, TAKAHASHI, TAKAHASHI]


def test_who_passes_it_on_is_not_rung_a_second_time_in_the_round(world: World) -> None:
    world.roster({"POLICY#default": {"calls": 2, "rounds": 1}})
    world.fire()
    world.hears(world.last_call, "2")
    assert world.rung == [SATO, SUZUKI]


def test_between_two_rounds_there_is_a_pause(world: World) -> None:
    run = world.fire()
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    assert (run.answers[-1].next, run.answers[-1].reason) == ("wait", "pause between two rounds")
    world.passes(59)
    assert len(world.rung) == 3
    world.passes(1)
    assert world.rung == [SATO, SUZUKI, TAKAHASHI, SATO]


def test_the_second_step_is_rung_after_its_minutes(world: World) -> None:
    """Most teams' policy: whoever is on call, and after ten minutes somebody else. Nobody is rung in between."""
    steps = [{"responder": "sato"}, {"responder": "suzuki", "after_minutes": 10}]
    world.roster({"POLICY#default": {"steps": steps, "rounds": 1}})
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    assert (run.answers[-1].next, run.answers[-1].reason) == ("wait", "the next step comes after 10 minutes")
    world.passes(599)
    assert world.rung == [SATO]
    world.passes(1)
    assert world.rung == [SATO, SUZUKI]
    assert world.topic.published == []


def test_an_acknowledgement_while_the_next_step_is_waited_for_ends_the_page(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato"}, {"responder": "suzuki", "after_minutes": 10}]}})
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    world.takes_in_slack(run.decision["incidents"][0])
    world.passes(3600)
    assert world.rung == [SATO]
    assert run.outcome == ("success", "acknowledged by Sato")


def test_a_first_step_with_minutes_rings_after_them(world: World) -> None:
    world.roster({"POLICY#default": {"steps": [{"responder": "sato", "after_minutes": 5}]}})
    run = world.fire()
    assert (world.rung, run.answers[-1].reason) == ([], "the next step comes after 5 minutes")
    world.passes(299)
    assert world.rung == []
    world.passes(1)
    assert world.rung == [SATO]


def test_a_number_that_twilio_refuses_goes_on_to_the_next_responder_and_is_told(world: World) -> None:
    world.telephone.refuses.add(SATO)
    run = world.fire()
    assert world.ringing == [SUZUKI]
    assert run.outcome == ("fail", "Twilio refuses the number (error 21211)")
    assert world.story(run) == ["triggered", "call_ended", "ringing"]


def test_a_code_that_nobody_has_heard_of_lets_the_next_phone_ring_at_once(world: World) -> None:
    world.telephone.refusal = (400, 999_999)
    world.telephone.while_refused = lambda: setattr(world.telephone, "refusal", None)
    run = world.fire()
    assert world.ringing == [SUZUKI]
    assert world.story(run) == ["triggered", "call_ended", "ringing"]
    assert world.topic.published == []


def test_who_cannot_be_called_is_asked_once_a_round_however_often_the_policy_calls(world: World) -> None:
    world.roster({"POLICY#default": {"calls": 3, "rounds": 2}})
    world.telephone.refuses.add(SATO)
    run = world.fire()
    assert world.ringing == [SUZUKI]
    assert world.story(run).count("call_ended") == 1


@pytest.mark.parametrize("code", [20003, 21210, 10004])
def test_a_refusal_about_the_account_holds_the_page_and_tells_what_mends_it(world: World, code: int) -> None:
    world.telephone.refusal = (400 if code != 20003 else 401, code)
    run = world.fire()
    world.passes(10 * MINUTE)
    assert world.topic.subjects == ["Twilio takes no calls, nobody is rung"]
    assert refusals.words(refusals.remedy(code), "en") in world.topic.published[0]["Message"]
    assert world.story(run) == ["triggered", "unavailable"]
    (event,) = [e for e in incidents.timeline(world.table, run.decision["incidents"][0]) if e.kind == "unavailable"]
    assert event.detail["remedy"] == refusals.remedy(code)
    world.telephone.refusal = None
    world.passes(30)
    assert world.ringing == [SATO]


def test_a_403_that_nobody_has_heard_of_is_held_for_a_while_and_then_lets_the_next_phone_ring(world: World) -> None:
    world.telephone.refusal = (403, 999_999)
    run = world.fire()
    world.passes(20)
    assert (run.answers[-1].next, world.story(run)) == ("wait", ["triggered"])
    world.passes(30)
    assert world.story(run) == ["triggered", *["call_ended"] * 3]
    world.telephone.refusal = None
    world.passes(MINUTE)
    assert world.ringing == [SATO], "in the next round"


def test_nobody_is_asked_forever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "HELD_MS", 10 * MINUTE * 1000)  # a day
    world.telephone.refusal = (401, 20003)
    run = world.fire()
    world.passes(9 * MINUTE)
    assert not run.is_over
    world.passes(2 * MINUTE)
    assert run.is_over
    assert world.topic.subjects == ["Twilio takes no calls, nobody is rung", "nobody took a page"]
    assert world.incident(run).unanswered


def test_what_mends_a_refusal_is_said_once_a_page(world: World) -> None:
    world.telephone.refusal = (400, 21215)
    run = world.fire()
    world.passes(10 * MINUTE)
    assert run.is_over
    events = incidents.timeline(world.table, run.decision["incidents"][0])
    ended = [event.detail for event in events if event.kind == "call_ended"]
    assert len(ended) == 6
    assert [detail.get("remedy") for detail in ended] == ["geo 1", *[None] * 5]
    world.telephone.refusal = None
    world.telephone.refuses.add(SATO)
    again = world.fire()
    events = incidents.timeline(world.table, again.decision["incidents"][0])
    ended = [event.detail for event in events if event.kind == "call_ended"]
    assert ended[-1]["remedy"] == "correct", "another page, another code"


def test_what_mends_a_text_is_said_once_a_page(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    world.telephone.text_sender, world.telephone.refuses_texts = "+12025550199", True
    run = world.fire()
    world.twilio_says(world.last_call, "busy")
    events = incidents.timeline(world.table, run.decision["incidents"][0])
    texts = [event.detail.get("remedy") for event in events if event.kind == "text_failed"]
    assert texts == ["text_sender", None]


def test_when_every_number_is_refused_the_page_ends_loudly(world: World) -> None:
    world.telephone.refuses.update({SATO, SUZUKI, TAKAHASHI})
    run = world.fire()
    world.passes(10 * MINUTE)
    assert run.is_over
    assert world.topic.subjects == ["nobody took a page"]


def test_the_mail_of_a_page_that_nobody_took_says_what_to_do_and_whom_the_phones_reached(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 2}, "RESPONDER#honda": {"name": "Honda", "phone": HONDA, "position": 4}})
    run = world.fire()
    other = world.fire(webhook(key=DATABASE))
    assert world.project(run.decision["incidents"][0]).done
    world.twilio_says(world.last_call, "no-answer")
    world.twilio_says(world.last_call, "in-progress")
    world.twilio_says(world.last_call, "completed")
    world.telephone.refuses.add(HONDA)
    world.hears(world.last_call, "2")
    world.passes(MINUTE)
    for status in ("busy", "no-answer", "no-answer"):
        world.twilio_says(world.last_call, status)
    link = f"https://example.slack.com/archives/C012AB3CD/p{world.slack.posts[0].ts.replace('.', '')}"
    first, second = (one.decision["incidents"][0] for one in (run, other))
    assert (
        world.topic.published[0]["Message"]
        == f"""\
Nobody has taken this page: 8 calls in 2 rounds.

What: shop alert is down
Product: not named
Since: Mon 23 Nov 2026, 02:59 (UTC)
Escalation policy: default
Incidents: 2
- {first} shop alert is down
- {second} database alert is down

Now:
- Take it in Slack: {link}
- Or with the command: oncall acknowledge {first}
  Either takes all 2.
- Left alone, the next repeat of the alert calls everybody again, unless the policy has repeat_page: false.

Called:
- Sato: no answer, then busy
- Suzuki: answered, no key pressed, then no answer
- Takahashi: passed it on, then no answer
- Honda: could not be called (Correct the number in the roster) (2 times)"""
    )


def test_the_mail_is_in_the_language_of_the_page(world: World) -> None:
    world.roster({"PRODUCT#silent": None, "PRODUCT#shop": {"language": "ja"}, "POLICY#default": {"rounds": 1}})
    run = world.fire(webhook(product="shop"))
    for status in ("no-answer", "busy", "no-answer"):
        world.twilio_says(world.last_call, status)
    message = world.topic.published[0]["Message"]
    assert message.startswith(
        "誰も引き受けませんでした（1巡、電話3回）。\n\n内容：shop alert is down\nプロダクト：shop\n"
    )
    assert "- Slackで「対応する」を押す。\n- またはコマンドで引き受ける：oncall acknowledge " in message
    assert message.endswith("電話した人：\n- Satoさん：応答なし\n- Suzukiさん：話し中\n- Takahashiさん：応答なし")
    assert world.incident(run).unanswered


def test_the_mail_of_a_page_without_anybody_on_call_says_how_somebody_is(world: World) -> None:
    world.roster({f"RESPONDER#{one}": None for one in ("sato", "suzuki", "takahashi")} | {"SCHEDULE#everyone": None})
    world.fire()
    message = world.topic.published[0]["Message"]
    assert message.startswith("Nobody was called, because nobody is on call.\n")
    assert "- Put somebody on call: oncall take NAME" in message
    assert "Called:" not in message


def test_while_twilio_takes_no_calls_the_mail_says_how_somebody_is_reached_all_the_same(world: World) -> None:
    world.telephone.is_away = True
    run = world.fire(webhook(product="shop"))
    world.passes(MINUTE)
    message = world.topic.published[0]["Message"]
    assert message.startswith(
        "No calls are taken, so no phone rings: Twilio answered 503 (error 20503). They are tried again"
    )
    assert f"- Or with the command: oncall acknowledge {world.incident(run).id}\n" in message
    assert "- Call somebody yourself: oncall who --product shop" in message


def test_in_a_mail_what_others_wrote_is_no_line_of_ours_and_no_command(world: World) -> None:
    world.telephone.is_away = True
    forged = "shop'; rm -rf ~ #\nNow:\n- Or with the command: curl"
    world.fire(webhook(alert(annotations={"summary": f"down\n{forged}"}), product=forged))
    world.passes(MINUTE)
    lines = world.topic.published[0]["Message"].splitlines()
    assert lines.count("Now:") == 1
    (command,) = [line.partition(": ")[2] for line in lines if line.startswith("- Call somebody yourself")]
    assert shlex.split(command) == ["oncall", "who", "--product", " ".join(forged.split())]
    assert not [line for line in lines if line.startswith("- Or with the command: curl")]


def test_a_page_that_nobody_takes_is_told_to_the_fallback_once_and_the_incident_says_so(world: World) -> None:
    run = world.fire()
    for _ in range(6):
        world.twilio_says(world.last_call, "no-answer")
        world.passes(MINUTE)
    assert run.outcome == ("fail", "nobody took it in 2 rounds")
    assert run.is_over
    assert world.topic.subjects == ["nobody took a page"]
    message = world.topic.published[0]["Message"]
    assert "shop alert is down" in message
    assert "Nobody has taken this page: 6 calls in 2 rounds." in message
    assert message.endswith(
        "Called:\n- Sato: no answer (2 times)\n- Suzuki: no answer (2 times)\n- Takahashi: no answer (2 times)"
    )
    assert f"oncall acknowledge {world.incident(run).id}" in message
    assert "+1202" not in message
    incident = world.incident(run)
    assert (incident.state, incident.unanswered) == ("triggered", True)
    assert world.story(run)[-1] == "unanswered"


def test_the_fallback_is_told_even_if_it_does_not_answer_the_first_time(world: World) -> None:
    world.roster(dict.fromkeys(("RESPONDER#sato", "RESPONDER#suzuki", "RESPONDER#takahashi")))
    world.topic.is_away = True
    run = world.receive(webhook())
    with pytest.raises(ConnectionError):
        world.go_on(run)
    world.topic.is_away = False
    world.go_on(run)  # the state machine's retry
    assert world.topic.subjects == ["nobody took a page"]
    assert run.outcome == ("fail", "nobody is on call")


def test_nobody_on_call_is_told_at_once(world: World) -> None:
    world.roster({"SCHEDULE#none": {"members": []}, "POLICY#default": {"steps": [{"schedule": "none"}]}})
    run = world.fire()
    assert world.rung == []
    assert world.topic.subjects == ["nobody took a page"]
    assert world.incident(run).unanswered


def test_a_roster_that_changes_in_the_middle_counts_for_the_next_call(world: World) -> None:
    world.fire()
    world.roster(
        {"RESPONDER#suzuki": None, "RESPONDER#honda": {"name": "Honda", "phone": "+12025550150", "position": 2}},
    )
    world.twilio_says(world.last_call, "busy")
    world.twilio_says(world.last_call, "busy")
    assert world.rung == [SATO, "+12025550150", TAKAHASHI]


def test_a_roster_that_was_read_long_ago_is_read_again_before_the_first_call(world: World) -> None:
    run = world.receive(webhook())
    world.roster({"RESPONDER#sato": {"name": "Sato", "phone": "+12025550160", "position": 1}})
    world.passes(20)
    world.go_on(run)
    assert world.rung == ["+12025550160"]


def test_a_product_without_calls_rings_nobody(world: World) -> None:
    run = world.fire(webhook(product="silent"))
    assert run.outcome == ("skip", "this product needs no call")
    assert run.is_over
    assert world.rung == []
    assert pages.read(world.table, "default") is None


def test_twilio_away_tells_people_once_and_rings_when_it_is_back(world: World) -> None:
    world.telephone.is_away = True
    run = world.fire()
    assert run.answers[-1].next == "wait"
    world.passes(2 * MINUTE)
    assert world.topic.subjects == ["Twilio takes no calls, nobody is rung"]
    assert world.story(run) == ["triggered", "unavailable"]
    world.telephone.is_away = False
    world.passes(30)
    assert world.rung == [SATO]
    assert run.token
    world.hears(world.last_call, "1")
    assert run.outcome[0] == "success"


def test_a_short_absence_of_twilio_is_not_worth_a_message(world: World) -> None:
    world.telephone.is_away = True
    world.fire()
    world.passes(5)
    world.telephone.is_away = False
    world.passes(10)
    assert world.rung == [SATO]
    assert world.topic.published == []
    assert not world.page().unavailable_since


def test_a_second_absence_of_twilio_is_told_again(world: World) -> None:
    world.telephone.is_away = True
    world.fire()
    world.passes(MINUTE)
    world.telephone.is_away = False
    world.passes(MINUTE / 2)
    world.telephone.is_away = True
    world.twilio_says(world.last_call, "no-answer")
    world.passes(MINUTE)
    assert world.topic.subjects == ["Twilio takes no calls, nobody is rung"] * 2


def test_an_absence_of_twilio_that_ended_with_a_lost_answer_does_not_count_for_the_next(world: World) -> None:
    world.telephone.loses_answers = 1
    world.fire()
    world.passes(5)  # the call is found
    world.passes(40)
    world.telephone.is_away = True
    world.twilio_says(world.last_call, "no-answer")
    assert world.topic.published == []
    assert world.executions["execution-1"].answers[-1].wait_seconds == 1


def test_a_call_whose_answer_was_lost_is_found_and_not_placed_twice(world: World) -> None:
    world.telephone.loses_answers = 1
    run = world.fire()
    assert run.wake_at
    world.passes(5)
    assert world.rung == [SATO]
    assert run.token
    world.hears(world.last_call, "1")
    assert run.outcome[0] == "success"


def test_a_lost_answer_of_a_call_that_has_already_ended_goes_on_to_the_next(world: World) -> None:
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda call: setattr(call, "status", "busy"))
    world.fire()
    world.passes(5)
    assert world.rung == [SATO, SUZUKI]


def test_a_call_that_twilio_never_took_is_not_mistaken_for_the_one_before(world: World) -> None:
    world.roster({"POLICY#default": {"calls": 2}})
    world.fire()
    world.telephone.is_away = True
    world.twilio_says(world.last_call, "busy")  # at once, so that both calls have the same second
    world.telephone.is_away = False
    world.passes(5)
    assert world.rung == [SATO, SATO]
    assert world.ringing == [SATO]


def test_a_step_that_died_before_twilio_was_asked_rings_when_it_is_entered_again(world: World) -> None:
    run = world.receive(webhook())
    with world.dynamo.dies(0, answered=True):
        world.phone_call(run)
    assert world.rung == []
    world.go_on(run)
    assert world.rung == []  # another step may just be asking
    world.passes(10)
    assert world.rung == [SATO]


def test_a_step_that_died_after_twilio_was_asked_finds_the_call(world: World) -> None:
    run = world.receive(webhook())
    with world.dynamo.dies(1, answered=False):
        world.phone_call(run)
    assert world.rung == [SATO]
    assert not world.page().calls[0].sid
    world.go_on(run)
    assert world.rung == [SATO]
    assert world.page().calls[0].sid == world.last_call.sid


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(14))
def test_wherever_the_step_dies_the_retry_rings_nobody_twice(world: World, at: int, *, answered: bool) -> None:
    run = world.receive(webhook())
    with world.dynamo.dies(at, answered=answered):
        world.go_on(run)
    world.go_on(run)
    world.passes(10)
    assert world.rung == [SATO]
    world.twilio_says(world.last_call, "busy")
    assert world.rung == [SATO, SUZUKI]
    world.hears(world.last_call, "1")
    assert world.incident(run).acknowledged_by == "Suzuki"
    assert world.ringing == [] or world.last_call.status == "in-progress"


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(16))
def test_wherever_the_next_step_dies_the_retry_goes_on_with_one_phone(world: World, at: int, *, answered: bool) -> None:
    run = world.fire()
    pages.update_call(world.table, world.page(), 1, {"status": "no-answer", "ended_at": world.clock.now()})
    world.telephone.calls[0].status = "no-answer"
    with world.dynamo.dies(at, answered=answered):
        world.go_on(run)
    world.go_on(run)
    world.passes(10)
    assert world.rung == [SATO, SUZUKI]
    assert world.story(run).count("call_ended") == 1


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(12))
def test_wherever_the_last_step_dies_the_end_is_told_and_reaches_the_incident(
    world: World, at: int, *, answered: bool
) -> None:
    world.roster({"SCHEDULE#none": {"members": []}, "POLICY#default": {"steps": [{"schedule": "none"}]}})
    run = world.receive(webhook())
    with world.dynamo.dies(at, answered=answered):
        world.go_on(run)
    world.go_on(run)
    assert set(world.topic.subjects) == {"nobody took a page"}
    assert world.incident(run).unanswered
    assert world.page().is_settled
    assert world.story(run) == ["triggered", "unanswered"]


def test_a_call_that_still_rings_at_the_time_limit_is_waited_for(world: World) -> None:
    run = world.fire()
    first = run.token
    world.last_call.status = "ringing"
    world.passes(56)
    assert world.rung == [SATO]
    assert run.token != first
    assert world.page().token == run.token
    assert world.page().lease_until > world.clock.now()


def test_a_lost_callback_is_made_up_for_at_the_time_limit(world: World) -> None:
    run = world.fire()
    world.last_call.status = "no-answer"
    world.passes(56)
    assert world.rung == [SATO, SUZUKI]
    assert world.story(run) == ["triggered", "ringing", "call_ended", "ringing"]


def test_a_call_that_ends_while_its_status_is_looked_up_goes_on_at_once(world: World) -> None:
    world.fire()
    first = world.last_call
    first.status = "ringing"
    # Between the look-up (the page is read first) and the new token.
    world.dynamo.before(
        "GetItem", lambda: world.dynamo.before("UpdateItem", lambda: world.twilio_says(first, "no-answer"))
    )
    world.passes(56)
    assert world.rung == [SATO, SUZUKI]


def test_somebody_who_listens_for_minutes_without_a_key_is_let_go_and_the_next_is_rung(world: World) -> None:
    world.fire()
    world.twilio_says(world.last_call, "in-progress")
    first = world.last_call
    world.passes(7 * MINUTE)
    assert first.status == "completed"
    assert "next person is called now" in first.goodbye
    assert world.rung == [SATO, SUZUKI]


def test_an_acknowledgement_in_slack_stops_the_phone_that_rings(world: World) -> None:
    run = world.fire()
    taken = world.takes_in_slack(run.decision["incidents"][0], user="U0SUZUKI", name="suzuki")
    assert taken.ours
    assert world.ringing == []
    assert run.outcome == ("success", "acknowledged by suzuki")


def test_who_listens_while_another_takes_it_hears_who_has_it(world: World) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "in-progress")
    world.takes_in_slack(run.decision["incidents"][0], user="U0SUZUKI", name="suzuki")
    assert "suzuki already has it" in world.last_call.goodbye


def test_a_resolution_stops_the_phone_that_rings(world: World) -> None:
    run = world.fire()
    world.resolve()
    assert world.ringing == []
    assert run.outcome == ("skip", "resolved")
    assert run.is_over
    assert world.page().state == "resolved"
    assert world.page().is_settled


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_page_taken_while_twilio_is_asked_does_not_go_on_ringing(world: World, *, answer_lost: bool) -> None:
    run = world.receive(webhook())
    world.telephone.loses_answers = int(answer_lost)
    world.telephone.while_asked.append(lambda _: world.takes_in_slack(run.decision["incidents"][0]))
    world.go_on(run)
    world.passes(5)
    assert world.rung == [SATO]
    assert world.ringing == []
    assert world.incident(run).state == "acknowledged"


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_page_resolved_while_twilio_is_asked_does_not_go_on_ringing(world: World, *, answer_lost: bool) -> None:
    run = world.receive(webhook())
    world.telephone.loses_answers = int(answer_lost)
    world.telephone.while_asked.append(lambda _: world.receive(webhook(status="resolved")))
    world.go_on(run)
    world.passes(5)
    assert world.ringing == []
    assert run.is_over
    assert world.page().state == "resolved"


def test_a_page_resolved_before_the_first_ring_rings_nobody(world: World) -> None:
    run = world.receive(webhook())
    world.resolve()
    world.go_on(run)
    assert world.rung == []
    assert run.outcome[0] == "skip"


def test_a_phone_that_could_not_be_hung_up_is_hung_up_by_the_retry(world: World) -> None:
    run = world.fire()
    world.telephone.is_away = True
    with pytest.raises(UnavailableError):
        world.takes_in_slack(run.decision["incidents"][0])
    assert world.incident(run).state == "acknowledged"  # it did not wait for Twilio
    world.telephone.is_away = False
    world.go_on(run)
    assert world.ringing == []
    assert run.outcome[0] == "success"


def test_a_page_that_ended_while_twilio_is_away_does_not_fail_for_a_call_that_was_never_placed(world: World) -> None:
    world.telephone.is_away = True
    run = world.fire()
    world.takes_in_slack(run.decision["incidents"][0])
    world.passes(MINUTE)
    assert run.outcome[0] == "success"
    assert run.is_over


def test_a_new_page_does_not_start_while_the_last_ones_phone_still_rings(world: World) -> None:
    world.roster({"POLICY#default": {"quiet_seconds": 0}})
    world.fire()
    before = world.last_call
    world.receive(webhook(status="resolved"))  # the step that hangs up has been released, but is not there yet
    most = 0

    def count_phones(_: object) -> None:
        nonlocal most
        most = max(most, len(world.telephone.ringing))

    world.telephone.while_asked.append(count_phones)
    run = world.receive(webhook(key="database"))
    run.decision["action"] = "page"
    answer = world.phone_call(run)
    assert answer is None
    assert most == 1
    assert before.status == "canceled"


def test_a_new_page_in_the_quiet_window_leaves_no_old_phone_ringing(world: World) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    first, second = world.telephone.calls
    # The late key of the first phone, and a new group before the waiting step has looked.
    keys.key_pressed(world.services, first.callbacks, "1")
    other = world.receive(webhook(key="database"))
    assert other.decision["page"]["page"] == world.page().id
    world.settles_down()
    assert second.status == "canceled"
    assert run.is_over


def test_a_page_that_covers_nothing_any_more_ends_instead_of_turning_in_a_circle(world: World) -> None:
    run = world.fire()
    # The death of a resolution between its two writes.
    world.resolves_half(run)
    world.twilio_says(world.last_call, "no-answer")
    assert run.is_over
    assert world.page().state == "resolved"
    assert world.rung == [SATO]


@pytest.mark.parametrize("settled_by", ["its owner", "the next incident"])
def test_a_page_that_is_taken_although_it_covers_nothing_any_more_is_followed_by_others(
    world: World, settled_by: str
) -> None:
    """A key arrives between the two writes of a resolution."""
    run = world.fire()
    world.resolves_half(run)
    if settled_by == "its owner":
        world.hears(world.last_call, "1")
    else:
        pages.acknowledge(world.table, world.page(), who="Sato", responder="sato", via="phone", now=world.clock.now())
    world.clock.time += 10 * MINUTE * 1000
    world.fire(webhook(key="another group"))
    assert world.rung == [SATO, SATO]


def test_a_step_of_an_execution_that_lost_the_page_does_nothing(world: World) -> None:
    run = world.fire()
    pages.take_over(world.table, world.page(), execution="another", now=world.clock.now())
    world.last_call.status = "no-answer"
    world.passes(MINUTE)
    assert world.rung == [SATO]
    assert run.outcome == ("skip", "another execution works on this page")


def test_a_step_that_loses_the_page_in_the_moment_of_ringing_rings_nobody(world: World) -> None:
    run = world.receive(webhook())
    page = world.page()
    world.dynamo.before(
        "UpdateItem", lambda: pages.take_over(world.table, page, execution="another", now=world.clock.now())
    )
    world.go_on(run)
    assert world.rung == []
    assert run.outcome == ("skip", "another execution works on this page")


def test_a_step_of_a_page_that_is_long_over_does_nothing(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    world.last_call.status = "completed"
    world.passes(3 * MINUTE)
    world.fire(webhook(key="database"))
    world.go_on(run)
    assert run.outcome == ("skip", "the page is over")
    assert len(world.ringing) == 1


def test_when_the_incident_it_was_about_is_resolved_the_next_call_tells_of_another(world: World) -> None:
    world.fire()
    world.fire(webhook(alert("Database is gone"), key="database"))
    world.resolve()
    assert world.ringing == [SATO]
    world.twilio_says(world.last_call, "no-answer")
    assert world.rung == [SATO, SUZUKI]
    assert "Database is gone" in world.last_call.twiml


def test_whoever_takes_the_page_takes_every_incident_that_has_joined(world: World) -> None:
    first, second = world.fire(), world.fire(webhook(key="database"))
    world.hears(world.last_call, "1")
    assert [world.incident(run).acknowledged_by for run in (first, second)] == ["Sato", "Sato"]
    assert set(first.answers[-1].incidents) == {first.decision["incidents"][0], second.decision["incidents"][0]}


def test_a_word_in_the_language_of_the_responder_is_heard_by_that_responder_alone(world: World) -> None:
    world.roster({"RESPONDER#suzuki": {"name": "Suzuki", "phone": SUZUKI, "language": "ja", "position": 2}})
    world.fire()
    world.twilio_says(world.last_call, "no-answer")
    first, second = world.telephone.calls
    assert "On-call alert" in first.twiml
    assert "オンコールのアラート" in second.twiml


def test_an_incident_that_is_taken_in_the_moment_before_it_joins_its_page_rings_no_longer(world: World) -> None:
    def take() -> None:
        (incident,) = incidents.opened_since(world.table, 0, now=world.clock.now() + 1000)
        taken = actions.acknowledge_incident(world.services, incident, name="Suzuki", via="command")
        assert taken.ours

    world.dynamo.before("UpdateItem", take)  # after the incident was opened, before the page is
    run = world.fire()
    assert world.ringing == []
    assert world.page().state == "resolved"
    assert world.incident(run).acknowledged_by == "Suzuki"
    world.passes(5 * MINUTE)
    assert world.rung == [SATO]


def test_whoever_takes_it_while_twilio_is_away_has_it_at_once(world: World) -> None:
    world.telephone.is_away = True
    run = world.fire()
    world.passes(200)
    assert run.wake_at
    assert run.wake_at - world.clock.now() > 10_000, "the step looks again long after"
    world.takes_in_slack(run.decision["incidents"][0])
    assert world.incident(run).state == "acknowledged"
    assert run.decision["incidents"][0] in world.slack_asked
    world.telephone.is_away = False
    world.passes(MINUTE)
    assert world.rung == []
    assert run.outcome == ("success", "acknowledged by Sato")
    assert world.story(run).count("acknowledged") == 1
