"""A group is all its alerts: of several products, in lists that were cut, and of which a part is said."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oncall import incidents, pages
from oncall.clock import at
from oncall.incidents import Incident
from oncall.incidents.known import MOST_KNOWN
from tests.builders import MINUTE, SATO, START, SUZUKI, Json, World, alert, webhook

HOUR = 60 * MINUTE
OF_OTHERS = "elsewhere"  # a product whose policy is `other`


def of(product: str, name: str = "", **more: Any) -> Json:
    """An alert that names a product."""
    return alert(name or f"{product} alert", labels={"product": product} if product else {}, **more)


def over(one: Json) -> Json:
    return one | {"status": "resolved"}


def cut(*alerts: Json, by: int = 1, **more: Any) -> Json:
    """A webhook whose list was cut."""
    return webhook(*alerts, truncatedAlerts=by, **more)


def by_product(world: World) -> dict[str, Incident]:
    """The latest incident of each product."""
    found = (incidents.read(world.table, one) for one in incidents.opened_since(world.table, 0, now=world.clock.now()))
    return {incident.product: incident for incident in found if incident}


def takes(world: World) -> None:
    """Sato takes it, and the quiet window passes."""
    world.hears(world.last_call, "1")
    world.passes(30 * MINUTE)


# ---------------------------------------------------------------- lists that were cut


@pytest.mark.parametrize("cut_by", ["alertmanager", "gateway"])
def test_a_resolution_of_a_list_that_was_cut_resolves_nothing_and_the_phone_rings_on(world: World, cut_by: str) -> None:
    one, two = alert("one"), alert("two")
    how: Json = {"cut": {"alerts": 3, "characters": 90_000}} if cut_by == "gateway" else {}
    by = 0 if cut_by == "gateway" else 1
    run = world.fire(cut(one, two, by=by), **how)
    said = world.fire(cut(over(one), over(two), by=by, status="resolved"), **how)
    assert said.decision["action"] == "notify"
    assert world.incident(run).state == "triggered"
    assert world.ringing == [SATO]
    assert world.story(run)[-1] == "unsure"
    world.project(*run.decision["incidents"])
    assert "may be firing" in str(world.slack.posts[0].blocks)
    assert "resolve it here" in world.slack.thread()[-1]


def test_what_the_gateway_cut_is_over_if_it_says_that_nothing_fires(world: World) -> None:
    run = world.fire(cut(alert("one"), by=0), cut={"alerts": 400, "firing": 400, "characters": 90_000})
    assert world.incident(run).at_least is True
    over_all = cut(over(alert("two")), by=0, status="resolved")
    world.fire(over_all, cut={"alerts": 400, "firing": 0, "characters": 90_000})
    assert world.incident(run).state == "resolved"
    assert world.ringing == []


def test_what_fires_beyond_all_that_the_gateway_has_looked_at_rings(world: World) -> None:
    """Thousands of alerts, of which the first thousand are resolved."""
    labels = {"alertname": "HostDown", "product": "shop"}
    hook = cut(over(of("shop")), by=0, commonLabels=labels)
    run = world.fire(hook, cut={"alerts": 4_000, "firing": None, "characters": 900_000})
    assert world.rung == [SATO]
    assert "Host Down" in world.last_call.twiml
    assert (world.incident(run).product, world.incident(run).at_least) == ("shop", True)
    takes(world)
    world.fire(hook, cut={"alerts": 4_000, "firing": None, "characters": 900_000})
    assert world.rung == [SATO]
    world.fire(hook | {"status": "resolved"}, cut={"alerts": 4_000, "firing": 0, "characters": 900_000})
    assert world.incident(run).state == "resolved"


@pytest.mark.parametrize(
    "end", ["resolved", "firing, though all of it is resolved", "of another product", "by a person"]
)
def test_what_a_cut_list_left_open_ends_all_the_same(world: World, end: str) -> None:
    one = of("shop")
    run = world.fire(cut(one))
    world.fire(cut(over(one), status="resolved"))
    assert world.incident(run).state == "triggered"
    match end:
        case "resolved":
            world.fire(webhook(over(one), status="resolved"))
        case "firing, though all of it is resolved":
            world.fire(webhook(over(one)))
        case "of another product":  # the list is whole: what it does not name has ended
            world.fire(webhook(of(OF_OTHERS)))
            world.fire(webhook(of(OF_OTHERS)))  # and its repeat
        case _:
            incidents.resolve(world.table, world.incident(run).id, who="Sato", via="slack", now=world.clock.now())
            return
    assert world.incident(run).state == "resolved"
    assert SATO not in world.ringing or end == "of another product"
    assert by_product(world)["shop"].state == "resolved"


def test_what_comes_into_view_when_another_resolves_is_not_new(world: World) -> None:
    before = at(START - 60_000).isoformat()
    shown = [alert(f"host {number}", startsAt=before) for number in range(3)]
    run = world.fire(cut(shown[0], shown[1]))
    takes(world)
    world.fire(cut(over(shown[0]), shown[1], shown[2]))
    assert world.rung == [SATO]
    assert world.incident(run).state == "acknowledged"
    world.passes(MINUTE)
    world.fire(cut(shown[1], shown[2], alert("host 4", startsAt=at(world.clock.now() - 1000).isoformat())))
    assert world.rung == [SATO, SATO]  # that one began since


def test_what_leaves_the_view_and_comes_back_is_not_new_unless_it_began_anew(world: World) -> None:
    one, two = (alert(name, startsAt=at(START - 60_000).isoformat()) for name in ("one", "two"))
    world.fire(cut(one, two))
    takes(world)
    world.fire(cut(one))
    world.passes(MINUTE)
    world.fire(cut(one, two))
    assert world.rung == [SATO]
    world.fire(cut(one))
    world.passes(MINUTE)
    world.fire(cut(one, two | {"startsAt": at(world.clock.now() - 1000).isoformat()}))
    assert world.rung == [SATO, SATO]


def test_what_fires_anew_in_an_incident_that_waits_for_its_end_rings_whatever_the_policy_says(world: World) -> None:
    world.roster({"POLICY#default": {"ring_on_new_alerts": False}})
    one = alert("one")
    world.fire(cut(one))
    takes(world)
    world.fire(cut(over(one), status="resolved"))
    world.passes(MINUTE)
    world.fire(webhook(one | {"startsAt": at(world.clock.now() - 1000).isoformat()}))
    assert world.rung == [SATO, SATO]


def test_counts_of_a_cut_list_say_at_least(world: World) -> None:
    run = world.fire(cut(alert("one"), alert("two"), alert("three"), by=9))
    assert "And at least 2 more alerts." in world.last_call.twiml
    world.project(*run.decision["incidents"])
    assert "at least 3 alerts firing" in str(world.slack.posts[0].blocks)
    assert "left out 9 alerts" in str(world.slack.posts[0].blocks)
    assert "At least 3 alerts fire." in world.hears(world.last_call, "0")


def test_a_cut_list_of_which_nothing_fires_rings_nobody(world: World) -> None:
    run = world.fire(cut(over(alert("one"))))
    assert run.decision["action"] == "none"
    assert world.rung == []


def test_if_nothing_that_a_cut_list_shows_may_ring_what_it_hides_rings_the_default_policy(world: World) -> None:
    run = world.fire(cut(of("silent")))
    assert world.rung == [SATO]
    assert sorted(by_product(world)) == ["", "silent"]
    assert by_product(world)[""].severity_note == "unseen"
    world.fire(webhook(of("silent")))  # the whole list: there was nothing else
    assert by_product(world)[""].state == "resolved"
    assert by_product(world)["silent"].state == "triggered"
    assert world.ringing == []
    assert len(run.decision["incidents"]) == 2


@pytest.mark.parametrize("common", [{"product": "silent"}, {"severity": "warning"}])
def test_what_is_hidden_rings_nobody_where_all_of_the_group_is_known_not_to(world: World, common: Json) -> None:
    severity = common.get("severity", "critical")
    world.fire(cut(of("silent", severity=severity), commonLabels=common))
    assert world.rung == []


# ---------------------------------------------------------------- resolved, and firing


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_what_fires_counts_and_not_the_groups_word(world: World, status: str) -> None:
    run = world.fire(webhook(alert("one"), over(alert("two"))) | {"status": status})
    assert world.rung == [SATO]
    world.fire(webhook(over(alert("one")), over(alert("two"))) | {"status": status})
    assert world.incident(run).state == "resolved"
    assert world.ringing == []


def test_a_resolution_of_alerts_without_a_status_of_their_own_is_one(world: World) -> None:
    run = world.fire()
    bare = {name: value for name, value in alert("shop alert").items() if name != "status"}
    world.fire(webhook(bare) | {"status": "resolved"})
    assert world.incident(run).state == "resolved"


def test_a_firing_list_of_which_nothing_fires_rings_nobody(world: World) -> None:
    run = world.fire(webhook(over(alert("one"))))
    assert run.decision["action"] == "none"
    assert world.rung == []


def test_a_resolution_in_the_same_minute_as_a_repeat_is_heard(world: World) -> None:
    """What it says is kept although the timeline has the line already: fired anew, the alert is new."""
    one, two = alert("one"), alert("two")
    run = world.fire(webhook(one, two))
    world.hears(world.last_call, "1")
    world.fire(webhook(one, two))
    world.fire(webhook(one, over(two)))
    assert list(world.incident(run).known) == ["fingerprint of one"]
    world.passes(30 * MINUTE)
    world.fire(webhook(one, two))
    assert world.rung == [SATO, SATO]


# ---------------------------------------------------------------- several products


@pytest.mark.parametrize("first", ["silent", "shop"])
def test_every_product_of_a_group_counts_whichever_comes_first(world: World, first: str) -> None:
    alerts = sorted([of("silent"), of("shop")], key=lambda one: one["labels"]["product"] != first)
    run = world.fire(webhook(*alerts))
    assert world.rung == [SATO]
    assert "shop" in world.last_call.twiml
    assert run.decision["page"]["call"]
    world.fire(webhook(*map(over, alerts), status="resolved"))
    assert {one.state for one in by_product(world).values()} == {"resolved"}
    assert world.ringing == []


def test_every_policy_of_a_group_rings(world: World) -> None:
    world.roster({"POLICY#other": {"steps": [{"responder": "suzuki"}]}})
    world.fire(webhook(of("shop"), of(OF_OTHERS)))
    assert sorted(world.ringing) == [SATO, SUZUKI]
    assert world.page("default").incidents == {by_product(world)["shop"].id}
    assert world.page("other").incidents == {by_product(world)[OF_OTHERS].id}
    world.fire(webhook(over(of("shop")), of(OF_OTHERS)))
    assert world.ringing == [SUZUKI]
    world.fire(webhook(over(of(OF_OTHERS)), status="resolved"))
    assert world.ringing == []


def test_a_policy_rings_when_its_product_joins_later(world: World) -> None:
    world.roster({"POLICY#other": {"steps": [{"responder": "suzuki"}]}})
    world.fire(webhook(of("silent")))
    assert world.rung == []
    world.fire(webhook(of("silent"), of(OF_OTHERS)))
    assert world.rung == [SUZUKI]
    world.fire(webhook(of("silent"), of(OF_OTHERS), of("shop")))
    assert world.rung == [SUZUKI, SATO]


def test_products_of_one_policy_ring_one_phone(world: World) -> None:
    world.fire(webhook(*[of(f"product {number}") for number in range(5)]))
    assert world.rung == [SATO]
    world.hears(world.last_call, "1")
    assert [one.state for one in by_product(world).values()] == ["acknowledged"] * 5


def test_each_product_has_its_own_channel_and_language(world: World) -> None:
    world.roster({"PRODUCT#shop": {"slack_channel": "C0SHOP", "language": "ja"}})
    world.fire(webhook(of("search"), of("shop")))
    found = by_product(world)
    assert (found["shop"].channel, found["shop"].language) == ("C0SHOP", "ja")
    assert found["search"].channel != "C0SHOP"


def test_a_policy_whose_execution_cannot_be_started_rings_after_a_minute(world: World) -> None:
    world.roster({"POLICY#other": {"steps": [{"responder": "suzuki"}]}})

    def refuses(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "StartExecution")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "start", refuses)
        world.fire(webhook(of("shop"), of(OF_OTHERS)))
    assert world.ringing == [SATO]
    world.passes(MINUTE)
    world.reconcile()
    assert SUZUKI in world.rung


@pytest.mark.parametrize("at_request", range(8))
def test_wherever_the_step_dies_every_policy_rings_once_in_the_end(world: World, at_request: int) -> None:
    world.roster({"POLICY#other": {"steps": [{"responder": "suzuki"}]}})
    hook = webhook(of("shop"), of(OF_OTHERS))
    with world.dynamo.dies(at_request, answered=True):
        world.receive(hook, execution="one")
    world.clock.time += 2500
    world.fire(hook, execution="one")
    world.run_started()
    assert sorted(world.rung) == [SATO, SUZUKI]
    assert len(incidents.opened_since(world.table, 0, now=world.clock.now())) == 2


def test_a_resolved_alert_decides_nothing(world: World) -> None:
    world.fire(webhook(over(of(OF_OTHERS)), of("silent"), of("shop", severity="warning")))
    assert world.rung == []
    assert sorted(by_product(world)) == ["shop", "silent"]


@pytest.mark.parametrize("product", ["", "shop"])
def test_a_resolution_that_overtakes_the_firing_of_several_products_rings_nobody(world: World, product: str) -> None:
    alerts = [of(product), of("search")]
    world.fire(webhook(*map(over, alerts), status="resolved"), received_at=START + 1000)
    world.fire(webhook(*alerts), received_at=START)
    assert {one.state for one in by_product(world).values()} == {"resolved"}
    assert world.rung == []


# ---------------------------------------------------------------- tests


def a_test(name: str, product: str = "") -> Json:
    return alert(name, labels={"oncall_test": "true"} | ({"product": product} if product else {}))


@pytest.mark.parametrize(
    ("hook", "is_test"),
    [
        (webhook(a_test("one"), a_test("two")), True),
        (webhook(a_test("one"), alert("two")), False),
        (webhook(*[a_test(f"{number}") for number in range(12)], alert("real")), False),
        (webhook(over(a_test("one")), alert("two")), False),
        (webhook(a_test("one"), over(alert("two"))), True),
        (cut(a_test("one")), False),
        (cut(a_test("one"), commonLabels={"oncall_test": "true"}), True),
    ],
    ids=["all", "one", "beyond what is kept", "resolved", "the real one is resolved", "cut", "cut, all"],
)
def test_a_test_is_one_only_if_all_that_fires_is(world: World, hook: Json, *, is_test: bool) -> None:
    run = world.fire(hook)
    assert world.incident(run).is_test is is_test
    assert ("only a test" in world.last_call.twiml) is is_test


@pytest.mark.parametrize("joins", ["the incident", "its page", "as another product"])
def test_a_call_for_what_joined_a_test_does_not_call_it_a_test(world: World, joins: str) -> None:
    world.fire(webhook(a_test("one")))
    assert "only a test" in world.last_call.twiml
    match joins:
        case "the incident":
            world.fire(webhook(a_test("one"), alert("real")))
        case "its page":
            world.fire(webhook(alert("real"), key="another"))
        case _:
            world.fire(webhook(a_test("one"), of("shop", "real")))
    world.twilio_says(world.last_call, "no-answer")
    assert world.rung == [SATO, SUZUKI]
    assert "only a test" not in world.last_call.twiml
    assert "only a test" not in world.hears(world.last_call, "3")


# ---------------------------------------------------------------- known until said to be resolved


def test_a_part_and_then_all_of_what_was_known_rings_nobody_who_has_it(world: World) -> None:
    alerts = [alert(f"host {number}") for number in range(3)]
    run = world.fire(webhook(*alerts))
    takes(world)
    world.fire(webhook(alerts[0]))
    assert (world.incident(run).firing, world.incident(run).at_least) == (1, True)
    world.passes(5 * MINUTE)
    world.fire(webhook(*alerts))
    assert world.rung == [SATO]
    assert world.incident(run).state == "acknowledged"
    assert world.incident(run).at_least is False


def test_a_warning_that_is_all_that_is_said_leaves_a_critical_incident_so(world: World) -> None:
    warning, critical = alert("one", severity="warning"), alert("two")
    run = world.fire(webhook(warning, critical))
    takes(world)
    world.fire(webhook(warning))
    assert world.incident(run).severity == "critical"
    world.fire(webhook(warning, critical))
    assert world.rung == [SATO]
    world.fire(webhook(warning, over(critical)))
    assert world.incident(run).severity == "warning"


def test_what_is_left_out_is_not_resolved_by_the_rest(world: World) -> None:
    one, two = of("shop", "one"), of("shop", "two")
    run = world.fire(webhook(one, two))
    world.fire(webhook(over(one), of(OF_OTHERS)))  # two was not said to be resolved
    assert world.incident(run).state == "triggered"
    assert SATO in world.ringing
    world.fire(webhook(over(two), of(OF_OTHERS)))
    assert by_product(world)["shop"].state == "resolved"


def test_an_incident_knows_so_many_and_what_is_beyond_is_told_by_its_start(world: World) -> None:
    """An item of the table holds 400 KB; a webhook that is not cut has a few hundred alerts."""
    run = world.fire()
    takes(world)
    began = at(START - 60_000).isoformat()
    for batch in range(0, MOST_KNOWN + 200, 300):
        alerts = [
            alert("x", fingerprint=f"{number:016x}", annotations={}, startsAt=began)
            for number in range(batch, batch + 300)
        ]
        world.fire(webhook(*alerts))
        world.clock.time += 1
    incident = world.incident(run)
    assert len(incident.known) == MOST_KNOWN
    assert incident.unseen
    world.takes_in_slack(incident.id)
    world.passes(HOUR)
    calls = len(world.rung)
    world.fire(webhook(*[alert("x", fingerprint=f"{number:016x}", startsAt=began) for number in range(5)]))
    assert len(world.rung) == calls


def test_a_fingerprint_of_any_length_fits_into_the_table(world: World) -> None:
    world.fire(webhook(*[alert("x", fingerprint=f"{number} " + "x" * 5_000) for number in range(300)]))
    assert world.rung == [SATO]


def test_while_some_are_beyond_what_an_incident_knows_it_ends_with_its_group_alone(world: World) -> None:
    def numbered(first: int, last: int) -> list[Json]:
        return [of("shop", "x", fingerprint=f"{number:016x}", annotations={}) for number in range(first, last)]

    run = world.fire(webhook(*numbered(0, 600)))
    world.fire(webhook(*numbered(600, MOST_KNOWN + 100)))
    for first in range(0, MOST_KNOWN, 500):  # all but a hundred
        world.fire(webhook(*map(over, numbered(first, first + 500)), of(OF_OTHERS)))
    assert world.incident(run).state == "triggered"
    assert SATO in world.ringing
    world.fire(webhook(of(OF_OTHERS)))
    assert world.incident(run).state == "triggered"
    world.fire(webhook(over(of(OF_OTHERS)), status="resolved"))
    assert {one.state for one in by_product(world).values()} == {"resolved"}


# ---------------------------------------------------------------- two words at one moment


@pytest.mark.parametrize("first", ["resolved", "forgotten"])
def test_what_joins_while_all_that_was_known_is_resolved_keeps_it_open(world: World, first: str) -> None:
    one, two, other = of("shop", "one"), of("shop", "two"), of(OF_OTHERS)
    run = world.fire(webhook(one, other))
    if first == "forgotten":  # resolved in a list that was cut; a whole one that does not name it ends it
        world.fire(cut(over(one), other))
        one = other
    said = webhook(over(one), other) if first == "resolved" else webhook(other)
    moment = world.clock.now()
    reads = sum(name == "GetItem" for name in world.dynamo.requests)
    assert reads
    world.dynamo.before("TransactWriteItems", lambda: world.receive(webhook(two, other), received_at=moment))
    world.fire(said, received_at=moment)
    assert list(world.incident(run).known) == ["fingerprint of two"]
    assert world.incident(run).state == "triggered"
    assert SATO in world.ringing


@pytest.mark.parametrize("at_request", range(12))
def test_wherever_a_step_dies_that_ends_a_product_its_phone_is_silent_in_the_end(world: World, at_request: int) -> None:
    one, other = of("shop"), of(OF_OTHERS)
    run = world.fire(webhook(one, other))
    world.fire(cut(over(one), other))
    with world.dynamo.dies(at_request, answered=True):
        world.receive(webhook(other), execution="whole")
    world.fire(webhook(other), execution="whole")
    assert world.incident(run).state == "resolved"
    assert not world.page("default").is_open


@pytest.mark.parametrize("at_request", range(10))
def test_a_step_that_is_tried_again_tells_of_each_incident_of_a_page(world: World, at_request: int) -> None:
    hook = webhook(of("shop"), of("search"))
    with world.dynamo.dies(at_request, answered=True):
        world.receive(hook, execution="one")
    again = world.receive(hook, execution="one")
    assert sorted(again.decision["incidents"]) == sorted(one.id for one in by_product(world).values())


# ---------------------------------------------------------------- a roster that changes meanwhile


def test_a_product_that_was_for_slack_alone_rings_at_the_next_word_once_the_roster_says_so(world: World) -> None:
    run = world.fire(webhook(of("silent")))
    assert world.rung == []
    world.roster({"PRODUCT#silent": {"policy": "other"}, "POLICY#other": {"steps": [{"responder": "suzuki"}]}})
    world.fire(webhook(of("silent")))
    assert world.rung == [SUZUKI]
    world.fire(webhook(over(of("silent")), status="resolved"))
    assert world.incident(run).state == "resolved"
    assert world.ringing == []


@pytest.mark.parametrize("when", ["before it rings", "while it rings"])
def test_an_incident_whose_policy_and_product_are_gone_rings_everyone(world: World, when: str) -> None:
    gone = {"POLICY#other": None, "PRODUCT#elsewhere": None}
    warning = of(OF_OTHERS, severity="warning")
    run = world.fire(webhook(warning if when == "before it rings" else of(OF_OTHERS)))
    world.roster(gone)
    if when == "before it rings":
        world.fire(webhook(warning, of(OF_OTHERS, "worse")))
    else:
        world.twilio_says(world.last_call, "no-answer")
    assert world.ringing
    world.fire(webhook(over(of(OF_OTHERS)), status="resolved"))
    assert world.incident(run).state == "resolved"
    assert world.ringing == []


@pytest.mark.parametrize("name", ["the same alert", "another alert"])
def test_an_alert_whose_severity_rises_rings_who_was_only_told(world: World, name: str) -> None:
    fingerprint = "one" if name == "the same alert" else "two"
    run = world.fire(webhook(alert("one", severity="warning", fingerprint="one")))
    takes_it = world.takes_in_slack(world.incident(run).id)
    assert takes_it
    world.passes(HOUR)
    world.fire(webhook(alert("one", severity="critical", fingerprint=fingerprint)))
    assert world.rung == [SATO]


# ---------------------------------------------------------------- severities


def test_a_severity_that_means_nothing_here_opens_nothing(world: World) -> None:
    world.roster({"META": {"severities": {"info": "none", "low": "warning"}}})
    assert world.fire(webhook(alert("one", severity="info"))).decision["action"] == "none"
    assert world.fire(webhook(alert("two", severity=" Low "))).decision["action"] == "alert"
    assert world.fire(webhook(alert("one", severity="info"), key="other")).decision["incidents"] == []
    assert world.rung == []
    world.fire(webhook(alert("one", severity="info"), alert("three", severity="whatever"), key="other"))
    assert world.rung == [SATO]


# ---------------------------------------------------------------- whatever is said, in whatever order

NAMES = ("a", "b", "c", "d")
words = st.tuples(
    st.frozensets(st.sampled_from(NAMES)),  # what fires then
    st.integers(1, 4),  # how many alerts the list shows
    st.booleans(),  # whether Alertmanager has just been restarted: it says a part
    st.booleans(),  # whether somebody takes what rings
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(words, min_size=1, max_size=7))
def test_whoever_fires_is_told_and_whoever_has_it_is_not_rung_again(
    dynamodb: Any, said: list[tuple[frozenset[str], int, bool, bool]]
) -> None:
    """A model of Alertmanager: what resolves is said once, lists are cut, and after a restart a part is said."""
    world = World(dynamodb)
    began: dict[str, int] = {}
    told: set[tuple[str, int]] = set()  # the episodes that somebody was shown
    for firing, most, restarted, is_taken in said:
        now = world.clock.now()
        ended = {name: began.pop(name) for name in list(began) if name not in firing}
        fresh = {name for name in firing if name not in began}
        began |= dict.fromkeys(fresh, now - 1000)
        active = [alert(name, startsAt=at(began[name]).isoformat()) for name in sorted(firing)]
        resolved = [over(alert(name, startsAt=at(start).isoformat())) for name, start in sorted(ended.items())]
        listed = active[:1] if restarted and active else [*active, *resolved]
        shown, left = listed[:most], max(0, len(listed) - most)
        if not shown:
            continue
        calls = len(world.rung)
        fires = any(one["status"] == "firing" for one in shown)
        was = open_incident(world)
        world.fire(webhook(*shown, truncatedAlerts=left) | {"status": "firing" if fires else "resolved"})
        seen = {
            (one["labels"]["alertname"], began[one["labels"]["alertname"]])
            for one in shown
            if one["status"] == "firing"
        }
        now_open = open_incident(world)
        if fires:
            assert now_open, "what fires has an incident that is open"
            known = set(now_open.known)
            assert {f"fingerprint of {name}" for name, _ in seen} <= known
            assert now_open.state == "acknowledged" or rings(world), "and it rings, unless somebody has it"
        elif left and was:
            assert now_open, "a list that was cut resolves nothing"
        elif not left:
            assert not now_open, "a whole list in which nothing fires ends it"
            assert not rings(world)
        if was and was.state == "acknowledged" and now_open and seen <= told:
            assert len(world.rung) == calls, "nobody is rung for what was known and taken"
        if was and was.state == "acknowledged" and any(name in fresh for name, _ in seen):
            assert len(world.rung) == calls + 1, "what is new rings once"
        told |= seen
        if is_taken and rings(world):
            world.hears(world.last_call, "1")
        world.passes(30 * MINUTE)


def rings(world: World) -> bool:
    page = pages.read(world.table, "default")
    return bool(page and page.is_open)


def open_incident(world: World) -> Incident | None:
    found = incidents.open_since(world.table, 0, now=world.clock.now())
    assert len(found) <= 1, "one product, one open incident"
    return incidents.read(world.table, found[0]) if found else None
