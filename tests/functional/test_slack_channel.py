"""The SlackNotification step: the channel tells the incident's story once and in order, whatever Slack does meanwhile."""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest

from oncall import incidents
from oncall.errors import ConfigurationError
from oncall.slack import channel
from tests.builders import CHANNEL, DATABASE, MINUTE, SATO, Execution, World, alert, webhook


def incident(run: Execution) -> str:
    return str(run.decision["incidents"][0])


def test_an_incident_has_one_message_that_is_updated_as_it_changes(world: World) -> None:
    run = world.fire()
    assert world.project(incident(run)).done
    world.hears(world.last_call, "1")
    assert world.project(incident(run)).done
    (message,) = world.slack.posts
    assert message.edits == 1
    assert "Sato has it" in message.text


def test_the_thread_tells_the_story_in_order(world: World) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    world.project(incident(run))
    world.hears(world.last_call, "1")
    world.resolve()
    assert world.project(incident(run)).done
    assert world.slack.thread() == [
        "Calling <@U0SATO> …",
        "Sato: no answer after 0 s.",
        "Calling Suzuki …",
        "Acknowledged: Suzuki took it by phone after 3 s.",
        "Resolved.",
    ]


def test_asked_again_it_asks_slack_for_nothing(world: World) -> None:
    run = world.fire()
    world.project(incident(run))
    before = len(world.slack.requests)
    assert world.project(incident(run)).done
    assert len(world.slack.requests) == before


def test_who_is_being_called_is_in_the_message(world: World) -> None:
    run = world.fire()
    world.project(incident(run))
    (message,) = world.slack.posts
    assert "Sato" in str(message.blocks)
    world.twilio_says(world.last_call, "no-answer")
    world.project(incident(run))
    assert "Suzuki" in str(message.blocks)
    assert "Sato" not in str(message.blocks)


def test_an_incident_that_has_joined_says_that_it_is_called_with_another(world: World) -> None:
    world.fire()
    run = world.fire(webhook(key=DATABASE))
    world.project(incident(run))
    (message,) = world.slack.posts
    assert "in one call with: " in str(message.blocks)
    assert "shop alert is down" in str(message.blocks)


def test_a_repeat_that_changes_nothing_of_what_is_shown_asks_slack_for_nothing(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    world.project(incident(run))
    before = list(world.slack.requests)
    world.clock.time += 30 * MINUTE * 1000
    world.receive(webhook())
    assert world.project(incident(run)).done
    assert world.slack.requests == before
    assert world.incident(run).slack.version == world.incident(run).version


def test_a_message_that_may_have_been_updated_is_updated_even_if_it_looks_as_it_did_before(world: World) -> None:
    run = world.fire(webhook(product="silent"))
    world.project(incident(run))
    world.takes_in_slack(incident(run))
    world.slack.faults = ["lost"]
    assert not world.project(incident(run)).done
    again = incidents.Event("overdue", key="overdue", who="Sato")
    incidents.tell(world.table, incident(run), again, now=world.clock.now(), state="triggered")
    assert world.project(incident(run)).done
    assert "nobody has it yet" in world.slack.posts[0].text


def test_asked_at_every_change_an_incident_takes_a_post_for_each_line_and_an_update_for_each_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One does not answer, the next one takes it, it resolves: the most that such an incident ever takes."""
    run = world.receive(webhook())
    monkeypatch.setattr(world, "slack_asked", Asked(world))
    world.project(incident(run))
    world.go_on(run)
    world.clock.time += 25_000
    world.twilio_says(world.last_call, "no-answer")
    world.clock.time += 41_000
    world.hears(world.last_call, "1")
    world.project(incident(run))
    world.resolve()
    world.project(incident(run))
    assert len(world.slack.thread()) == 5
    assert Counter(world.slack.requests) == {"chat.postMessage": 6, "chat.update": 5, "chat.getPermalink": 1}


class Asked(list[str]):
    """Brings the channel up to date whenever it is asked for, as the function does."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def extend(self, incident_ids: Iterable[str]) -> None:
        self.world.project(*incident_ids)


def test_blocks_that_slack_refuses_are_left_out_and_the_words_come_all_the_same(world: World) -> None:
    run = world.fire()
    world.slack.faults = ["invalid_blocks"]
    assert world.project(incident(run)).done
    (message,) = world.slack.posts
    assert (message.blocks, message.edits) == ([], 0)
    assert "nobody has it yet" in message.text
    world.hears(world.last_call, "1")
    world.slack.faults = ["msg_blocks_too_long"]
    assert world.project(incident(run)).done
    assert "Sato has it" in message.text


def test_when_nobody_answers_the_channel_hears_of_it_and_everybody_in_it(world: World) -> None:
    run = world.fire(webhook(product="elsewhere"))
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    world.project(incident(run))
    loud = [message for message in world.slack.messages if "<!here>" in message.text]
    assert [message.is_broadcast for message in world.slack.messages] == [
        message in loud for message in world.slack.messages
    ]
    (told,) = loud
    assert told.text.startswith("<!here> Nobody took it")


def test_two_of_the_same_name_are_not_mentioned(world: World) -> None:
    world.roster({"RESPONDER#sato2": {"name": "Sato", "phone": "+12025550109", "slack_user": "U0SATO2"}})
    run = world.fire()
    world.project(incident(run))
    assert world.slack.thread() == ["Calling Sato …"]


def test_whom_slack_mentions_follows_the_roster_at_once(world: World) -> None:
    first = world.fire()
    world.project(incident(first))
    world.roster({"RESPONDER#sato": {"name": "Sato", "phone": SATO, "slack_user": "U0OTHER", "position": 1}})
    world.resolve()
    world.clock.time += 5_000
    world.project(incident(world.fire(webhook(key="another"))))
    assert world.slack.thread(world.slack.posts[1]) == ["Calling <@U0OTHER> …"]


def test_an_incident_that_is_not_there_is_up_to_date(world: World) -> None:
    assert world.project("20200101-000000-abcdef").done


@pytest.mark.parametrize("lost", range(4))
def test_a_post_whose_answer_was_lost_is_found_and_not_posted_again(world: World, lost: int) -> None:
    run = world.fire()
    world.twilio_says(world.last_call, "no-answer")
    world.slack.faults = [*[""] * lost, "lost"]
    progress = world.project(incident(run))
    assert not progress.done
    world.clock.time += progress.wait_seconds * 1000
    assert world.project(incident(run), me="another").done
    assert len(world.slack.posts) == 1
    assert world.slack.thread() == ["Calling <@U0SATO> …", "Sato: no answer after 0 s.", "Calling Suzuki …"]


def test_a_message_that_is_found_again_is_not_taken_for_what_has_become_true_since(world: World) -> None:
    run = world.fire()
    world.slack.faults = ["lost"]
    assert not world.project(incident(run)).done
    world.hears(world.last_call, "1")
    while not world.project(incident(run)).done:
        world.clock.time += 10_000
    (message,) = world.slack.posts
    assert "Sato has it" in message.text


@pytest.mark.parametrize("fault", ["refused connection", "broken answer", "fatal_error", 500, 503])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_slack_does_not_take_comes_later_and_once(world: World, fault: str | int, after: int) -> None:
    run = world.fire()
    world.slack.faults = [*[""] * after, fault]
    progress = world.project(incident(run))
    assert (progress.done, progress.wait_seconds) == (after > 1, 0 if after > 1 else 10)
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1
    assert world.slack.thread() == ["Calling <@U0SATO> …"]


def test_when_slack_asks_for_patience_it_gets_it(world: World) -> None:
    run = world.fire()
    world.slack.faults = [429]
    progress = world.project(incident(run))
    assert (progress.done, progress.wait_seconds) == (False, 7)
    assert not world.project(incident(run)).done
    assert world.slack.requests.count("chat.postMessage") == 1
    world.clock.time += 7_000
    assert world.project(incident(run)).done


@pytest.mark.parametrize(
    "error", ["channel_not_found", "not_in_channel", "is_archived", "invalid_auth", "missing_scope"]
)
def test_what_a_person_has_to_mend_is_told_to_the_fallback_once(world: World, error: str) -> None:
    run = world.fire()
    for _ in range(3):
        world.slack.faults = [error]
        assert world.project(incident(run)).done  # the execution ends, the reconciler goes on
        world.clock.time += MINUTE * 1000
    assert world.topic.subjects == ["Slack refuses messages"]
    assert error in world.topic.published[0]["Message"]
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1


def test_what_a_person_has_mended_and_breaks_again_is_told_again(world: World) -> None:
    run = world.fire()
    world.slack.faults = ["not_in_channel"]
    world.project(incident(run))
    world.project(incident(run))
    world.twilio_says(world.last_call, "busy")
    world.slack.faults = ["not_in_channel"]
    world.project(incident(run))
    assert len(world.topic.subjects) == 2


def test_a_missing_token_is_told_to_the_fallback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = world.fire()

    def no_token(*_: object, **__: object) -> None:
        raise ConfigurationError("SSM has no parameter /oncall/slack-bot-token")

    with monkeypatch.context() as patch:
        patch.setattr(world.slack, "chat_postMessage", no_token)
        assert world.project(incident(run)).done
    assert "/oncall/slack-bot-token" in world.topic.published[0]["Message"]
    assert world.project(incident(run)).done


def test_a_channel_that_is_wrong_keeps_no_other_incident_waiting(world: World) -> None:
    world.roster({"PRODUCT#shop": {"slack_channel": "C0WRONG"}})
    bad, good = world.fire(webhook(product="shop")), world.fire(webhook(key=DATABASE))
    world.project(incident(bad), incident(good))
    assert [message.channel for message in world.slack.posts] == [CHANNEL]


def test_a_wrong_channel_is_told_once_however_many_incidents_it_has(world: World) -> None:
    world.roster({"PRODUCT#shop": {"slack_channel": "C0WRONG"}})
    runs = [world.fire(webhook(key=f"group {number}", product="shop")) for number in range(5)]
    for run in runs:
        world.project(incident(run))
    assert world.topic.subjects == ["Slack refuses messages"]


def test_a_message_that_somebody_deleted_is_posted_anew_with_its_story(world: World) -> None:
    run = world.fire()
    world.project(incident(run))
    world.slack.delete(world.slack.posts[0])
    world.twilio_says(world.last_call, "busy")
    assert not world.project(incident(run)).done
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1
    assert world.slack.thread() == ["Calling <@U0SATO> …", "Sato: busy after 1 s.", "Calling Suzuki …"]


def test_a_message_that_was_deleted_is_missed_by_its_thread_as_well(world: World) -> None:
    """Nothing that it shows has changed, so it is not updated: the thread's next line finds that it is gone."""
    run = world.fire(webhook(product="silent"))
    world.project(incident(run))
    event = incidents.Event("worse", key="worse")
    incidents.tell(world.table, incident(run), event, now=world.clock.now())
    world.slack.delete(world.slack.posts[0])
    assert not world.project(incident(run)).done
    assert world.project(incident(run)).done
    assert world.slack.thread() == ["It has become critical."]


def test_two_projectors_at_once_post_once(world: World) -> None:
    run = world.fire()
    seen = []
    world.dynamo.before("Query", lambda: seen.append(world.project(incident(run), me="another")))
    assert world.project(incident(run), me="one").done
    assert not seen[0].done
    assert len(world.slack.posts) == 1
    assert world.slack.thread() == ["Calling <@U0SATO> …"]


def test_a_projector_that_died_is_followed_by_another_after_its_lease(world: World) -> None:
    run = world.fire()
    with world.dynamo.dies(4, answered=True):
        world.project(incident(run), me="dead")
    assert not world.project(incident(run)).done
    world.clock.time += 61_000
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1


def test_what_a_projector_that_died_may_have_shown_is_shown_anew(world: World) -> None:
    """A repeat looks as before, so nothing is updated: unless nobody knows what Slack shows."""
    run = world.fire(webhook(product="silent"))
    world.project(incident(run))
    for seconds, edits in ((0, 0), (61, 1), (0, 1)):
        repeated = incidents.Event("repeated", key=f"repeated/{seconds}/{edits}", in_thread=False)
        incidents.tell(world.table, incident(run), repeated, now=world.clock.now())
        if seconds:
            with world.dynamo.dies(0, answered=True):
                world.project(incident(run), me="dead")
        world.clock.time += seconds * 1_000
        assert world.project(incident(run)).done
        assert world.slack.posts[0].edits == edits


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(16))
def test_wherever_the_step_dies_nothing_is_told_twice_or_never(world: World, at: int, *, answered: bool) -> None:
    run = world.fire()
    with world.dynamo.dies(at, answered=answered):
        world.project(incident(run), me="dead")
    world.clock.time += 61_000
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1
    assert world.slack.thread() == ["Calling <@U0SATO> …"]
    assert world.table.due(before=world.clock.now() + 10**9) == [
        {"pk": "PAGE#default", "sk": "CURRENT", "due": "due", "due_at": world.page().lease_until}
    ]


def test_what_happens_while_slack_is_told_is_told_next_by_whoever_is_at_it(world: World) -> None:
    run = world.fire()
    world.dynamo.before("Query", lambda: world.twilio_says(world.last_call, "busy"))
    assert world.project(incident(run)).done, "who changed it found Slack busy with it, and may not ask again"
    assert world.slack.thread()[-1] == "Calling Suzuki …"
    assert world.slack.posts[0].edits == 1


def test_a_storm_of_incidents_keeps_to_one_post_a_second(world: World) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(12)]
    waiting = [incident(run) for run in runs]
    for _ in range(20):
        progress = world.project(*waiting)
        if progress.done:
            break
        world.clock.time += progress.wait_seconds * 1000
    assert progress.done
    assert len(world.slack.posts) == 12
    moments = world.slack.posted_at[CHANNEL]
    assert min(after - before for before, after in pairwise(moments)) >= 1000


def test_slack_away_for_long_ends_the_execution_and_leaves_the_rest_to_the_reconciler(world: World) -> None:
    run = world.fire(webhook(product="silent"))
    for _ in range(100):
        world.slack.faults = [503]
        progress = world.project(incident(run))
        if progress.done:
            break
        world.clock.time += progress.wait_seconds * 1000
    assert progress.done
    world.clock.time += 3 * MINUTE * 1000
    (revisited,) = world.reconcile()
    assert revisited.decision["incidents"] == [incident(run)]
    assert world.project(incident(run)).done
    assert len(world.slack.posts) == 1


def test_time_that_runs_out_leaves_the_rest_for_the_next_turn(world: World) -> None:
    runs = [world.fire(webhook(key=f"group {number}", product="silent")) for number in range(3)]
    world.slack.faults = []

    progress = channel.bring_up_to_date(
        world.services, [incident(run) for run in runs], me="late", until=world.clock.now() - 1
    )
    assert (progress.done, progress.wait_seconds) == (False, 1)
    assert world.slack.posts == []


def test_a_label_full_of_markup_reaches_slack_as_text(world: World) -> None:
    evil = "<!channel> <@U0SATO> <https://evil.example.com|click> & *bold*"
    run = world.fire(webhook(alert(evil, annotations={"summary": evil}), product=evil))
    world.project(incident(run))
    shown = str(world.slack.posts[0].blocks) + world.slack.posts[0].text
    assert "<!channel>" not in shown
    assert "<@U0SATO>" not in shown
    assert "<https://evil" not in shown


def test_a_long_summary_full_of_markup_can_be_updated(world: World) -> None:
    """Slack: chat.update takes 4,000 characters of text."""
    run = world.fire(webhook(alert(annotations={"summary": "&<>" * 330})))
    world.project(incident(run))
    world.hears(world.last_call, "1")
    assert world.project(incident(run)).done


def test_the_projection_changes_nothing_of_the_incident(world: World) -> None:
    run = world.fire()
    before = world.table.get(incidents.partition(incident(run)), "STATE")
    world.project(incident(run))
    after = world.table.get(incidents.partition(incident(run)), "STATE")
    assert before is not None
    assert after is not None
    own = {"due", "due_at"}
    assert {k: v for k, v in after.items() if not k.startswith("slack") and k not in own} == {
        k: v for k, v in before.items() if not k.startswith("slack") and k not in own
    }
