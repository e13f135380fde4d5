"""What other senders than Alertmanager are answered, and what becomes of their events in the table."""

import json
from typing import Any

import pytest

from oncall import events
from oncall.alerts import keys
from oncall.alerts.keys import Key
from oncall.clock import at
from oncall.events import Reply
from oncall.table import Put
from tests.builders import GATEWAY, World

ROUTING = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


class Senders:
    """A world with keys, and the executions that their events start."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.started = world.started
        self.make(ROUTING, Key("shop-pagerduty", product="elsewhere"))
        self.make(OTHER, Key("other"))

    def make(self, key: str, meant: Key) -> None:
        """Somebody makes a key."""
        item = keys.item(key, meant, created_at=at(self.world.clock.now()), created_by="me")
        self.world.table.transact([Put(item)])

    def enqueue(self, action: str = "trigger", *, key: str = ROUTING, **more: Any) -> Reply:
        """An event of PagerDuty's protocol."""
        payload = {"summary": "DISK at 99% on web-1", "severity": "critical", "source": "web-1"}
        body = {"routing_key": key, "event_action": action, **more}
        if action == "trigger":
            body = {"payload": payload, **body}
        return events.enqueue(self.world.services, GATEWAY, json.dumps(body))

    def post(self, source: str, payload: Any, *, key: str | None = OTHER) -> Reply:
        """An event of a source."""
        body = payload if isinstance(payload, str) else json.dumps(payload)
        return events.receive(self.world.services, GATEWAY, source, key, body)

    def decide(self) -> Any:
        """The executions that were started run their first step; returns the last one's run."""
        self.world.clock.sleep(1)
        run = None
        while self.started:
            name, given = self.started.pop(0)
            run = self.world.decide(given, execution=name)
        assert run is not None
        return run


@pytest.fixture
def senders(world: World) -> Senders:
    return Senders(world)


# PagerDuty's protocol.


def test_a_trigger_rings_whoever_its_key_names_and_its_resolve_ends_it(senders: Senders, world: World) -> None:
    reply = senders.enqueue(dedup_key="srv01/disk")
    assert (reply.status, reply.body) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "srv01/disk"},
    )
    fired = senders.decide()
    incident = world.incident(fired)
    assert (incident.product, incident.policy, incident.summary) == (
        "elsewhere",
        "other",
        "DISK at 99% on web-1",
    )
    assert fired.decision["action"] == "page"
    assert senders.enqueue("resolve", dedup_key="srv01/disk").status == 202
    senders.decide()
    assert world.incident(fired).state == "resolved"


def test_a_trigger_without_a_dedup_key_gets_one_that_resolves_it(senders: Senders, world: World) -> None:
    dedup = senders.enqueue().body["dedup_key"]
    fired = senders.decide()
    senders.enqueue("resolve", dedup_key=dedup)
    senders.decide()
    assert world.incident(fired).state == "resolved"


def test_an_acknowledge_stops_the_phones_and_says_who_said_so(senders: Senders, world: World) -> None:
    senders.enqueue(dedup_key="a")
    fired = senders.decide()
    senders.enqueue("acknowledge", dedup_key="a")
    acknowledged = senders.decide()
    assert acknowledged.decision["action"] == "notify"
    incident = world.incident(fired)
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "shop-pagerduty")
    again = world.decide(json.loads(json.dumps({**_acknowledgement(senders), "gateway": GATEWAY})))
    assert again.decision["action"] == "notify"


def _acknowledgement(senders: Senders) -> dict[str, Any]:
    senders.enqueue("acknowledge", dedup_key="a")
    return senders.started.pop()[1]


def test_an_acknowledge_takes_its_own_incident_alone_off_a_page_of_several(senders: Senders, world: World) -> None:
    """Whoever has one key silences nothing of another's."""
    senders.make("3" * 32, Key("third", product="elsewhere"))
    senders.enqueue(dedup_key="a")
    first = senders.decide()
    senders.enqueue(key="3" * 32, dedup_key="a")
    second = senders.decide()
    assert first.decision["incidents"] != second.decision["incidents"]
    senders.enqueue("acknowledge", dedup_key="a")
    senders.decide()
    assert world.incident(first).state == "acknowledged"
    assert world.incident(second).state == "triggered"


@pytest.mark.parametrize("word", ["acknowledge", "resolve"])
def test_what_never_fired_is_nothing(senders: Senders, word: str) -> None:
    assert senders.enqueue(word, dedup_key="unheard of").status == 202
    assert senders.decide().decision["action"] == "none"


def test_another_key_resolves_nothing_and_a_new_key_of_the_same_name_does(senders: Senders, world: World) -> None:
    senders.enqueue(dedup_key="a")
    fired = senders.decide()
    senders.enqueue("resolve", key=OTHER, dedup_key="a")
    senders.post("generic", {"dedup": "a", "status": "resolved"}, key=ROUTING)
    senders.decide()
    assert world.incident(fired).state == "triggered"
    senders.make("2" * 32, Key("shop-pagerduty", product="elsewhere"))
    senders.enqueue("resolve", key="2" * 32, dedup_key="a")
    senders.decide()
    assert world.incident(fired).state == "resolved"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"event_action": "change"}, "event_action"),
        ({"event_action": ["trigger"]}, "event_action"),
        ({"payload": None}, "payload"),
        ({"payload": {"summary": " ", "severity": "critical", "source": "x"}}, "payload.summary"),
        ({"payload": {"summary": "x", "severity": "critical"}}, "payload.source"),
        ({"payload": {"summary": "x", "severity": "fatal", "source": "x"}}, "payload.severity"),
        ({"payload": {"summary": "x", "severity": "info", "source": "x", "custom_details": 7}}, "custom_details"),
        ({"dedup_key": "x" * 256}, "dedup_key"),
        ({"dedup_key": 7}, "dedup_key"),
        ({"event_action": "resolve"}, "dedup_key"),
        ({"event_action": "acknowledge", "dedup_key": ""}, "dedup_key"),
    ],
)
def test_what_pagerduty_refuses_is_refused_and_says_why(senders: Senders, change: dict[str, Any], wrong: str) -> None:
    reply = senders.enqueue(**change)
    assert (reply.status, reply.body["status"], reply.is_refused) == (400, "invalid event", True)
    assert any(wrong in error for error in reply.body["errors"])
    assert senders.started == []


@pytest.mark.parametrize("body", ["", "{", "[]", "7", '"x"', "[" * 100_000])
def test_what_is_no_object_is_no_event(senders: Senders, body: str) -> None:
    reply = events.enqueue(senders.world.services, GATEWAY, body)
    assert (reply.status, reply.body["errors"]) == (400, ["JSON parse error"])


@pytest.mark.parametrize("key", ["", "unknown", "0" * 32, "é", "x" * 5_000])
def test_an_unknown_routing_key_opens_nothing(senders: Senders, key: str) -> None:
    reply = senders.enqueue(key=key)
    assert (reply.status, reply.is_unknown, reply.is_refused) == (400, True, False)
    assert senders.started == []


def test_an_event_of_512_kb_is_taken_and_a_larger_one_is_not(senders: Senders, world: World) -> None:
    payload = {"summary": "x", "severity": "critical", "source": "x"}
    details = {f"name {number}": "😀" * 1000 for number in range(40)}
    assert senders.enqueue(payload={**payload, "custom_details": details}).status == 202
    assert world.incident(senders.decide()).alerts[0].labels["name 0"].startswith("😀")
    assert senders.enqueue(payload={**payload, "custom_details": {"x": "y" * 512 * 1024}}).status == 413


def test_a_thousand_events_in_a_minute_are_taken_and_the_next_is_asked_to_come_again(senders: Senders) -> None:
    assert {senders.enqueue(dedup_key=str(number)).status for number in range(keys.LIMIT)} == {202}
    assert senders.enqueue().status == 429
    assert senders.post("generic", {"summary": "another key's"}).status == 202
    senders.world.clock.sleep(60)
    assert senders.enqueue().status == 202


# Sources.


def test_our_own_form_rings_and_resolves(senders: Senders, world: World) -> None:
    payload = {"summary": "the queue is full", "severity": "critical", "product": "elsewhere", "dedup": "queue"}
    reply = senders.post("generic", {**payload, "details": {"length": 9000}, "link": "https://example.com/q"})
    assert (reply.status, reply.body["dedup"]) == (202, "queue")
    fired = senders.decide()
    incident = world.incident(fired)
    assert (incident.summary, incident.product) == ("the queue is full", "elsewhere")
    assert incident.alerts[0].labels["length"] == "9000"
    assert incident.external_url == "https://example.com/q"
    senders.post("generic", {"dedup": "queue", "status": "resolved"})
    senders.decide()
    assert world.incident(fired).state == "resolved"


def test_an_event_twice_is_one_incident_and_one_that_was_overtaken_changes_nothing(
    senders: Senders, world: World
) -> None:
    senders.post("generic", {"summary": "full", "dedup": "q"})
    older = senders.started[0]
    fired = senders.decide()
    senders.post("generic", {"summary": "full", "dedup": "q"})
    assert senders.decide().decision["incidents"] == fired.decision["incidents"]
    senders.post("generic", {"dedup": "q", "status": "ok"})
    senders.decide()
    world.decide(older[1], execution="late")
    assert world.incident(fired).state == "resolved"
    assert len(world.telephone.ringing) == 0


def test_a_warning_is_for_slack_alone(senders: Senders) -> None:
    senders.post("generic", {"summary": "slow", "severity": "warning"})
    assert senders.decide().decision["action"] == "alert"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({}, "summary"),
        ({"summary": ""}, "summary"),
        ({"summary": {"en": "x"}}, "summary"),
        ({"status": "resolved"}, "dedup"),
        ({"summary": "x", "status": "perhaps"}, "status"),
        ({"summary": "x", "details": "many"}, "details"),
    ],
)
def test_what_is_not_our_form_says_why(senders: Senders, payload: dict[str, Any], why: str) -> None:
    reply = senders.post("generic", payload)
    assert (reply.status, reply.is_refused) == (400, True)
    assert why in reply.body["reason"]
    assert senders.started == []


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "[" * 100_000])
def test_a_body_that_is_no_object_is_refused(senders: Senders, body: str) -> None:
    assert senders.post("generic", body).status == 400


def test_a_source_that_there_is_not_is_named(senders: Senders) -> None:
    reply = senders.post("nagios", {})
    assert reply.status == 404
    assert "generic" in reply.body["message"]


def test_a_key_opens_what_it_was_made_for_and_nothing_else(senders: Senders) -> None:
    senders.make("g" * 32, Key("grafana", source="grafana"))
    senders.make("h" * 32, Key("beats", heartbeat="backup"))
    assert senders.post("generic", {"summary": "x"}, key="g" * 32).status == 403
    assert senders.enqueue(key="g" * 32).status == 400
    assert senders.post("generic", {"summary": "x"}, key="h" * 32).status == 403
    assert senders.enqueue(key="h" * 32).status == 400
    assert events.beat(senders.world.services, GATEWAY, OTHER, "beat").status == 403
    assert senders.post("generic", {"summary": "x"}, key="").status == 403
    assert senders.started == []


def test_no_key_is_in_the_table(senders: Senders, world: World) -> None:
    senders.enqueue()
    everything = world.dynamo.client.scan(TableName=world.table.name)["Items"]
    assert ROUTING not in json.dumps(everything, default=str)
    assert ROUTING not in json.dumps(senders.started)


def test_grafanas_webhook_is_its_groups(senders: Senders, world: World) -> None:
    one = {
        "status": "firing",
        "labels": {"alertname": "CPU", "severity": "critical"},
        "annotations": {"summary": "CPU"},
    }
    two = one | {"labels": {"alertname": "RAM", "severity": "critical"}, "fingerprint": "2"}
    payload = {"version": "1", "orgId": 1, "groupKey": "{}:{}", "status": "firing", "alerts": [one, two]}
    senders.make("g" * 32, Key("grafana", product="elsewhere", source="grafana"))
    assert senders.post("grafana", payload, key="g" * 32).status == 202
    fired = senders.decide()
    incident = world.incident(fired)
    assert (incident.firing, incident.product, incident.sender) == (2, "elsewhere", "grafana")
    # Alertmanager's token has nothing to say of it, whatever the group's key is.
    world.receive(
        {**payload, "status": "resolved", "alerts": [{**one, "status": "resolved"}, {**two, "status": "resolved"}]}
    )
    assert world.incident(fired).state == "triggered"
    over = {**payload, "status": "resolved", "alerts": [{**one, "status": "resolved"}, {**two, "status": "resolved"}]}
    senders.post("grafana", over, key="g" * 32)
    senders.decide()
    assert world.incident(fired).state == "resolved"


def test_a_group_of_a_thousand_alerts_fits_into_an_execution_and_says_what_was_left_out(
    senders: Senders, world: World
) -> None:
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "😀" * 500, "severity": "warning", "n": str(number)},
            "annotations": {"description": "😀" * 2000},
            "generatorURL": "https://example.com/" + "x" * 900,
        }
        for number in range(1_000)
    ]
    payload = {
        "version": "1",
        "orgId": 1,
        "groupKey": "g",
        "status": "firing",
        "commonLabels": {"severity": "warning"},
        "alerts": alerts,
    }
    assert senders.post("grafana", payload).status == 202
    incident = world.incident(senders.decide())
    assert (incident.firing, incident.at_least) == (300, True)
    assert incident.severity == "warning", "Grafana says what all have in common"


def test_a_mapping_of_the_roster_reads_a_source_of_ones_own(senders: Senders, world: World) -> None:
    fields = {
        "summary": "join(': ', [host, check])",
        "dedup": "id",
        "status": "state == 'ok' && 'resolved' || 'firing'",
        "severity": "level",
        "product": "team",
        "details": "{queue: queue.name}",
    }
    world.roster({"SOURCE#my-tool": {"fields": fields}})
    payload = {"host": "web-1", "check": "disk", "id": 7, "state": "bad", "level": "critical", "team": "elsewhere"}
    reply = senders.post("my-tool", {**payload, "queue": {"name": "q"}})
    assert (reply.status, reply.body["dedup"]) == (202, "7")
    fired = senders.decide()
    incident = world.incident(fired)
    assert (incident.summary, incident.product) == ("web-1: disk", "elsewhere")
    assert incident.alerts[0].labels["queue"] == "q"
    senders.post("my-tool", {**payload, "state": "ok"})
    senders.decide()
    assert world.incident(fired).state == "resolved"
    refused = senders.post("my-tool", {"host": 7, "check": None})
    assert refused.status == 400
    assert "summary" in refused.body["reason"]
