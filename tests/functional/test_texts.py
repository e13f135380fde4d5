"""Text messages: to whoever took it by phone, and before a call. Once, beside everything else, and never in the way."""

from contextlib import suppress

import pytest

from oncall import incidents
from tests.builders import DATABASE, MINUTE, SATO, SUZUKI, DiedError, World, alert, webhook


@pytest.fixture(autouse=True)
def sender(world: World) -> None:
    """The stack has something that texts come from."""
    world.telephone.text_sender = "+12025550199"


@pytest.fixture
def shown(world: World) -> World:
    """A world in which a phone rings for an incident that Slack shows."""
    run = world.fire()
    assert world.project(run.decision["incidents"][0]).done
    return world


def events(world: World) -> list[tuple[str, str]]:
    """The kinds and persons of the timeline's events of the first incident."""
    run = next(iter(world.executions.values()))
    return [(event.kind, event.who) for event in incidents.timeline(world.table, run.decision["incidents"][0])]


def test_whoever_takes_it_by_phone_is_texted_the_link_to_the_story(shown: World) -> None:
    shown.hears(shown.last_call, "1")
    ((to, body),) = shown.telephone.texts
    assert to == SATO
    link = f"https://example.slack.com/archives/C012AB3CD/p{shown.slack.posts[0].ts.replace('.', '')}"
    assert body == f"You have it: shop alert is down\n{link}"
    assert ("texted", "Sato") in events(shown)


def test_who_takes_several_incidents_reads_how_many(shown: World) -> None:
    shown.fire(webhook(key=DATABASE))
    shown.hears(shown.last_call, "1")
    ((_, body),) = shown.telephone.texts
    assert body.startswith("You have it, with 2 incidents in all: shop alert is down\nhttps://")


def test_without_a_message_in_slack_the_text_names_the_incident(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    assert world.telephone.texts[0][1].endswith(f"oncall incident {run.decision['incidents'][0]}")


def test_the_text_is_in_the_readers_language(world: World) -> None:
    world.roster({"RESPONDER#sato": {"name": "佐藤", "phone": SATO, "language": "ja", "position": 1}})
    world.fire()
    world.hears(world.last_call, "1")
    assert world.telephone.texts[0][1].startswith("対応を引き受けました: shop alert is down")


def test_the_same_key_twice_is_texted_once(shown: World) -> None:
    call = shown.last_call
    shown.hears(call, "1")
    assert "You have it" in shown.hears(call, "1")
    assert len(shown.telephone.texts) == 1


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(4))
def test_a_text_that_died_half_way_is_not_sent_twice(world: World, at: int, *, answered: bool) -> None:
    world.fire()
    call = world.last_call
    with world.dynamo.dies(at + 2, answered=answered):
        world.hears(call, "1")
    world.hears(call, "1")
    assert len(world.telephone.texts) <= 1
    world.passes(2 * MINUTE)
    assert world.page().state == "acknowledged"


def test_a_text_that_fails_is_a_line_in_the_story_and_disturbs_nothing(shown: World) -> None:
    shown.telephone.refuses_texts = True
    assert "You have it" in shown.hears(shown.last_call, "1")
    run = next(iter(shown.executions.values()))
    incident = run.decision["incidents"][0]
    assert shown.incident(run).state == "acknowledged"
    assert ("text_failed", "Sato") in events(shown)
    assert incident in shown.slack_asked
    assert shown.project(incident).done
    (said,) = [line for line in shown.slack.thread() if line.startswith("Sato was not texted")]
    assert said.startswith("Sato was not texted: Twilio answered 400 (error 21606). Twilio: this TextSender cannot")


def test_a_stack_without_a_sender_texts_nobody(shown: World) -> None:
    shown.telephone.text_sender = ""
    assert "You have it" in shown.hears(shown.last_call, "1")
    assert shown.telephone.texts == []
    assert events(shown)[-1] == ("acknowledged", "Sato")


def test_whoever_takes_it_in_slack_is_not_texted(shown: World) -> None:
    run = next(iter(shown.executions.values()))
    shown.takes_in_slack(run.decision["incidents"][0])
    assert shown.telephone.texts == []


def test_a_connected_call_that_counts_as_taken_is_texted(world: World) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    world.fire()
    world.twilio_says(world.last_call, "in-progress")
    assert [to for to, _ in world.telephone.texts] == [SATO]


def test_a_connected_call_whose_callback_was_lost_is_texted_when_twilio_is_asked(world: World) -> None:
    world.roster({"POLICY#default": {"answer": "connected"}})
    run = world.fire()
    world.last_call.status = "in-progress"
    world.passes(MINUTE)
    assert world.incident(run).acknowledged_by == "Sato"
    assert [to for to, _ in world.telephone.texts] == [SATO]


def test_the_story_has_no_address_when_slack_does_not_tell_it(world: World) -> None:
    run = world.fire()
    world.slack.faults = ["", "", "internal_error"]
    assert world.project(run.decision["incidents"][0]).done
    assert not world.incident(run).slack.link
    assert world.slack.posts


def test_a_policy_can_text_each_responder_before_the_phone_rings(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    incident = run.decision["incidents"][0]
    words = (
        f"On-call alert: shop alert is down\nYour phone rings now: press 1 to take it, or oncall acknowledge {incident}"
    )
    assert world.telephone.texts == [(SATO, words), (SUZUKI, words)]
    assert world.rung == [SATO, SUZUKI]
    assert [who for kind, who in events(world) if kind == "texted"] == ["Sato", "Suzuki"]


def test_a_text_before_a_call_leads_to_the_message_in_slack_as_soon_as_there_is_one(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    run = world.fire()
    assert world.project(run.decision["incidents"][0]).done
    world.fire(webhook(key=DATABASE))
    world.twilio_says(world.last_call, "no-answer")
    link = f"https://example.slack.com/archives/C012AB3CD/p{world.slack.posts[0].ts.replace('.', '')}"
    to, words = world.telephone.texts[-1]
    assert to == SUZUKI
    assert words == (
        "On-call alert, 2 incidents: shop alert is down\n"
        f"Your phone rings now: press 1 to take them all, or acknowledge here: {link}"
    )


def test_a_text_before_a_call_goes_out_before_twilio_is_asked_for_the_call(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    texts: list[int] = []
    world.telephone.while_asked = [lambda _: texts.append(len(world.telephone.texts))]
    world.fire()
    assert texts == [1]


def test_whoever_takes_it_while_the_text_goes_out_lets_no_phone_ring(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    run = world.receive(webhook())
    world.telephone.while_texted = [lambda: world.takes_in_slack(run.decision["incidents"][0])]
    world.go_on(run)
    assert world.rung == []
    assert world.incident(run).state == "acknowledged"
    assert world.page().is_settled
    assert [who for kind, who in events(world) if kind == "texted"] == ["Sato"]


def test_a_step_that_dies_in_the_middle_of_a_text_is_followed_by_one_that_rings_at_once(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})

    def die() -> None:
        raise DiedError

    world.telephone.while_texted = [die]
    run = world.receive(webhook())
    with suppress(DiedError):
        world.go_on(run)
    assert world.ringing == []
    world.go_on(run)  # the state machine's retry
    assert world.ringing == [SATO]


def test_of_two_steps_beside_each_other_one_rings_after_the_text(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    run = world.receive(webhook())
    world.telephone.while_texted = [lambda: world.go_on(run)]
    world.go_on(run)
    assert world.rung == [SATO]


def test_a_call_that_is_asked_for_again_is_not_texted_again(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    world.telephone.is_away = True
    world.fire()
    world.telephone.is_away = False
    world.passes(20)
    assert world.rung == [SATO]
    assert len(world.telephone.texts) <= 1


def test_the_phone_rings_although_nobody_can_be_texted(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    world.telephone.refuses_texts = True
    world.fire()
    assert world.ringing == [SATO]
    assert ("text_failed", "Sato") in events(world)


def test_without_a_sender_nobody_is_texted_before_a_call(world: World) -> None:
    world.roster({"POLICY#default": {"sms_before_call": True}})
    world.telephone.text_sender = ""
    world.fire()
    assert world.ringing == [SATO]
    assert world.telephone.texts == []
    assert "text_failed" not in dict(events(world))


def test_an_address_in_an_alert_is_no_link_in_a_text_or_a_mail(world: World) -> None:
    """Whoever writes an annotation must not be able to send people somewhere in our name."""
    world.telephone.text_sender = "+12025550199"
    hook = webhook(alert(annotations={"summary": "log in at https://example.slack.com.example.org/x \u202enow\x1b"}))
    world.roster({"POLICY#default": {"rounds": 1, "sms_before_call": True}})
    world.fire(hook)
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    (mail,) = world.topic.published
    written = [mail["Message"], *(body for _, body in world.telephone.texts)]
    assert len(written) > 1
    for text in written:
        assert "[:]//example[.]slack[.]com" in text
        assert "://" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
