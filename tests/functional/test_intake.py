"""The ReceiveAlerts step: what a webhook makes of an incident, and what is done about it."""

from typing import Any

import pytest

from oncall import incidents, pages
from oncall.errors import WebhookError
from oncall.pages import AtWork
from tests.builders import (
    BASE,
    CHANNEL,
    DATABASE,
    MINUTE,
    SATO,
    START,
    SUZUKI,
    Execution,
    World,
    alert,
    webhook,
)


def action(run: Execution) -> tuple[str, str]:
    return run.decision["action"], run.decision["severity"]


def test_a_critical_group_opens_an_incident_and_pages(world: World) -> None:
    run = world.receive(webhook(alert(annotations={"summary": "The shop is down"}), product="shop"))
    assert action(run) == ("page", "critical")
    incident = world.incident(run)
    assert (incident.state, incident.summary, incident.product) == ("triggered", "The shop is down", "shop")
    assert [one["name"] for one in run.decision["responders"]] == ["Sato", "Suzuki", "Takahashi"]
    assert world.page().base == BASE


def test_a_warning_goes_to_slack_alone(world: World) -> None:
    run = world.receive(webhook(alert(severity="warning")))
    assert action(run) == ("alert", "warning")
    assert pages.read(world.table, "default") is None


def test_a_group_without_a_severity_counts_as_critical_and_says_so(world: World) -> None:
    run = world.receive(webhook(alert(severity=None)))
    assert action(run) == ("page", "critical")
    assert world.incident(run).severity_note == "missing"


def test_the_decision_is_handed_on_without_what_the_state_machine_cannot_carry(world: World) -> None:
    run = world.receive(webhook())
    assert run.decision["page"]["timeout_seconds"] == 25 + pages.LISTENING_SECONDS


def test_a_product_without_calls_is_a_page_that_rings_nobody(world: World) -> None:
    run = world.receive(webhook(product="silent"))
    assert action(run) == ("page", "critical")
    assert run.decision["page"] == {"call": False, "timeout_seconds": 60}


def test_a_product_has_its_own_policy_and_channel(world: World) -> None:
    world.roster({"PRODUCT#shop": {"policy": "other", "slack_channel": "C0SHOP"}})
    run = world.receive(webhook(product="shop"))
    assert run.decision["page"]["policy"] == "other"
    assert world.incident(run).channel == "C0SHOP"


def test_an_unknown_product_uses_the_default_policy_and_channel(world: World) -> None:
    run = world.receive(webhook(product="never heard of"))
    assert run.decision["page"]["policy"] == "default"
    assert world.incident(run).channel == CHANNEL


def test_without_any_roster_the_page_ends_loudly(world: World) -> None:
    world.roster(dict.fromkeys(("RESPONDER#sato", "RESPONDER#suzuki", "RESPONDER#takahashi", "SCHEDULE#everyone")))
    world.roster(dict.fromkeys(("POLICY#default", "POLICY#other", "PRODUCT#silent", "PRODUCT#elsewhere")))
    run = world.fire()
    assert run.outcome == ("fail", "nobody is on call")
    assert world.topic.subjects == ["nobody took a page"]
    assert world.incident(run).unanswered


def test_a_mistake_in_the_roster_does_not_keep_the_others_from_being_rung(world: World) -> None:
    world.roster({"RESPONDER#sato": {"name": "Sato", "phone": "090-1234-5678", "position": 1}})
    world.fire()
    assert world.rung == [SUZUKI]


def test_a_second_alertmanager_changes_nothing_but_a_line_in_the_timeline(world: World) -> None:
    first, second = world.fire(received_at=START), world.fire(received_at=START + 300)
    assert first.decision["incidents"] == second.decision["incidents"]
    assert action(second) == ("notify", "critical")
    assert world.rung == [SATO]
    assert world.story(first) == ["triggered", "ringing", "repeated"]


def test_a_repeat_in_the_same_minute_is_told_once(world: World) -> None:
    first = world.fire()
    world.fire()
    world.fire()
    assert world.story(first).count("repeated") == 1


def test_a_webhook_that_was_overtaken_by_a_newer_one_changes_nothing(world: World) -> None:
    first = world.fire(webhook(alert(), alert("second")), received_at=START + 1000)
    late = world.fire(webhook(alert()), received_at=START)
    assert action(late) == ("notify", "critical")
    assert len(world.incident(first).known) == 2
    assert "repeated" not in world.story(first)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(5))
def test_wherever_the_step_dies_its_retry_decides_the_same_and_opens_one_incident(
    world: World, at: int, *, answered: bool
) -> None:
    with world.dynamo.dies(at, answered=answered):
        world.receive(webhook(), execution="one")
    world.clock.time += 2500
    run = world.fire(execution="one")
    assert action(run) == ("page", "critical")
    assert world.rung == [SATO]
    # A retry after the incident was opened counts as a repeat of nothing.
    assert world.story(run) == ["triggered", "ringing"]
    assert world.page().incidents == set(run.decision["incidents"])


def test_a_retry_after_somebody_has_it_rings_nobody(world: World) -> None:
    world.roster({"POLICY#default": {"quiet_seconds": 0}})
    run = world.fire(execution="one")
    world.hears(world.last_call, "1")
    again = world.fire(execution="one")
    assert action(again) == ("notify", "critical")
    assert run.decision["incidents"] == again.decision["incidents"]
    assert world.rung == [SATO]


def test_a_retry_in_whose_middle_somebody_takes_it_rings_nobody(world: World) -> None:
    world.roster({"POLICY#default": {"quiet_seconds": 0}})
    run = world.fire(execution="one")
    world.dynamo.before("UpdateItem", lambda: world.hears(world.last_call, "1"))
    world.fire(execution="one")
    world.passes(10 * MINUTE)
    assert world.incident(run).state == "acknowledged"
    assert world.rung == [SATO]
    assert world.page().is_settled


def test_a_retry_that_read_its_incident_before_somebody_took_it_opens_no_other_page(world: World) -> None:
    world.roster({"POLICY#default": {"quiet_seconds": 0}})
    world.fire(execution="one")
    joined = world.fire(webhook(key="another"), execution="two")
    call = world.last_call
    taken: list[bool] = []

    def takes() -> None:
        if not taken:
            taken.append(True)
            world.hears(call, "1")

    def has_read() -> None:
        for operation in ("GetItem", "UpdateItem"):
            world.dynamo.before(operation, takes)

    world.dynamo.before("GetItem", has_read)
    again = world.fire(webhook(key="another"), execution="two")

    assert action(again) == ("notify", "critical")
    assert world.incident(joined).state == "acknowledged"
    assert world.page().acknowledged_by == "Sato"
    assert world.rung == [SATO]


def test_a_resolution_ends_the_incident_and_its_page(world: World) -> None:
    run = world.fire()
    resolved = world.resolve()
    assert action(resolved) == ("notify", "critical")
    incident = world.incident(run)
    assert (incident.state, incident.firing) == ("resolved", 0)
    assert [one.status for one in incident.alerts] == ["resolved"]
    assert world.page().state == "resolved"
    item = world.table.get(incidents.partition(incident.id), "STATE")
    assert item is not None
    assert item["expires_at"] > START // 1000


def test_a_resolution_that_comes_twice_changes_nothing(world: World) -> None:
    run = world.fire()
    world.resolve()
    before = world.incident(run)
    again = world.resolve()
    assert action(again) == ("notify", "critical")
    assert world.incident(run) == before


def test_a_group_that_fires_again_after_its_resolution_is_a_new_incident(world: World) -> None:
    first = world.fire()
    world.resolve()
    world.clock.time += 5000
    second = world.fire()
    assert action(second) == ("page", "critical")
    assert first.decision["incidents"] != second.decision["incidents"]


def test_a_resolution_of_what_never_fired_does_nothing(world: World) -> None:
    run = world.resolve()
    assert action(run) == ("none", "critical")


def test_a_resolution_that_overtakes_its_firing_rings_nobody(world: World) -> None:
    world.resolve(received_at=START + 2000)
    run = world.fire(received_at=START)
    assert action(run) == ("notify", "critical")
    assert world.incident(run).state == "resolved"
    assert world.rung == []
    assert world.story(run) == ["resolved"]


def test_a_resolution_that_was_overtaken_by_the_next_firing_does_not_silence_it(world: World) -> None:
    run = world.fire(received_at=START)
    world.fire(received_at=START + 60_000)
    late = world.resolve(received_at=START + 50_000)
    assert action(late) == ("notify", "critical")
    assert world.incident(run).state == "triggered"
    assert world.ringing == [SATO]


def test_a_repeat_that_its_resolution_has_overtaken_opens_no_second_incident(world: World) -> None:
    run = world.fire(received_at=START)
    world.resolve(received_at=START + 2000)
    late = world.fire(received_at=START + 1000)
    assert late.decision["incidents"] == run.decision["incidents"]
    assert world.story(run).count("resolved") == 1
    assert world.rung == [SATO]


def test_firings_of_two_alertmanagers_that_their_resolution_has_overtaken_are_one_incident(world: World) -> None:
    world.resolve(received_at=START + 2000)
    other: list[Execution] = []
    world.dynamo.before(
        "TransactWriteItems",
        lambda: world.dynamo.before("TransactWriteItems", lambda: other.append(world.fire(received_at=START + 1))),
    )
    run = world.fire(received_at=START)
    assert run.decision["incidents"] == other[0].decision["incidents"]
    assert world.incident(run).state == "resolved"
    assert world.rung == []


def test_a_firing_of_the_next_episode_that_its_resolution_has_overtaken_has_its_own_incident(world: World) -> None:
    first = world.fire(received_at=START)
    world.resolve(received_at=START + 1000)
    world.resolve(received_at=START + 3000)
    run = world.fire(received_at=START + 2000)
    assert run.decision["incidents"] != first.decision["incidents"]
    assert world.incident(run).state == "resolved"
    assert world.rung == [SATO]


def test_after_a_resolution_that_overtook_its_firing_the_next_firing_pages(world: World) -> None:
    world.resolve(received_at=START + 2000)
    world.fire(received_at=START)
    run = world.fire(received_at=START + 4000)
    assert action(run) == ("page", "critical")
    assert world.incident(run).state == "triggered"


def test_a_resolution_that_dies_half_way_is_finished_by_its_retry(world: World) -> None:
    run = world.fire()
    for at in range(8):
        with world.dynamo.dies(at, answered=True):
            world.receive(webhook(status="resolved"), execution="resolver")
    world.resolve(execution="resolver")
    world.passes(MINUTE)
    assert world.incident(run).state == "resolved"
    assert world.story(run).count("resolved") == 1
    assert world.page().state == "resolved"
    assert world.ringing == []


def test_a_warning_that_becomes_critical_rings(world: World) -> None:
    first = world.fire(webhook(alert(severity="warning")))
    second = world.fire(webhook(alert(severity="critical")))
    assert action(second) == ("page", "critical")
    assert first.decision["incidents"] == second.decision["incidents"]
    assert world.rung == [SATO]
    assert world.story(first) == ["triggered", "worse", "ringing"]


def test_a_warning_that_somebody_has_and_that_becomes_critical_rings(world: World) -> None:
    run = world.fire(webhook(alert(severity="warning")))
    assert world.takes_in_slack(run.decision["incidents"][0]).ours
    world.fire(webhook(alert(severity="critical")))
    assert world.rung == [SATO]
    assert world.incident(run).state == "triggered"


def test_a_repeat_of_what_somebody_has_rings_nobody(world: World) -> None:
    run = world.fire()
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    again = world.fire()
    assert action(again) == ("notify", "critical")
    assert world.rung == [SATO]
    assert world.incident(run).state == "acknowledged"


def test_new_alerts_in_an_incident_that_somebody_has_ring_again(world: World) -> None:
    run = world.fire(webhook(alert("one")))
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    again = world.fire(webhook(alert("one"), alert("two")))
    assert action(again) == ("page", "critical")
    assert world.rung == [SATO, SATO]
    assert world.story(run)[-2:] == ["new_alerts", "ringing"]


def test_an_alert_that_went_away_and_fires_anew_rings_again(world: World) -> None:
    run = world.fire(webhook(alert("one")))
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    world.fire(webhook(alert("one"), alert("two")))
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    world.fire(webhook(alert("one")))  # two is gone
    world.passes(30 * MINUTE)
    again = world.fire(webhook(alert("one"), alert("two", startsAt="2026-11-23T05:00:00Z")))
    assert action(again) == ("page", "critical")
    assert world.rung == [SATO, SATO, SATO]
    assert world.story(run).count("new_alerts") == 2


def test_the_same_new_alert_from_two_alertmanagers_at_once_rings_once(world: World) -> None:
    run = world.fire(webhook(alert("one")))
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)
    both = webhook(alert("one"), alert("two"))

    def the_other() -> None:
        world.fire(both)
        world.hears(world.last_call, "1")

    world.dynamo.before("TransactWriteItems", the_other)
    late = world.fire(both)
    assert action(late) == ("notify", "critical")
    assert world.incident(run).state == "acknowledged"
    assert world.story(run).count("new_alerts") == 1


def test_new_alerts_do_not_ring_again_where_the_policy_says_so(world: World) -> None:
    world.roster({"POLICY#default": {"ring_on_new_alerts": False}})
    run = world.fire(webhook(alert("one")))
    world.hears(world.last_call, "1")
    again = world.fire(webhook(alert("one"), alert("two")))
    assert action(again) == ("notify", "critical")
    assert world.incident(run).state == "acknowledged"
    assert world.incident(run).firing == 2


def test_new_alerts_while_the_phone_rings_are_told_and_ring_no_second_phone(world: World) -> None:
    run = world.fire(webhook(alert("one")))
    world.fire(webhook(alert("one"), alert("two")))
    assert world.rung == [SATO]
    assert world.story(run)[-1] == "new_alerts"


def test_a_repeat_after_an_unanswered_page_pages_anew(world: World) -> None:
    run = unanswered(world)
    world.passes(30 * MINUTE)
    calls = len(world.rung)
    again = world.fire()
    assert action(again) == ("page", "critical")
    assert len(world.rung) == calls + 1
    world.hears(world.last_call, "1")
    incident = world.incident(run)
    assert (incident.state, incident.unanswered) == ("acknowledged", False)


def test_a_repeat_after_an_unanswered_page_rings_nobody_where_the_policy_says_so(world: World) -> None:
    world.roster({"POLICY#default": {"rounds": 2, "repeat_page": False}})
    unanswered(world)
    calls = len(world.rung)
    world.passes(30 * MINUTE)
    assert action(world.fire()) == ("notify", "critical")
    assert len(world.rung) == calls


def test_every_unanswered_page_is_told_to_the_fallback(world: World) -> None:
    unanswered(world)
    world.passes(30 * MINUTE)
    unanswered(world)
    assert world.topic.subjects == ["nobody took a page"] * 2


@pytest.mark.parametrize("key", ["shop", DATABASE])
def test_a_page_that_nobody_took_and_nobody_was_told_of_goes_on_in_the_next(world: World, key: str) -> None:
    """SNS is away when the page ends; meanwhile the policy's next page opens."""
    world.roster({"POLICY#default": {"rounds": 1}})
    run = world.fire()
    for _ in range(2):
        world.twilio_says(world.last_call, "no-answer")
    world.topic.is_away = True
    with pytest.raises(ConnectionError):
        world.twilio_says(world.last_call, "no-answer")
    world.topic.is_away = False
    later = world.fire(webhook(key=key))
    world.go_on(run)  # the state machine's retry
    assert world.ringing == [SATO]
    assert world.page().incidents == {run.decision["incidents"][0], later.decision["incidents"][0]}
    for _ in range(3):
        world.twilio_says(world.last_call, "no-answer")
    assert world.topic.subjects == ["nobody took a page"]
    assert run.decision["incidents"][0] in world.topic.published[0]["Message"]
    assert world.incident(run).unanswered


def test_a_group_that_fires_while_the_policy_rings_joins_its_page(world: World) -> None:
    first = world.fire()
    second = world.fire(webhook(key=DATABASE))
    assert action(second) == ("alert", "critical")
    assert world.rung == [SATO]
    assert world.story(second) == ["triggered", "joined"]
    assert world.page().incidents == {first.decision["incidents"][0], second.decision["incidents"][0]}


def test_a_group_of_another_policy_rings_beside_it(world: World) -> None:
    world.fire()
    run = world.fire(webhook(key=DATABASE, product="elsewhere"))
    assert action(run) == ("page", "critical")
    assert len(world.ringing) == 2


def test_a_storm_of_groups_rings_one_phone(world: World) -> None:
    runs = [world.fire(webhook(key=f"group {number}")) for number in range(20)]
    assert world.rung == [SATO]
    world.hears(world.last_call, "1")
    assert {world.incident(run).state for run in runs} == {"acknowledged"}


def test_a_repeat_carries_the_end_of_its_page_to_its_own_incident_and_leaves_the_others_to_the_owner(
    world: World,
) -> None:
    runs = [world.fire(webhook(key=f"group {number}")) for number in range(20)]
    pages.acknowledge(
        world.table, world.page(), who="Sato", responder="sato", via="slack", now=world.clock.now(), call=None
    )
    before = len(world.dynamo.requests)
    world.receive(webhook(key="group 7"), execution="repeat")
    assert len(world.dynamo.requests) - before <= 10
    states = [world.incident(run).state for run in runs]
    assert states.count("acknowledged") == 1
    assert states[7] == "acknowledged"
    world.passes(2 * MINUTE)
    assert {world.incident(run).state for run in runs} == {"acknowledged"}
    assert world.rung == [SATO]


def test_a_group_in_the_quiet_window_is_told_to_whoever_is_at_work_and_rings_at_its_end(world: World) -> None:
    world.fire()
    world.hears(world.last_call, "1")
    run = world.fire(webhook(key=DATABASE))
    assert world.rung == [SATO]
    assert run.outcome == ("fail", "quiet window")
    assert world.story(run) == ["triggered", "quiet"]
    world.passes(119)
    assert world.rung == [SATO]
    world.passes(1)
    assert world.rung == [SATO, SATO]


def test_a_group_that_is_taken_in_the_quiet_window_rings_nobody(world: World) -> None:
    world.fire()
    world.hears(world.last_call, "1")
    run = world.fire(webhook(key=DATABASE))
    world.takes_in_slack(run.decision["incidents"][0])
    world.passes(10 * MINUTE)
    assert world.rung == [SATO]
    assert run.is_over


def test_the_quiet_window_outlasts_an_incident_that_came_and_went_in_it(world: World) -> None:
    world.fire()
    world.hears(world.last_call, "1")
    world.fire(webhook(key=DATABASE))
    world.resolve(webhook(key=DATABASE, status="resolved"))
    run = world.fire(webhook(key="third"))
    assert run.outcome == ("fail", "quiet window")
    assert world.page().at_work == AtWork("Sato", "sato")
    world.passes(120)
    assert world.rung == [SATO, SATO]


def test_a_webhook_takes_over_a_page_whose_owner_is_gone(world: World) -> None:
    run = world.receive(webhook())  # and nothing after it
    world.clock.time += 10 * MINUTE * 1000
    again = world.fire()
    assert run.decision["incidents"] == again.decision["incidents"]
    assert world.page().owner == again.name
    assert world.rung == [SATO]


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("at", range(8))
def test_an_incident_whose_step_never_came_back_is_paged_by_the_next_webhook(
    world: World, at: int, *, answered: bool
) -> None:
    with world.dynamo.dies(at, answered=answered):
        world.receive(webhook())
    world.clock.time += 5 * MINUTE * 1000
    run = world.fire()
    assert world.rung == [SATO]
    assert world.incident(run).state == "triggered"


def test_a_group_that_was_cut_says_how_much_was_left_out(world: World) -> None:
    run = world.receive(webhook(alert(), alert("two")), cut={"alerts": 10_000, "characters": 4_000_000})
    incident = world.incident(run)
    assert incident.left_out == 9_998
    assert (incident.firing, incident.at_least) == (2, True)
    assert incident.cut_characters == 4_000_000


def test_alerts_that_alertmanager_left_out_are_counted(world: World) -> None:
    run = world.receive(webhook(truncatedAlerts=7))
    assert world.incident(run).left_out == 7
    assert (world.incident(run).firing, world.incident(run).at_least) == (1, True)


def test_a_group_of_warnings_whose_rest_was_cut_off_counts_as_critical(world: World) -> None:
    hook = webhook(alert(severity="warning"))
    run = world.receive(hook, cut={"alerts": 11, "characters": 90_000})
    assert action(run) == ("page", "critical")
    assert world.incident(run).severity_note == "unseen"


def test_the_largest_webhook_that_the_gateway_hands_on_fits_into_the_table(world: World) -> None:
    labels = {f"label{number}": "重" * 900 for number in range(3)}
    hook = webhook(*[alert(f"alert {number}", labels=labels, annotations=labels) for number in range(12)])
    assert len(str(hook)) < 80_000
    run = world.fire(hook)
    assert world.rung == [SATO]
    assert len(world.incident(run).alerts) == 10


@pytest.mark.parametrize(
    "text",
    [
        "\ud800 half a character",
        'quotes " and \\ and $ and ${x}',
        "line\nbreak\ttab\r",
        "\x00\x1b[31m",
        "🔥" * 100,
        "{",
        "%s %(x)s",
    ],
)
def test_whatever_stands_in_a_label_the_phone_rings(world: World, text: str) -> None:
    hook = webhook(alert(text, labels={"x": text}, annotations={"summary": text}), key=text, product=text)
    run = world.fire(hook)
    assert world.rung == [SATO]
    world.project(*run.decision["incidents"])
    assert len(world.slack.posts) == 1


def test_a_webhook_with_odd_types_is_read_as_far_as_it_goes(world: World) -> None:
    odd: dict[str, Any] = {
        "labels": {"alertname": 5, "severity": None, "": "empty name"},
        "annotations": [1],
        "status": 7,
    }
    run = world.fire({"groupKey": 17, "alerts": [odd], "commonLabels": "x", "status": None})
    assert action(run) == ("page", "critical")
    assert world.incident(run).title == "5"


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        ([], "the webhook is not a JSON object"),
        ({"alerts": [{}]}, "the webhook has no groupKey"),
        ({"groupKey": "x", "alerts": []}, "the webhook has no alerts"),
        ({"groupKey": "x"}, "the webhook has no alerts"),
        ({"groupKey": "x", "alerts": ["no"]}, "alert 0 of the webhook is not a JSON object"),
    ],
)
def test_what_can_never_be_read_says_why(world: World, hook: Any, why: str) -> None:
    with pytest.raises(WebhookError, match=why):
        world.receive(hook)


def test_an_input_of_an_unknown_source_says_so(world: World) -> None:
    with pytest.raises(WebhookError, match="no known source, but 'somebody'"):
        world.decide({"source": "somebody"})


def test_two_executions_that_open_a_group_at_once_have_one_incident(world: World) -> None:
    world.dynamo.before("TransactWriteItems", lambda: world.receive(webhook()))
    run = world.receive(webhook())
    assert run.decision["incidents"] == world.executions["execution-2"].decision["incidents"]
    assert action(run) == ("notify", "critical")


def test_two_executions_that_open_a_page_at_once_share_it(world: World) -> None:
    world.dynamo.before("UpdateItem", lambda: world.fire(webhook(key=DATABASE)))
    run = world.fire()
    assert action(run) == ("alert", "critical")
    assert world.rung == [SATO]
    assert len(world.page().incidents) == 2


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_page_that_is_taken_while_a_group_joins_it_does_not_swallow_the_group(
    world: World, monkeypatch: pytest.MonkeyPatch, *, is_seen: bool
) -> None:
    """The page is open when it is seen, by an incident before or by this one, and taken when it is joined."""
    world.fire()
    call = world.last_call
    if is_seen:
        world.dynamo.before("UpdateItem", lambda: world.hears(call, "1"))
    else:
        monkeypatch.setattr("oncall.pages.store._seen_open", {})
        world.dynamo.before("UpdateItem", lambda: world.dynamo.before("UpdateItem", lambda: world.hears(call, "1")))
    run = world.fire(webhook(key=DATABASE))
    world.passes(3 * MINUTE)
    assert world.incident(run).state == "triggered"
    assert world.rung == [SATO, SATO]


def test_a_page_that_resolves_while_a_group_joins_it_goes_on_for_the_group(world: World) -> None:
    world.fire()
    world.dynamo.before(
        "UpdateItem", lambda: world.dynamo.before("UpdateItem", lambda: world.receive(webhook(status="resolved")))
    )
    run = world.fire(webhook(key=DATABASE))
    world.settles_down()
    assert world.incident(run).state == "triggered"
    assert len(world.ringing) == 1


def test_a_repeat_that_is_overtaken_by_the_acknowledgement_rings_nobody_again(world: World) -> None:
    world.roster({"POLICY#default": {"quiet_seconds": 0}})
    run = world.fire()
    call = world.last_call
    # The incident is triggered when the repeat is told in it, and taken when the repeat asks for its page.
    world.dynamo.before("TransactWriteItems", lambda: world.dynamo.before("UpdateItem", lambda: world.hears(call, "1")))
    world.fire()
    world.settles_down()
    assert world.incident(run).state == "acknowledged"
    assert world.rung == [SATO]


def test_a_resolution_between_a_new_incident_and_its_page_stops_the_phone(world: World) -> None:
    world.dynamo.before("UpdateItem", lambda: world.receive(webhook(status="resolved")))
    run = world.fire()
    world.settles_down()
    assert world.incident(run).state == "resolved"
    assert world.ringing == []
    assert world.page().is_settled


def unanswered(world: World) -> Execution:
    """A page that nobody takes."""
    run = world.fire()
    for _ in range(6):
        world.twilio_says(world.last_call, "no-answer")
        world.passes(MINUTE)
    assert run.is_over
    assert run.outcome[0] == "fail"
    assert incidents.read(world.table, run.decision["incidents"][0])
    return run
