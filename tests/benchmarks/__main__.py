"""Measures the chain on this machine: `python -m tests.benchmarks ring [--times 60]`, `... storm`, `... slack`, `... cold`.

ring: seconds from the webhook's post until Twilio has the call, and DynamoDB's round trips on the way.
storm: 200 groups of one policy in ten seconds, and of twenty policies: calls, phones ringing at once, seconds, round trips,
state transitions.
What was measured is kept as JSON in .devstack/bench; `--base FILE` compares with such a file.
cold: seconds from the webhook until Twilio has the call, when no function has started, and milliseconds that each then takes.
slack: seconds until Slack has its answer to a pressed button, and to /oncall; from a cold start and warm.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.figures import Figures
from tests.devstack_fixture import running_devstack
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Night, Story, most_at_once
from tests.e2e.test_storm import GROUPS, POLICIES, all_are_acknowledged, breaks, on_the_page, patiently, takes


def dynamodb_requests(night: Night, since: float, until: float, *functions: str) -> int:
    """How many requests functions (or all) sent to DynamoDB between two moments (epoch seconds)."""
    return sum(
        since <= one["time"] <= until
        and one["action"].startswith("dynamodb:")
        and (not functions or any(function in one["principal"] for function in functions))
        for one in night.system.requests_to_aws()
    )


def ring(night: Night, times: int, figures: Figures) -> None:
    """Fires a group again and again, each time when all is quiet, and prints how long it took."""
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
    print(f"webhook to ring, {times} times: median {statistics.median(seconds):.2f} s, 99th percentile {at_99:.2f} s")  # noqa: T201
    print(f"DynamoDB round trips before the ring: median {statistics.median(trips):.0f}, most {max(trips)}")  # noqa: T201


def storm(night: Night, stories: Sequence[Story], figures: Figures) -> None:
    """Lets a storm break, lets the first of each policy take it, and prints what it took."""
    began = time.time()
    executions = breaks(stories)
    patiently(lambda: sum(map(on_the_page, stories)) == GROUPS, "all groups on their pages")
    joined = time.time()
    calls = [story.rings("ann") for story in stories]
    for story, call in zip(stories, calls, strict=True):
        takes(story, call["sid"])
    all_are_acknowledged(stories)
    acknowledged = time.time()
    patiently(lambda: sum(len(story.heads()) for story in stories) >= GROUPS, "all messages in Slack", 600)
    night.rests(600)
    ended = time.time()
    placed = [call for story in stories for call in story.calls()]
    each = max(most_at_once(story.calls()) for story in stories)
    states = sum(len(stories[0].states(execution)) for execution in executions) / GROUPS
    trips = dynamodb_requests(night, began, ended) / GROUPS
    name = f"storm of {GROUPS}, {len(stories)} policies"
    figures.note(f"{name}, joined s", joined - began)
    figures.note(f"{name}, acknowledged s", acknowledged - began)
    figures.note(f"{name}, in Slack s", ended - began)
    figures.note(f"{name}, DynamoDB requests each", trips)
    figures.note(f"{name}, transitions each", states)
    print(  # noqa: T201
        f"storm of {GROUPS} groups, {len(stories)} policies: {len(placed)} calls, at once at the most {most_at_once(placed)} "
        f"({each} of one policy), all joined after {joined - began:.0f} s, "
        f"all acknowledged after {acknowledged - began:.0f} s, "
        f"in Slack after {ended - began:.0f} s; for each incident {trips:.1f} DynamoDB round trips, {states:.1f} states"
    )


def slack(night: Night, times: int) -> None:
    """Presses a button and types a command, again and again, and prints how long Slack waited."""
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
        for is_cold in (True, False):
            seconds = []
            for _ in range(max(3, times // 6) if is_cold else times):
                if is_cold:
                    night.system.faults("aws", {"lambda:SlackReplyFunction": {"kill": "idle"}})
                seconds.append(float(night.system.control("POST", "slack", path, body)["seconds"]))
            started = "cold" if is_cold else "warm"
            print(f"{name}, {started}: median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")  # noqa: T201


def cold(night: Night, times: int, figures: Figures) -> None:
    """Fires a group again and again, each time when every function has been ended, and prints how long it took."""
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


def main() -> None:
    """Measures what is asked for on a system of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("ring", "cold", "storm", "slack"))
    parser.add_argument("--times", type=int, default=60)
    parser.add_argument("--base", type=Path, help="a run's file to compare with")
    options = parser.parse_args()
    figures = Figures(options.what)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "bench"
        with running_devstack(directory, MONITORING="0", ROSTER=ROSTER) as system:
            night = night_of(system)
            system.control("PUT", "twilio", "settings", {"calls_per_second": 20})
            if options.what == "ring":
                ring(night, options.times, figures)
            elif options.what == "cold":
                cold(night, max(5, options.times // 10), figures)
            elif options.what == "slack":
                slack(night, options.times)
            else:
                storm(night, [night.story("ann", "ben", ring_seconds=120)], figures)
                storm(night, [night.story("ann", "ben", ring_seconds=120) for _ in range(POLICIES)], figures)
    if figures.values:
        print(figures.table(options.base))  # noqa: T201
        print(figures.write())  # noqa: T201


if __name__ == "__main__":
    main()
