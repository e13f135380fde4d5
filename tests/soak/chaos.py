"""Random nights: webhooks, keys, buttons, faults and deaths, drawn from a seed, and what must hold whatever happened."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.devstack_fixture import wait_until
from tests.e2e.story import ENDED, RINGS, Story

GROUPS = ("shop", "search", "mail", "login")
BEHAVIOURS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("ring", {}),
    ("ring", {}),
    ("busy", {}),
    ("failed", {}),
    ("no-answer", {}),
    ("voicemail", {}),
    ("answer", {"digits": "1"}),
    ("answer", {"digits": "2"}),
    ("answer", {"digits": "31"}),
    ("answer", {"digits": "9"}),
    ("answer", {}),
)
# Faults that pass: each is for a few requests or seconds.
FAULTS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("twilio", {"create": {"status": 503, "code": 20503, "times": 2}}),
    ("twilio", {"create": {"status": 429, "code": 20429, "times": 1}}),
    ("twilio", {"create": {"lose_answer": True, "times": 1}}),
    ("twilio", {"callbacks": {"drop": 2}}),
    ("twilio", {"callbacks": {"repeat": 3}}),
    ("slack", {"status": 500, "times": 3}),
    ("slack", {"status": 429, "times": 2, "retry_after": 2}),
    ("slack", {"lose_answer": True, "times": 1}),
    ("aws", {"dynamodb": {"status": 400, "type": "ProvisionedThroughputExceededException", "times": 8}}),
    ("aws", {"dynamodb:UpdateItem": {"status": 400, "type": "TransactionConflictException", "times": 4}}),
    ("aws", {"dynamodb": {"status": 503, "type": "ServiceUnavailable", "seconds": 4}}),
    ("aws", {"lambda:PhoneCallFunction": {"kill": "before", "times": 1}}),
    ("aws", {"lambda:PhoneCallFunction": {"kill": "after", "times": 1}}),
    ("aws", {"lambda:ReceiveAlertsFunction": {"kill": "after", "times": 1}}),
    ("aws", {"lambda:SlackNotificationFunction": {"kill": "after", "times": 1}}),
    ("gateway", {"start_execution": {"type": "ThrottlingException", "status": 400, "times": 2}}),
)


@dataclass
class Chaos:
    """One random night over some stories."""

    stories: list[Story]
    seed: int
    said: list[str] = field(default_factory=list)  # what was done, for whoever has to understand a failure
    posted: dict[tuple[str, str], str] = field(default_factory=dict)  # the last accepted status of (story, group)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # repeatable is the point
        self.began = time.monotonic()
        self.posting = ThreadPoolExecutor(8)
        self.machine = self.stories[0].system.endpoints["state_machine_arn"]

    def say(self, words: str) -> None:
        """Notes what is done."""
        self.said.append(f"{time.monotonic() - self.began:7.2f} {words}")

    def play(self, seconds: float) -> None:
        """Lets events happen for so long."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (6, self.alert),
            (1, self.duplicates),
            (3, self.phone),
            (8, self.person),
            (2, self.button),
            (2, self.fault),
            (1, self.stop),
        ]
        while time.monotonic() - self.began < seconds:
            (act,) = self.random.choices([act for _, act in acts], [weight for weight, _ in acts])
            act()
            time.sleep(self.random.uniform(0, 0.6))

    def alert(self) -> None:
        """A group fires, repeats or resolves."""
        story, group = self.random.choice(self.stories), self.random.choice(GROUPS)
        status = self.random.choices(["firing", "resolved"], [3, 1])[0]
        self.say(f"{story.name} {group} {status}")
        self.post(story, group, status)

    def duplicates(self) -> None:
        """The same firing group several times at once, as from a pair of Alertmanagers."""
        story, group = self.random.choice(self.stories), self.random.choice(GROUPS)
        self.say(f"{story.name} {group} firing, five times at once")
        posts: list[Future[None]] = [self.posting.submit(self.post, story, group, "firing") for _ in range(5)]
        for post in posts:
            post.result()

    def post(self, story: Story, group: str, status: str) -> None:
        """Posts as Alertmanager does: again after a 5xx, until it is taken."""
        webhook = story.webhook(group, status)

        def taken() -> bool:
            answer = story.system.post_alerts(webhook)
            assert answer.status_code == 202 or answer.status_code >= 500, (answer.status_code, answer.text)
            return answer.status_code == 202

        wait_until(taken, 60, "a webhook's acceptance")
        self.posted[story.name, group] = status

    def phone(self) -> None:
        """A phone will behave otherwise."""
        story = self.random.choice(self.stories)
        person = self.random.choice(sorted(story.phones))
        behaviour, options = self.random.choice(BEHAVIOURS)
        self.say(f"{story.name} {person}: {behaviour} {dict(options)}")
        story.phone(person, behaviour, **options)

    def person(self) -> None:
        """Somebody does something with a phone that rings, or in a call."""
        calls = [call for story in self.stories for call in story.calls() if call["status"] not in ENDED]
        if not calls:
            return
        call = self.random.choice(calls)
        system = self.stories[0].system
        deed = self.random.choice(["answer", "decline", "hang-up", "press", "press", "press"])
        digits = self.random.choice("1123009")
        self.say(f"{call['sid'][-6:]} {deed} {digits if deed == 'press' else ''}")
        # What the call no longer allows is refused by the telephone network, as by a real one.
        body = {"digits": digits} if deed == "press" else {}
        try:
            system.control("POST", "twilio", f"calls/{call['sid']}/{deed}", body)
        except AssertionError as refused:
            self.say(f"       refused: {str(refused)[:100]}")

    def button(self) -> None:
        """Somebody presses a button in Slack, which may be out of date."""
        story = self.random.choice(self.stories)
        buttons = [message for message in story.heads() if "acknowledge" in str(message["blocks"])]
        if not buttons:
            return
        message = self.random.choice(buttons)
        person = self.random.choice(sorted(story.phones))
        self.say(f"{story.name} {person} presses Acknowledge on {message['ts']}")
        body = {"action_id": "acknowledge", "user": story.slack_user(person)}
        try:
            story.system.control("POST", "slack", f"messages/{message['ts']}/press", body)
        except AssertionError as refused:
            self.say(f"       refused: {str(refused)[:100]}")

    def fault(self) -> None:
        """Something fails for a while."""
        part, fault = self.random.choice(FAULTS)
        self.say(f"fault of {part}: {dict(fault)}")
        self.stories[0].system.faults(part, fault)

    def stop(self) -> None:
        """Somebody stops an execution."""
        stepfunctions = self.stories[0].night.stepfunctions
        running = stepfunctions.list_executions(stateMachineArn=self.machine, statusFilter="RUNNING")["executions"]
        if running:
            arn = self.random.choice(running)["executionArn"]
            self.say(f"stops {arn[-36:]}")
            stepfunctions.stop_execution(executionArn=arn)

    # What must hold.

    def come_to_rest(self, timeout: float) -> None:
        """No more faults, and somebody answers at last: everything comes to its end."""
        system = self.stories[0].system
        for part in ("aws", "twilio", "slack", "gateway"):
            system.faults(part, {})
        for story in self.stories:
            for person in story.phones:
                story.phone(person, "answer", digits="1")
        self.say("no more faults; everybody takes calls")
        for call in system.calls():
            if call["status"] in RINGS:
                system.answer(call["sid"])
        for story in self.stories:
            wait_until(lambda story=story: self._rests(story), timeout, f"the end of what {story.name} began")  # type: ignore[misc]

    def _rests(self, story: Story) -> bool:
        incidents = story.incidents()
        page = story.night.table.get(f"PAGE#{story.name}", "CURRENT")
        return (
            all(one["slack_version"] == one["version"] for one in incidents)
            and (page is None or "settled_at" in page)
            and all(one["state"] != "triggered" or one.get("unanswered") for one in incidents)
        )

    def faults_found(self) -> list[str]:
        """Each promise that was broken, in words."""
        return [
            *self._groups_that_ended_wrong(),
            *self._attempts_that_rang_twice(),
            *self._phones_that_rang_together(),
            *self._calls_after_the_end(),
            *self._messages_that_lie(),
        ]

    def _groups_that_ended_wrong(self) -> list[str]:
        """Every accepted critical group ends acknowledged, resolved or unanswered; what was resolved last is resolved."""
        wrong = []
        for (name, group), status in self.posted.items():
            story = next(story for story in self.stories if story.name == name)
            key = story.webhook(group)["groupKey"]
            found = [one for one in story.incidents() if one["group_key"] == key]
            still_open = [one for one in found if one["state"] != "resolved"]
            if status == "resolved" and still_open:
                wrong.append(f"{name} {group} was resolved but is {still_open[-1]['state']}")
            if status == "firing" and not still_open:
                wrong.append(f"{name} {group} fires but has no open incident")
            if len(still_open) > 1:
                wrong.append(f"{name} {group} has {len(still_open)} open incidents")
        return wrong

    def _attempts_that_rang_twice(self) -> list[str]:
        """One attempt of a page is one call."""
        rang: dict[tuple[str, str], set[str]] = defaultdict(set)
        for callback in self.stories[0].system.control("GET", "twilio", "callbacks"):
            query = parse_qs(urlsplit(callback["url"]).query)
            rang[query["page"][0], query["call"][0]].add(callback["call"])
        return [
            f"page {page} rang twice for attempt {number}" for (page, number), sids in rang.items() if len(sids) > 1
        ]

    def _phones_that_rang_together(self) -> list[str]:
        """One escalation policy rings one phone at a time."""
        wrong = []
        for story in self.stories:
            rings = sorted(
                (call["created_at"], call["answered_at"] or call["ended_at"] or time.time(), call["sid"])
                for call in story.calls()
            )
            wrong += [
                f"{story.name}: {sid[-6:]} rang until {end:.2f} beside {other[-6:]} from {start:.2f}"
                for (_, end, sid), (start, _, other) in pairwise(rings)
                if end > start + 0.5
            ]
        return wrong

    def _calls_after_the_end(self) -> list[str]:
        """No phone rings for a page that somebody has taken."""
        ended: dict[str, float] = {}  # by page
        for story in self.stories:
            for incident in story.incidents():
                items = story.night.table.query(incident["pk"])
                at = {item["number"]: item["at"] for item in items if item["sk"].startswith("EVENT#")}
                for item in items:
                    if item["sk"].startswith("ONCE#acknowledged/") and item["version"] in at:
                        ended[item["sk"].rsplit("/", 1)[1]] = at[item["version"]] / 1000
        wrong = []
        calls = {call["sid"]: call for call in self.stories[0].system.calls()}
        for callback in self.stories[0].system.control("GET", "twilio", "callbacks"):
            page = parse_qs(urlsplit(callback["url"]).query)["page"][0]
            call = calls[callback["call"]]
            if page in ended and call["created_at"] > ended[page] + 1.5:
                wrong.append(
                    f"{call['sid'][-6:]} was placed {call['created_at'] - ended[page]:.1f} s after its page's end"
                )
        return sorted(set(wrong))

    def _messages_that_lie(self) -> list[str]:
        """Slack has a message of each incident, or a line below another one's, and it says what the table says."""
        words = {"resolved": "Resolved", "acknowledged": "Acknowledged", "triggered": "UNANSWERED"}
        wrong = []
        for story in self.stories:
            heads = story.heads()
            blocks = [block for one in story.messages() if one["thread_ts"] for block in one["blocks"] or []]
            for incident in story.incidents():
                own = [one["text"] for one in heads if incident["id"] in str(one["blocks"])]
                told = [*own, *(block["text"]["text"] for block in blocks if incident["id"] in str(block.get("text")))]
                if not told or len(own) > 1:
                    wrong.append(f"{incident['id']} has {len(own)} messages, and {len(told)} in all that tell it")
                elif any(words[incident["state"]] not in one for one in told):
                    wrong.append(f"{incident['id']} is {incident['state']} but Slack says {told}")
                else:
                    keys = [one["metadata"]["event_payload"]["key"] for one in story.messages() if one["thread_ts"]]
                    thread = [key for key in keys if " event " in key]
                    numbers = [int(key.rsplit(" ", 1)[1]) for key in thread if key.startswith(incident["id"])]
                    if numbers != sorted(set(numbers)):
                        wrong.append(f"{incident['id']}: its thread is {numbers}")
        return wrong
