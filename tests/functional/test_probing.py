"""The probe: an alert of our own that goes the whole way, wakes nobody, and says what is broken when it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from oncall import incidents, pages, reconciler
from oncall.errors import ConfigurationError
from oncall.phone import probe_number
from oncall.probe import record as probes
from oncall.probe import run as probing
from oncall.probe.rules import POLICY as PROBE_POLICY
from oncall.probe.run import NotAcceptedError, Outcome
from oncall.services import Services
from tests.builders import AUTOMATIC, CHANNEL, SATO, Call, World, webhook

DAY = 86_400


def presses(world: World, call: Call) -> None:
    """The automatic number: answers after two seconds, and presses 1 three seconds later."""
    world.passes(2)
    world.twilio_says(call, "in-progress")
    world.passes(3)
    world.hears(call, "1")
    world.twilio_says(call, "completed")


@dataclass
class Probe:
    """The function Probe on the world; the automatic number does `line` with each of its calls."""

    world: World
    line: Callable[[World, Call], object] = presses
    refuses: Exception | None = None
    slack_works: bool = True
    meanwhile: list[Callable[[], object]] = field(default_factory=list)  # happens while the probe waits
    posted: list[Mapping[str, Any]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def post(self, hook: Mapping[str, Any]) -> str:
        self.posted.append(hook)
        if self.refuses:
            raise self.refuses
        self.world.clock.sleep(0.5)
        return self.world.fire(json.loads(json.dumps(hook))).name

    def sleep(self, seconds: float) -> None:
        self.world.passes(seconds)
        while self.meanwhile:
            self.meanwhile.pop(0)()
        for call in self.world.telephone.ringing:
            if call.to == AUTOMATIC and call.sid not in self._seen:
                self._seen.add(call.sid)
                self.line(self.world, call)

    def invoke(self, *, Payload: str, **_: Any) -> None:  # noqa: N803  as boto3 has it
        """Lambda: SlackNotification, asked to bring Slack up to date."""
        if self.slack_works:
            self.world.project(*json.loads(Payload)["incidents"])

    @property
    def services(self) -> Services:
        there = self.world.services
        return replace(there, sleep=self.sleep, client=lambda name: self if name == "lambda" else there.client(name))

    def run(self, name: str = "run-1", owner: str = "request-1") -> Outcome | None:
        outcome = probing.run(self.services, name, owner=owner, post=self.post)
        self.world.settles_down()
        return outcome

    @property
    def incident(self) -> Any:
        """The probe's only incident."""
        world = self.world
        found = [
            incidents.read(world.table, one) for one in incidents.opened_since(world.table, 0, now=world.clock.now())
        ]
        (ours,) = [one for one in found if one and one.is_probe]
        return ours


@pytest.fixture
def probe(world: World, monkeypatch: pytest.MonkeyPatch) -> Probe:
    monkeypatch.setattr(probing, "EVERY_SECONDS", 5)  # moto's table takes its time
    return Probe(world)


# ---------------------------------------------------------------- all is well


def test_it_goes_the_whole_way_and_says_how_long_each_hop_took(world: World, probe: Probe) -> None:
    outcome = probe.run()
    assert outcome is not None
    assert (outcome.problem, outcome.slack) == ("", "")
    assert list(outcome.hops) == ["accepted", "opened", "ringing", "answered", "acknowledged", "resolved", "slack"]
    assert sorted(outcome.hops.values()) == list(outcome.hops.values())
    assert outcome.hops["acknowledged"] - outcome.hops["answered"] == 3_000
    assert world.rung == [AUTOMATIC], "nobody else is rung"
    assert world.topic.published == []
    assert probe.incident.state == "resolved"
    run = probes.last(world.table)
    assert run is not None
    assert (run["problem"], run["hops"]) == ("", outcome.hops)


def test_hops_come_in_their_order_when_the_number_answers_before_the_ring_is_written_down(
    world: World, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = incidents.timeline
    monkeypatch.setattr(incidents, "timeline", lambda *of: [one for one in read(*of) if one.kind != "ringing"])
    seen: list[list[str]] = []

    def key(call: Call) -> None:
        seen.append(list((probes.last(world.table) or {})["hops"]))
        world.hears(call, "1")
        world.twilio_says(call, "completed")

    def answers(world: World, call: Call) -> None:
        world.passes(2)
        world.twilio_says(call, "in-progress")
        probe.meanwhile.append(lambda: key(call))

    probe.line = answers
    outcome = probe.run()
    assert outcome is not None
    assert seen == [["accepted", "opened", "ringing", "answered"]]
    assert list(outcome.hops)[2:5] == ["ringing", "answered", "acknowledged"]


def test_a_key_proves_an_answer_that_nobody_has_told_of_yet(probe: Probe) -> None:
    probe.line = lambda world, call: world.hears(call, "1")
    outcome = probe.run()
    assert outcome is not None
    assert (outcome.problem, outcome.slack) == ("", "")
    assert list(outcome.hops) == ["accepted", "opened", "ringing", "answered", "acknowledged", "resolved", "slack"]
    assert outcome.hops["answered"] == outcome.hops["acknowledged"]


def test_it_counts_in_no_report(probe: Probe) -> None:
    probe.run()
    assert probe.incident.is_test


def test_slack_shows_one_quiet_line_when_it_is_over(world: World, probe: Probe) -> None:
    def line(world: World, call: Call) -> None:
        world.project(*world.slack_asked)
        presses(world, call)

    probe.line = line
    probe.run()
    world.project(*world.slack_asked)
    (message,) = world.slack.messages
    assert (message.channel, message.thread_ts, message.edits) == (CHANNEL, None, 0)
    assert message.text.startswith("✅ On-call probe: an alert rang the test number after ")
    assert [block["type"] for block in message.blocks] == ["context"]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_slack_says_that_it_failed_and_why(probe: Probe, language: Any) -> None:
    probe.world.language = language
    probe.world.telephone.refuses.add(AUTOMATIC)
    probe.run()
    (message,) = probe.world.slack.messages
    assert message.text.startswith("❌")
    assert "Twilio refuses the number" in message.text


def test_it_runs_again_and_again(world: World, probe: Probe) -> None:
    for number in range(3):
        outcome = probe.run(f"run-{number}", f"request-{number}")
        assert outcome is not None
        assert outcome.problem == ""
    assert world.rung == [AUTOMATIC] * 3


# ---------------------------------------------------------------- what can go wrong


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (lambda world, call: world.twilio_says(call, "busy"), "was busy"),
        (lambda world, call: world.twilio_says(call, "no-answer"), "did not answer"),
        (lambda world, call: world.twilio_says(call, "failed"), "the call failed"),
        (lambda world, call: (world.twilio_says(call, "in-progress"), world.twilio_says(call, "completed")), "no key"),
        (lambda world, call: world.twilio_says(call, "in-progress"), "no key was heard"),
        (lambda world, call: (world.hears(call, "2"), world.twilio_says(call, "completed")), "pressed 2"),
        (lambda *_: None, "nothing was heard of it"),
    ],
)
def test_a_number_that_does_not_press_1_is_told_and_rung_no_more(
    world: World, probe: Probe, line: Callable[[World, Call], object], says: str
) -> None:
    probe.line = line
    outcome = probe.run()
    assert outcome is not None
    assert says in outcome.problem
    assert world.topic.subjects == ["the probe failed"]
    assert says in world.topic.published[0]["Message"]
    assert AUTOMATIC not in world.topic.published[0]["Message"]
    assert probe.incident.state == "resolved"
    world.passes(3_600)
    assert world.rung == [AUTOMATIC]
    assert world.ringing == []
    assert world.page(PROBE_POLICY).state == "resolved"
    assert world.topic.subjects == ["the probe failed"], "it is no unanswered page"


def test_a_refused_token_is_told_as_what_it_is(world: World, probe: Probe) -> None:
    probe.refuses = NotAcceptedError("the gateway refuses the bearer token that SSM has (403)")
    outcome = probe.run()
    assert outcome is not None
    assert outcome.hops == {}
    assert "bearer token" in world.topic.published[0]["Message"]
    assert (world.rung, world.slack.messages) == ([], [])


def test_a_missing_token_is_told_as_what_it_is(world: World, probe: Probe) -> None:
    probe.refuses = ConfigurationError("SSM has no parameter /oncall/bearer-token")
    probe.run()
    assert "/oncall/bearer-token" in world.topic.published[0]["Message"]


def test_a_number_that_twilio_refuses_is_told(world: World, probe: Probe) -> None:
    world.telephone.refuses.add(AUTOMATIC)
    outcome = probe.run()
    assert outcome is not None
    assert "Twilio refuses the number" in outcome.problem


def test_while_twilio_is_away_it_fails_and_rings_nobody_afterwards(world: World, probe: Probe) -> None:
    world.telephone.is_away = True
    outcome = probe.run()
    assert outcome is not None
    assert outcome.problem == "Twilio takes no calls"
    assert world.topic.subjects[-1] == "the probe failed"
    world.telephone.is_away = False
    world.passes(3_600)
    assert world.rung == []


def test_slack_being_away_is_no_failure_of_paging_and_is_told(world: World, probe: Probe) -> None:
    probe.slack_works = False
    outcome = probe.run()
    assert outcome is not None
    assert (outcome.problem, outcome.slack) == ("", "Slack took no message within 25 s")
    assert world.topic.subjects == ["the probe does not show in Slack"]


def test_a_channel_that_refuses_is_told_with_slacks_word(world: World, probe: Probe) -> None:
    world.slack.channels.clear()
    outcome = probe.run()
    assert outcome is not None
    assert outcome.slack == "Slack refuses the message (channel_not_found)"


def test_somebody_who_takes_it_does_not_prove_the_number(probe: Probe) -> None:
    probe.line = lambda world, _: world.takes_in_slack(probe.incident.id)
    outcome = probe.run()
    assert outcome is not None
    assert outcome.problem == "Sato acknowledged it, and not the automatic number"


def test_a_webhook_that_is_never_read_is_told_and_rings_nobody_when_it_is(world: World, probe: Probe) -> None:
    late: list[Any] = []

    def accepts(hook: Mapping[str, Any]) -> str:
        late.append((hook, world.clock.now()))
        return "execution-17"

    probe.post = accepts  # type: ignore[method-assign]  # for this one
    outcome = probe.run()
    assert outcome is not None
    assert "look at execution execution-17" in outcome.problem
    ((hook, received_at),) = late
    world.fire(json.loads(json.dumps(hook)), received_at=received_at)
    assert world.rung == []
    assert probe.incident.state == "resolved"
    world.project(probe.incident.id)
    assert "stopped before it began" in world.slack.messages[0].text


# ---------------------------------------------------------------- twice, half, beside others


def test_two_at_once_are_one(world: World, probe: Probe) -> None:
    others: list[Outcome | None] = []
    probe.meanwhile = [lambda: others.append(probe.run("run-2", "request-2"))]
    outcome = probe.run()
    assert outcome is not None
    assert outcome.problem == ""
    assert others == [None]
    refused = probes.read(world.table, "run-2")
    assert refused is not None
    assert refused["problem"] == "another probe is under way"
    assert world.rung == [AUTOMATIC]
    assert probe.run("run-3", "request-3") is not None


def test_the_same_event_delivered_twice_runs_once(world: World, probe: Probe) -> None:
    others: list[Outcome | None] = []
    probe.meanwhile = [lambda: others.append(probe.run("run-1", "request-2"))]
    probe.run()
    others.append(probe.run("run-1", "request-3"))
    assert others == [None, None]
    assert world.rung == [AUTOMATIC]


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 8, 13, 21, 34])
def test_a_run_that_died_is_ended_and_told_when_lambda_tries_it_again(world: World, probe: Probe, at: int) -> None:
    probe.line = lambda *_: None
    with world.dynamo.dies(at, answered=bool(at % 2)):
        probe.run()
    outcome = probe.run()
    run = probes.read(world.table, "run-1")
    assert run is not None
    if outcome is not None:  # otherwise it had been over
        assert world.topic.subjects[-1] == "the probe failed"
    assert run["problem"]
    world.passes(3_600)
    assert world.ringing == []
    assert len(world.rung) <= 2, "the automatic number's two rounds"
    assert set(world.rung) <= {AUTOMATIC}


def test_a_run_that_died_for_good_is_ended_by_the_next_one(world: World, probe: Probe) -> None:
    probe.line = lambda *_: None
    with world.dynamo.dies(40, answered=True):
        probe.run()
    assert probe.run("run-2", "request-2") is None, "it may be at work"
    world.clock.sleep(probes.LONGEST_MS / 1000)
    probe.line = presses
    outcome = probe.run("run-3", "request-3")
    assert outcome is not None
    assert outcome.problem == ""


def test_a_real_page_rings_beside_it_and_neither_joins_the_other(world: World, probe: Probe) -> None:
    real = world.fire(webhook(key="database"))
    assert world.rung == [SATO]
    outcome = probe.run()
    assert outcome is not None
    assert outcome.problem == ""
    assert world.rung == [SATO, AUTOMATIC]
    assert world.page().incidents == {world.incident(real).id}
    assert world.incident(real).state == "triggered"
    world.hears(world.telephone.calls[0], "1")
    assert world.incident(real).acknowledged_by == "Sato"


def test_a_real_page_that_comes_meanwhile_rings_at_once(world: World, probe: Probe) -> None:
    probe.meanwhile = [lambda: world.fire(webhook(key="database"))]
    probe.run()
    assert sorted(world.rung) == [SATO, AUTOMATIC]
    assert world.ringing == [SATO]


def test_a_quiet_window_holds_neither_back(world: World, probe: Probe) -> None:
    world.fire(webhook(key="database"))
    world.hears(world.last_call, "1")
    outcome = probe.run()
    assert outcome is not None
    assert outcome.hops["ringing"] < 5_000
    world.passes(200)
    world.fire(webhook(key="shop"))
    assert world.rung[-1] == SATO, "and the probe's acknowledgement opens no window"


@pytest.mark.parametrize("key", ["shop", "oncall-probe:run-7", f"oncall-probe:{'x' * 3_000}", "oncall-probe:"])
def test_an_alert_that_only_says_that_it_is_the_probes_is_a_real_one(world: World, probe: Probe, key: str) -> None:
    probe.run()
    real = world.fire(webhook(product="oncall-probe") | {"groupKey": key})
    assert world.rung == [AUTOMATIC, SATO]
    assert world.incident(real).policy == "default"
    assert not world.incident(real).is_test


def test_a_roster_can_have_a_product_of_that_name_and_no_policy_of_the_probes(world: World, probe: Probe) -> None:
    world.roster({"PRODUCT#oncall-probe": {"policy": "other"}, f"POLICY#{PROBE_POLICY}": {"rounds": 1}})
    outcome = probe.run()
    assert outcome is not None
    assert outcome.problem == ""
    assert world.rung == [AUTOMATIC]


def test_a_page_of_the_probes_whose_execution_died_rings_nobody_else(world: World, probe: Probe) -> None:
    """Its function died as well: the reconciler goes on with what is there, which is the automatic number alone."""
    probe.line = lambda *_: None
    with world.dynamo.dies(40, answered=True):
        probe.run()
    for run in world.executions.values():
        run.token, run.wake_at = None, None
    for _ in range(10):
        world.passes(600)
        world.reconcile()
    assert set(world.rung) == {AUTOMATIC}
    page = pages.read(world.table, PROBE_POLICY)
    assert page is not None
    assert page.state == "unanswered"


# ---------------------------------------------------------------- it does not run


def test_a_probe_that_does_not_run_is_told_once_a_day_until_it_does(world: World, probe: Probe) -> None:
    probe.run()
    world.clock.sleep(8 * DAY - 60)
    world.reconcile()
    assert world.topic.subjects == []
    for _ in range(3):
        world.clock.sleep(120)
        world.reconcile()
    assert world.topic.subjects == ["the probe does not run"]
    world.clock.sleep(DAY)
    world.reconcile()
    assert len(world.topic.subjects) == 2
    probe.run("run-2", "request-2")
    world.clock.sleep(7 * DAY)
    world.reconcile()
    assert len(world.topic.subjects) == 2


def test_a_schedule_that_was_turned_off_is_not_missed(world: World, probe: Probe) -> None:
    probe.run()
    world.probe_schedule = ""
    world.clock.sleep(30 * DAY)
    assert reconciler.reconcile(world.services) == 1
    assert reconciler.reconcile(world.services) == 0
    assert world.topic.subjects == []


@pytest.mark.parametrize(
    ("schedule", "days"),
    [("rate(7 days)", 8), ("rate(1 day)", 2), ("rate(12 hours)", 1.5), ("cron(0 2 ? * MON *)", 32), ("", 0)],
)
def test_a_schedule_is_missed_when_it_is_a_day_late(schedule: str, days: float) -> None:
    assert probes.patience(schedule) == days * DAY * 1000


# ---------------------------------------------------------------- the gateway, and the number


@dataclass
class Gateway:
    """Answers posts with these statuses, one after the other."""

    statuses: list[int]
    got: list[tuple[str | None, Any]] = field(default_factory=list)


@pytest.fixture
def gateway() -> Any:
    known = Gateway([])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.got.append((self.headers["Authorization"], json.loads(body)))
            self.send_response(known.statuses.pop(0))
            self.end_headers()
            self.wfile.write(b'{"execution": "execution-1"}')

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    known.url = f"http://127.0.0.1:{server.server_port}/prod/alerts"  # type: ignore[attr-defined]  # known now
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_posts_as_alertmanager_does_and_again_while_that_may_help(gateway: Any) -> None:
    gateway.statuses += [503, 500, 202]
    waited: list[float] = []
    assert probing.post(gateway.url, "token", {"groupKey": "x"}, pause=waited.append) == "execution-1"
    assert gateway.got == [("Bearer token", {"groupKey": "x"})] * 3
    assert waited == [2, 4]


@pytest.mark.parametrize(
    ("status", "says"), [(401, "bearer token"), (403, "bearer token"), (400, "answered 400"), (404, "answered 404")]
)
def test_a_refusal_is_not_tried_again(gateway: Any, status: int, says: str) -> None:
    gateway.statuses += [status]
    with pytest.raises(NotAcceptedError, match=says):
        probing.post(gateway.url, "token", {}, pause=lambda _: None)


def test_a_gateway_that_does_not_answer_is_given_up(gateway: Any) -> None:
    gateway.statuses += [503] * probing.POST_TRIES
    with pytest.raises(NotAcceptedError, match="answered 503"):
        probing.post(gateway.url, "token", {}, pause=lambda _: None)
    with pytest.raises(NotAcceptedError, match="did not answer"):
        probing.post("http://127.0.0.1:1/prod/alerts", "token", {}, pause=lambda _: None)


def test_the_number_presses_1_through_the_words_and_the_pauses_after_them() -> None:
    verbs = list(ET.fromstring(probe_number.answer()))  # noqa: S314  our own
    assert verbs[0].tag == "Play", "a Pause would be waited for before Twilio picks up"
    pressed = [verb.attrib["digits"] for verb in verbs[:-1]]
    seconds = sum(keys.count("w") / 2 for keys in pressed)
    assert set("".join(pressed)) == {"w", "1"}
    assert pressed[0].count("w") / 2 >= 2, "the words have begun"
    assert 40 <= seconds <= 50, "the words twice, and each time the wait for a key"
    assert verbs[-1].tag == "Hangup"
