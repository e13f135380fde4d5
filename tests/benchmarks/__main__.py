"""Measures the chain on this machine: `python -m tests.benchmarks WHAT [--times 60] [--base FILE]`.

ring: seconds from the webhook's post until Twilio has the call, and DynamoDB's round trips on the way.
cold: the same when no function has started, and milliseconds that each then takes; the same, and seconds until a key is
heard, when all have been idle and are pinged (KeepWarm).
policies: seconds until the last of twenty phones rings, of twenty groups at once over twenty policies.
storm: 200 groups in ten seconds, of one policy, of twenty, and of twenty where only ten functions may be at work at once:
calls, seconds, round trips, state transitions, and milliseconds of the processor for each incident and function.
sizes: 50, 100, 200 and 400 groups of one policy in ten seconds, each in a system of its own.
thousand: 1,000 groups in a minute over fifty policies. large: a hundred groups of a hundred alerts each.
slack: seconds until Slack has its answer to a pressed button, and to /oncall; from a cold start and warm.

What was measured is kept as JSON in .devstack/bench; `--base FILE` compares with such a file.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.benchmarks import processor
from tests.benchmarks.figures import Figures
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import SOON, Night, Story, most_at_once
from tests.e2e.test_storm import (
    GROUPS,
    PATIENCE,
    POLICIES,
    RING,
    all_are_acknowledged,
    breaks,
    lines_of,
    on_the_page,
    takes,
)


def dynamodb_requests(night: Night, since: float, until: float, *functions: str) -> int:
    """How many requests functions (or all) sent to DynamoDB between two moments (epoch seconds)."""
    return sum(
        since <= one["time"] <= until
        and one["action"].startswith("dynamodb:")
        and (not functions or any(function in one["principal"] for function in functions))
        for one in night.system.requests_to_aws()
    )


def ring(night: Night, times: int, figures: Figures) -> None:
    """Fires a group again and again, each time when all is quiet."""
    story = night.story("ann")
    seconds, trips = [], []
    for number in range(times + 3):  # the first ones start cold
        group = f"group {number}"
        posted = time.time()
        execution = story.fire(group)
        call = story.rings("ann", nth=number + 1)
        if number >= 3:
            seconds.append(call["created_at"] - posted)
            trips.append(dynamodb_requests(night, posted, call["created_at"], "ReceiveAlerts", "PhoneCall"))
        story.resolve(group)
        story.finished(execution)
    seconds.sort()
    at_99 = seconds[min(len(seconds) - 1, round(0.99 * len(seconds)))]
    figures.note("ring, warm, median s", statistics.median(seconds))
    figures.note("ring, warm, 99th percentile s", at_99)
    figures.note("ring, DynamoDB round trips", statistics.median(trips))


def insists(story: Story) -> None:
    """Whoever's phone rings answers and presses a key, until one has arrived: a function that may not start takes none."""

    def is_taken() -> bool:
        for call in story.calls():
            if call["status"] == "ringing":
                with suppress(AssertionError):  # it has ended meanwhile
                    story.system.answer(call["sid"])
                    story.system.press(call["sid"], "1")
        return bool(story.page()["state"] == "acknowledged")

    wait_until(is_taken, PATIENCE, "the acknowledgement")


def storm(night: Night, stories: Sequence[Story], figures: Figures, where: str = "") -> None:
    """Lets a storm break, and lets somebody of each policy take it."""
    began = time.time()
    with processor.watched(night.system) as taken:
        executions = breaks(stories)
        wait_until(lambda: sum(map(on_the_page, stories)) == GROUPS, PATIENCE, "all groups on their pages")
        joined = time.time()
        for story in stories:
            insists(story)
        all_are_acknowledged(stories)
        acknowledged = time.time()
        wait_until(lambda: sum(len(lines_of(story)) for story in stories) == GROUPS, 600, "all incidents in Slack")
        night.rests(600)
    ended = time.time()
    placed = [call for story in stories for call in story.calls()]
    name = f"storm of {GROUPS}, {len(stories)} policies{where}"
    figures.note(f"{name}, joined s", joined - began)
    figures.note(f"{name}, acknowledged s", acknowledged - began)
    figures.note(f"{name}, in Slack s", ended - began)
    figures.note(f"{name}, calls", len(placed))
    figures.note(f"{name}, calls of one policy at once", max(most_at_once(story.calls()) for story in stories))
    figures.note(f"{name}, DynamoDB requests each", dynamodb_requests(night, began, ended) / GROUPS)
    figures.note(f"{name}, transitions each", sum(len(stories[0].states(one)) for one in executions) / GROUPS)
    for function, milliseconds in sorted(taken.items()):
        figures.note(f"{name}, {function}, processor ms each", milliseconds / GROUPS)
    figures.note(f"{name}, functions, processor ms each", sum(taken.values()) / GROUPS)


def kept(night: Night, times: int, figures: Figures) -> None:
    """Lets everything fall asleep that is not pinged, fires, and presses a key; again and again."""
    story = night.story("ann")
    rang, heard = [], []
    for number in range(times):
        time.sleep(2 * IDLE_SECONDS)
        posted = time.time()
        execution = story.fire(f"group {number}")
        call = story.rings("ann", nth=number + 1)
        rang.append(call["created_at"] - posted)
        time.sleep(2 * IDLE_SECONDS)
        story.system.answer(call["sid"])
        pressed = time.time()
        story.system.press(call["sid"], "1")
        wait_until(lambda: story.page()["state"] == "acknowledged", SOON, "the acknowledgement")
        heard.append(
            next(
                one["started_at"] + one["duration_ms"] / 1000 - pressed
                for one in night.system.invocations()
                if one["function"] == "PhoneReplyFunction" and one["started_at"] >= pressed
            )
        )
        story.resolve(f"group {number}")
        story.finished(execution)
    figures.note("ring, idle and pinged, median s", statistics.median(rang))
    figures.note("key heard by PhoneReply, idle and pinged, median s", statistics.median(heard))


def at_once(night: Night, times: int, figures: Figures, name: str) -> None:
    """Twenty groups at once over twenty policies: how long until the last phone rings."""
    last: list[float] = []
    for number in range(times + 1):
        stories = [night.story("ann", ring_seconds=RING) for _ in range(POLICIES)]
        posted = time.time()
        breaks(stories, POLICIES, 0)
        calls = [story.rings("ann", timeout=PATIENCE) for story in stories]
        if number or times == 0:  # the first has more environments started
            last.append(max(call["created_at"] for call in calls) - posted)
        for story, call in zip(stories, calls, strict=True):
            takes(story, call["sid"])
        all_are_acknowledged(stories, POLICIES)
        night.rests(120)
    figures.note(f"{name}, last call, median s", statistics.median(last))


def size(night: Night, _times: int, figures: Figures, *, groups: int) -> None:
    """A storm of one policy, until it is acknowledged everywhere in the table."""
    story = night.story("ann", "ben", ring_seconds=RING)
    began = time.time()
    breaks([story], groups)
    wait_until(lambda: on_the_page(story) == groups, 400, "all groups on one page")
    joined = time.time()
    took = dynamodb_requests(night, began, joined, "ReceiveAlerts", "PhoneCall")
    takes(story, story.rings("ann")["sid"])
    all_are_acknowledged([story], groups, 400)
    figures.note(f"{groups} groups, joined s", joined - began)
    figures.note(f"{groups} groups, acknowledged after the key s", time.time() - joined)
    figures.note(f"{groups} groups, DynamoDB requests each until joined", took / groups)


def thousand(night: Night, figures: Figures) -> None:
    """1,000 groups in a minute over fifty policies: nothing is lost, one phone at a time of each."""
    stories = [night.story("ann", ring_seconds=RING) for _ in range(50)]  # with more, two would have the same number
    began = time.time()
    breaks(stories, 1000, 60)
    accepted = time.time()
    wait_until(lambda: sum(map(on_the_page, stories)) == 1000, 600, "all groups on their pages")
    figures.note("1,000 groups over 50 policies, accepted s", accepted - began)
    figures.note("1,000 groups over 50 policies, joined s", time.time() - began)
    assert max(most_at_once(story.calls()) for story in stories) == 1, "one phone at a time of each policy"
    for story in stories:
        takes(story, story.rings("ann", timeout=PATIENCE)["sid"])
    all_are_acknowledged(stories, 1000, 600)
    figures.note("1,000 groups over 50 policies, acknowledged s", time.time() - began)


def large(night: Night, figures: Figures) -> None:
    """10,000 alerts in groups of a hundred."""
    story = night.story("ann", ring_seconds=RING)
    names = [{"instance": f"web-{number}"} for number in range(100)]
    began = time.time()
    for number in range(100):
        webhook = story.webhook(f"group {number}")
        (alert,) = webhook["alerts"]
        webhook["alerts"] = [
            {**alert, "labels": alert["labels"] | name, "fingerprint": f"{number:08x}{place:08x}"}
            for place, name in enumerate(names)
        ]
        story.posts(webhook)
    wait_until(lambda: on_the_page(story) == 100, 400, "all groups on one page")
    figures.note("100 groups of 100 alerts, joined s", time.time() - began)
    takes(story, story.rings("ann")["sid"])
    all_are_acknowledged([story], 100, 400)
    figures.note("100 groups of 100 alerts, acknowledged s", time.time() - began)


def slack(night: Night, times: int, figures: Figures) -> None:
    """Presses a button and types a command, again and again: how long Slack waits for its answer."""
    story = night.story("ann", "ben", rounds=20)
    story.fire()
    story.rings("ann")
    ts = story.message()["ts"]
    user = story.slack_user("ann")
    asks = {
        "button (take_shift)": (f"messages/{ts}/press", {"action_id": "take_shift", "user": user}),
        "/oncall who": ("commands", {"command": "/oncall", "text": "who", "user": user}),
        "/oncall incidents": ("commands", {"command": "/oncall", "text": "incidents", "user": user}),
    }
    for name, (path, body) in asks.items():
        for started, count in (("cold", max(5, times // 6)), ("warm", times)):
            seconds = []
            for _ in range(count):
                if started == "cold":
                    night.system.faults("aws", {"lambda:SlackReplyFunction": {"kill": "idle"}})
                seconds.append(float(night.system.control("POST", "slack", path, body)["seconds"]))
            figures.note(f"{name}, {started}, median s", statistics.median(seconds))


def cold(night: Night, times: int, figures: Figures) -> None:
    """Fires a group again and again, each time when every function has been ended."""
    story = night.story("ann")
    functions = ("Authorize", "ReceiveAlerts", "PhoneCall", "SlackNotification")
    seconds: list[float] = []
    starts: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(times):
        night.system.faults("aws", {f"lambda:{name}Function": {"kill": "idle"} for name in functions})
        before, posted = len(night.system.invocations()), time.time()
        execution = story.fire(f"group {number}")
        seconds.append(story.rings("ann", nth=number + 1)["created_at"] - posted)
        story.resolve(f"group {number}")
        story.finished(execution)
        for one in night.system.invocations(before):
            name = one["function"].removesuffix("Function")
            if one["cold"] and one["init_ms"] and name in starts:
                starts[name].append(one["init_ms"])
    figures.note("ring, cold, median s", statistics.median(seconds))
    for name, milliseconds in starts.items():
        if milliseconds:
            figures.note(f"start of {name}, median ms", statistics.median(milliseconds))


def storms(night: Night, _times: int, figures: Figures, *, policies: int) -> None:
    """A storm of so many policies."""
    storm(night, [night.story("ann", "ben", ring_seconds=RING) for _ in range(policies)], figures)


def in_a_new_account(night: Night, _times: int, figures: Figures) -> None:
    """A storm of twenty policies where ten functions may be at work at once: nothing is lost."""
    stories = [night.story("ann", "ben", ring_seconds=RING) for _ in range(POLICIES)]
    storm(night, stories, figures, ", ten functions at once")


IDLE_SECONDS = 10
# Each part has a system of its own, with these settings.
PARTS: dict[str, list[tuple[Callable[[Night, int, Figures], None], dict[str, str]]]] = {
    "ring": [(ring, {})],
    "cold": [
        (lambda night, times, figures: cold(night, max(5, times // 10), figures), {"WHOLE_STARTS": "1"}),
        # Ten times as fast: pings come every twelve seconds, and what none came to ends after as long as would be three minutes.
        (
            lambda night, _, figures: kept(night, 5, figures),
            {"SCHEDULE_SPEED": "10", "IDLE_SECONDS": str(2 * IDLE_SECONDS), "WHOLE_STARTS": "1"},
        ),
    ],
    "policies": [(lambda night, _, figures: at_once(night, 5, figures, "20 groups at once over 20 policies"), {})],
    "storm": [
        *((partial(storms, policies=policies), {}) for policies in (1, POLICIES)),  # Slack remembers each for a minute
        (in_a_new_account, {"CONCURRENCY": "10"}),
    ],
    "sizes": [(partial(size, groups=groups), {}) for groups in (50, 100, 200, 400)],
    "thousand": [(lambda night, _, figures: thousand(night, figures), {})],
    "large": [(lambda night, _, figures: large(night, figures), {})],
    "slack": [(slack, {"WHOLE_STARTS": "1"})],
}


def main() -> None:
    """Measures what is asked for, each part on a system of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=PARTS)
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--base", type=Path, help="a run's file to compare with")
    options = parser.parse_args()
    figures = Figures(options.what)
    for measure, environment in PARTS[options.what]:
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "bench"
            settings = {"MONITORING": "0", "ROSTER": str(ROSTER), "IDLE_SECONDS": "300"} | environment
            with running_devstack(directory, **settings) as system:
                system.control("PUT", "twilio", "settings", {"calls_per_second": 50})
                measure(night_of(system), options.times, figures)
        file = figures.write()  # what was measured stays if a later part fails
    print(figures.table(options.base))  # noqa: T201
    print(file)  # noqa: T201


if __name__ == "__main__":
    main()
