"""Shadow: all is received, decided and written, and nobody is rung, texted or mentioned. What goes live rings."""

import pytest

from oncall import actions, incidents, shadow
from oncall.pages import SUPPOSED
from oncall.roster import is_shadow
from oncall.slack import shadow_message
from tests.builders import CHANNEL, MINUTE, SATO, SUZUKI, Execution, World, alert, webhook

APART = "C0SHADOW00"
SHOP = {"PRODUCT#shop": {"shadow": True, "slack_channel": "C0SHOP0000"}}
QUIET_ROUND = [
    "0 s: would have rung Sato.",
    "Sato would have been rung for 30 s.",
    "30 s: would have rung Suzuki.",
    "Suzuki would have been rung for 30 s.",
    "60 s: would have rung Takahashi.",
    "Takahashi would have been rung for 30 s.",
]


@pytest.fixture
def shadowed(world: World) -> World:
    """A stack of which the product `shop` is in shadow."""
    world.slack.channels |= {APART, "C0SHOP0000"}
    world.settings = {"shadow_channel": APART}
    world.roster(SHOP)
    return world


def shop(*alerts: dict[str, object], **more: object) -> dict[str, object]:
    return webhook(*alerts, product="shop", **more)  # type: ignore[arg-type]  # as webhook takes them


def told(world: World, run: Execution) -> list[str]:
    """The thread of an incident's message, once Slack is up to date."""
    assert world.project(run.decision["incidents"][0]).done
    return world.slack.thread()


def test_nobody_is_rung_and_the_thread_tells_who_would_have_been_and_at_which_second(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.passes(89)
    assert shadowed.rung == []
    assert told(shadowed, run) == QUIET_ROUND[:-1]


def test_the_message_says_that_it_is_in_shadow_and_stands_in_the_channel_of_its_own(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.project(run.decision["incidents"][0])
    (message,) = shadowed.slack.posts
    assert message.channel == APART
    assert message.text.startswith("🔴 [SHADOW: nobody is rung] shop alert is down")
    assert message.blocks[0]["text"]["text"].startswith("🔴 [SHADOW: nobody is rung]")
    assert " would be rung now (call " in str(message.blocks)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("mode", ["product", "stack"])
def test_nobody_is_mentioned_texted_or_told_of_an_unanswered_page(shadowed: World, language: str, mode: str) -> None:
    shadowed.language = "ja" if language == "ja" else "en"
    shadowed.roster({"POLICY#default": {"rounds": 1, "sms_before_call": True, "remind_after_minutes": 5}})
    shadowed.telephone.text_sender = "+12025550199"
    if mode == "stack":
        shadowed.roster({"PRODUCT#shop": {}})
        shadowed.settings = {"mode": "shadow", "shadow_channel": APART}
    run = shadowed.fire(shop())
    shadowed.passes(10 * MINUTE)
    assert shadowed.incident(run).unanswered
    shadowed.takes_in_slack(run.decision["incidents"][0])
    shadowed.passes(20 * MINUTE)
    shadowed.reconcile()
    lines = told(shadowed, run)
    assert any("Sato" in line for line in lines)
    assert not [line for line in [*lines, *(m.text for m in shadowed.slack.messages)] if "<@" in line or "<!" in line]
    assert not any(message.is_broadcast for message in shadowed.slack.messages)
    assert (shadowed.telephone.calls, shadowed.telephone.texts, shadowed.topic.published) == ([], [], [])


def test_a_warning_in_shadow_says_so_too(shadowed: World) -> None:
    run = shadowed.fire(shop(alert(severity="warning")))
    shadowed.project(run.decision["incidents"][0])
    assert "[SHADOW" in shadowed.slack.posts[0].text
    assert shadowed.slack.posts[0].channel == APART


def test_how_long_people_are_supposed_to_let_it_ring_is_a_setting(shadowed: World) -> None:
    shadowed.settings["shadow_ring_seconds"] = 300
    run = shadowed.fire(shop())
    shadowed.passes(700)
    assert [line for line in told(shadowed, run) if "would have rung" in line] == [
        "0 s: would have rung Sato.",
        "305 s: would have rung Suzuki.",
        "610 s: would have rung Takahashi.",
    ]


def test_who_takes_it_in_slack_stops_the_loop_as_if_by_phone(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.passes(10)
    shadowed.takes_in_slack(run.decision["incidents"][0])
    assert run.is_over
    assert run.outcome == ("success", "acknowledged by Sato")
    shadowed.passes(10 * MINUTE)
    assert shadowed.story(run) == ["triggered", "ringing", "acknowledged"]


def test_what_is_resolved_stops_the_loop(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.passes(10)
    shadowed.resolve(shop(status="resolved"))
    assert run.is_over
    assert shadowed.incident(run).state == "resolved"


def test_the_next_one_can_be_asked_for(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.passes(10)
    actions.ring_next(shadowed.services, run.decision["incidents"][0], who="Sato", via="slack")
    shadowed.settles_down()
    assert [one.name for one in shadowed.page("shadow:default").calls] == ["Sato", "Suzuki"]


def test_a_live_product_never_joins_a_page_in_shadow_nor_waits_for_it(shadowed: World) -> None:
    shadowed.fire(shop())
    live = shadowed.fire(webhook(key="database"))
    assert shadowed.ringing == [SATO]
    assert live.decision["page"]["policy"] == "default"
    shadowed.takes_in_slack(shadowed.page("shadow:default").lead)
    assert shadowed.ringing == [SATO], "what is taken in shadow stops no phone"


def test_what_goes_live_while_it_rings_in_shadow_rings_at_the_next_supposed_call(
    shadowed: World,
) -> None:
    run = shadowed.fire(shop())
    shadowed.project(run.decision["incidents"][0])
    shadowed.roster({"PRODUCT#shop": {"slack_channel": "C0SHOP0000"}})
    shadowed.passes(31)
    shadowed.project(run.decision["incidents"][0])
    shadowed.run_started()
    assert shadowed.ringing == [SATO]
    shadowed.passes(3)
    assert shadowed.page("shadow:default").is_settled
    assert run.is_over
    incident = shadowed.incident(run)
    assert (incident.policy, incident.channel) == ("default", "C0SHOP0000")
    shadowed.project(incident.id)
    message = shadowed.slack.posts[-1]
    assert message.channel == "C0SHOP0000", "its people see it where they look"
    assert "SHADOW" not in message.text
    lines = [one.text for one in shadowed.slack.messages if one.thread_ts == message.ts]
    assert lines[0] == "0 s: would have rung Sato.", "what was told stays true"
    assert lines[-1] == "Calling <@U0SATO> …"


@pytest.mark.parametrize("taken", [False, True], ids=["unanswered", "acknowledged"])
def test_what_goes_live_after_its_page_in_shadow_rings_at_its_next_repeat(shadowed: World, taken: bool) -> None:
    shadowed.roster({"POLICY#default": {"rounds": 1, "repeat_page": False}})
    run = shadowed.fire(shop())
    if taken:
        shadowed.takes_in_slack(run.decision["incidents"][0])
    shadowed.passes(10 * MINUTE)
    assert shadowed.incident(run).state == ("acknowledged" if taken else "triggered")
    shadowed.roster({"PRODUCT#shop": {}})
    shadowed.fire(shop())
    assert shadowed.ringing == [SATO]


def test_the_stack_in_shadow_rings_nobody_for_what_was_live_before(world: World) -> None:
    run = world.fire()
    world.settings = {"mode": "shadow"}
    world.twilio_says(world.last_call, "no-answer")
    world.passes(5 * MINUTE)
    assert world.rung == [SATO]
    told_so = [event for event in incidents.timeline(world.table, world.incident(run).id) if event.kind == "ringing"]
    assert [event.detail.get("supposed", False) for event in told_so][:2] == [False, True]
    world.project(world.incident(run).id)
    assert "[SHADOW" in world.slack.posts[0].text


def test_the_stack_that_goes_live_again_rings(world: World) -> None:
    world.settings = {"mode": "shadow"}
    run = world.fire()
    world.passes(31)
    world.settings = {"mode": "live"}
    world.passes(31)
    world.run_started()
    assert world.ringing == [SATO]
    assert world.incident(run).policy == "default"


def test_the_probe_rings_its_machine_in_shadow_as_well(world: World) -> None:
    world.settings = {"mode": "shadow"}
    assert not shadow.rings_nobody(world.services.settings, "oncall:probe")


def test_a_step_that_died_after_a_supposed_call_goes_on_with_it(shadowed: World) -> None:
    """The call is in the page; whoever takes over finds that it is over, and supposes the next one."""
    with shadowed.dynamo.dies(6, answered=True):
        shadowed.fire(shop())
    shadowed.passes(3 * MINUTE)
    shadowed.reconcile()
    shadowed.reconcile()
    page = shadowed.page("shadow:default")
    assert page.calls
    assert all(call.sid.startswith(SUPPOSED) for call in page.calls if call.sid)
    assert shadowed.rung == []


def test_a_product_of_the_roster_in_shadow_has_its_policys_twin(shadowed: World) -> None:
    run = shadowed.fire(shop())
    incident = shadowed.incident(run)
    assert is_shadow(incident.policy)
    assert incident.channel == APART
    assert shadowed.page("shadow:default").is_shadow


def test_without_a_channel_of_its_own_shadow_is_told_in_the_stacks(shadowed: World) -> None:
    shadowed.settings = {}
    assert shadowed.incident(shadowed.fire(shop())).channel == CHANNEL


def test_a_page_in_shadow_that_nobody_took_starts_again_at_the_next_repeat(shadowed: World) -> None:
    shadowed.roster({"POLICY#default": {"rounds": 1}})
    run = shadowed.fire(shop())
    shadowed.passes(10 * MINUTE)
    again = shadowed.fire(shop())
    shadowed.passes(5)
    assert again.decision["page"]["policy"] == "shadow:default"
    assert shadowed.story(run).count("ringing") == 4
    assert SUZUKI not in shadowed.rung


def reminds(world: World) -> list[str]:
    """What the reconciler's minute has Slack told; whether it is up to date is SlackNotification's to write."""
    if not shadow.is_to_be_told(world.services):
        return []
    before = len(world.slack.messages)
    shadow_message.remind(world.services)
    return [message.text for message in world.slack.messages[before:]]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_shadow_that_goes_on_is_told_once_a_week(shadowed: World, language: str) -> None:
    shadowed.language = "ja" if language == "ja" else "en"
    assert reminds(shadowed) == []
    shadowed.passes(shadow.WEEK_MS / 1000 - 1)
    assert reminds(shadowed) == []
    shadowed.passes(1)
    (text,) = reminds(shadowed)
    assert "shop" in text
    assert shadowed.slack.messages[-1].channel == APART
    assert reminds(shadowed) == []
    shadowed.passes(shadow.WEEK_MS / 1000)
    assert len(reminds(shadowed)) == 1


def test_what_slack_did_not_take_is_told_after_ten_minutes(shadowed: World) -> None:
    reminds(shadowed)
    shadowed.passes(shadow.WEEK_MS / 1000)
    assert shadow.is_to_be_told(shadowed.services)
    assert not shadow.is_to_be_told(shadowed.services), "it is asked for already"
    shadowed.passes(shadow.AGAIN_MS / 1000)
    assert len(reminds(shadowed)) == 1


def test_what_went_live_is_told_no_more_and_the_next_shadow_has_a_week_of_its_own(shadowed: World) -> None:
    reminds(shadowed)
    shadowed.roster({"PRODUCT#shop": {}})
    shadowed.passes(shadow.WEEK_MS / 1000)
    assert reminds(shadowed) == []
    assert shadow.since(shadowed.table) == 0
    shadowed.roster(SHOP)
    assert reminds(shadowed) == []
    assert shadow.since(shadowed.table) == shadowed.clock.now()


def test_the_whole_stack_is_named_as_such(world: World) -> None:
    world.settings = {"mode": "shadow"}
    reminds(world)
    world.passes(shadow.WEEK_MS / 1000)
    (text,) = reminds(world)
    assert "the whole stack" in text


def test_an_execution_that_was_lost_on_the_way_to_live_is_started_again(shadowed: World) -> None:
    run = shadowed.fire(shop())
    shadowed.roster({"PRODUCT#shop": {}})
    shadowed.passes(31)
    shadowed.started.clear()
    shadowed.passes(62)
    shadowed.run_started()
    assert shadowed.ringing == [SATO]
    assert shadowed.incident(run).policy == "default"


def test_what_shares_a_page_in_shadow_and_stays_there_goes_on(shadowed: World) -> None:
    shadowed.roster({"PRODUCT#blog": {"shadow": True}})
    shadowed.fire(shop())
    blog = shadowed.fire(webhook(key="blog", product="blog"))
    shadowed.roster({"PRODUCT#shop": {}})
    shadowed.passes(31)
    shadowed.run_started()
    shadowed.passes(40)
    assert shadowed.rung == [SATO]
    page = shadowed.page("shadow:default")
    assert page.lead == blog.decision["incidents"][0]
    assert len(page.calls) > 1
