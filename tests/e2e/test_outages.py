"""What the bundled monitoring makes of outages, from what breaks to the phone, with the real programs.

One system and one monitoring for all; everything of a kind breaks at once, each for a product of its own.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from devstack.system.exporters import create_app as create_exporters
from devstack.system.site import create_app as create_site
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Story, readable
from tests.e2e.watch import Watch, served, watching

SPEED = 10  # CloudWatch's minute takes six seconds, so that beats every five seconds are one a minute
PATIENCE = 120.0  # seconds: one hop, on a busy machine
CHANNEL = "C0ONCALL"  # where what belongs to no product of the roster is told
SEARCH = "search"  # the product of the search domain
NORA = "+12025550100"  # whom that rings


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """A system, and the monitoring that tells it."""
    directory = tmp_path_factory.mktemp("outages")
    environment = {"MONITORING": "0", "HEARTBEAT_EXPECTED": "false", "SCHEDULE_SPEED": str(SPEED), "ROSTER": ROSTER}
    with running_devstack(directory, **environment) as system:
        night = night_of(system)
        night.people_speak_fast()
        night.story().writes("PRODUCT#monitoring", {"language": "en"})
        with watching(night, tmp_path_factory.mktemp("watch"), create_site(), SEARCH) as watching_it:
            yield watching_it


def rings_and_says(story: Story, words: str, nth: int = 1) -> dict[str, Any]:
    """The phone rings, says it, and 1 is pressed."""
    call = story.rings("ann", nth, PATIENCE)
    story.system.answer(call["sid"])
    story.hears(call["sid"], words, PATIENCE)
    story.system.press(call["sid"], "1")
    return call


def is_over(story: Story, product: str | None = None) -> None:
    """Every incident of the product resolves."""

    def resolved() -> bool:
        return {one["state"] for one in story.incidents(product=product)} == {"resolved"}

    wait_until(resolved, PATIENCE, "all being resolved")


def test_outages_of_every_kind_reach_whom_they_should(watch: Watch) -> None:
    down, expired, nameless, ends_in_a_week, ends_in_weeks, slow, flapping = (
        watch.night.story("ann") for _ in range(7)
    )
    answers = itertools.cycle([200, 503])

    @Request.application
    def comes_and_goes(request: Request) -> Response:
        del request
        return Response(status=next(answers))

    with ExitStack() as stack:
        site = stack.enter_context(served(create_site()))
        lame = stack.enter_context(served(create_site()))
        requests.put(f"{lame}/_sim/site", json={"delay": 3.3}, timeout=10).raise_for_status()
        secured = {
            days: stack.enter_context(served(create_site(), watch.authority.signs(days))) for days in (-1, 5, 20)
        }
        files = [
            watch.targets(down, f"{site}/shop"),
            watch.targets(expired, f"{secured[-1]}/"),
            watch.targets(nameless, "http://no-such-name.invalid/"),
            watch.targets(ends_in_a_week, f"{secured[5]}/"),
            watch.targets(ends_in_weeks, f"{secured[20]}/"),
            watch.targets(slow, f"{lame}/", __scrape_interval__="5s", __scrape_timeout__="5s"),
            watch.targets(flapping, stack.enter_context(served(comes_and_goes)) + "/"),
        ]
        with served(create_exporters()) as exporter:
            elsewhere = watch.folder / "elasticsearch/gone.yml"
            address = exporter.removeprefix("http://")
            elsewhere.write_text(f"- targets: [{address}]\n  labels: {{product: elsewhere}}\n")
            wait_until(lambda: watch.value(f'up{{instance="{address}"}}') == 1, PATIENCE, "the exporter answering")
        wait_until(lambda: watch.value(f'probe_success{{instance="{site}/shop"}}') == 1, PATIENCE, "the site answering")
        requests.put(f"{site}/_sim/site", json={"status": 503}, timeout=10).raise_for_status()

        rings_and_says(down, "shop is down.")
        rings_and_says(expired, "is down, its certificate has expired")
        rings_and_says(nameless, "invalid is down")
        wait_until(lambda: watch.firing("URL DNS Alert(warning)", product=nameless.name), PATIENCE, "DNS being named")
        for story, words in (
            (slow, "is slow"),
            (flapping, "comes and goes"),
            (ends_in_a_week, "has a certificate that ends within a week"),
            (ends_in_weeks, "has a certificate that ends within three weeks"),
        ):
            watch.slack_says(words, story.channel, PATIENCE)
            assert not story.calls(), "a warning rings nobody"
        watch.slack_says(f"elasticsearch at {address} does not answer", CHANNEL, PATIENCE)

        requests.put(f"{site}/_sim/site", json={"status": 200}, timeout=10).raise_for_status()
        is_over(down)
        assert len(down.incidents()) == len(down.calls()) == 1
        for file in (*files, elsewhere):
            file.unlink()
    for story in (expired, nameless, slow, flapping):
        is_over(story)


def test_ec2_instances_are_found_by_their_tags_and_what_they_suffer_is_told(watch: Watch) -> None:
    shop, search = watch.night.story("ann"), watch.night.story("ann")
    search.writes(f"PRODUCT#{SEARCH}", {"policy": search.name, "slack_channel": search.channel, "language": "en"})
    ec2 = watch.night.system.client("ec2")

    def runs(name: str, **tags: str) -> str:
        written = [{"Key": key, "Value": value} for key, value in {"Name": name, "product": shop.name, **tags}.items()]
        found = ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": written}],
        )
        return str(found["Instances"][0]["InstanceId"])

    first, second = runs("web-1", monitoring="prometheus"), runs("web-2", monitoring="prometheus")
    scaled = runs("web-3", monitoring="prometheus", **{"aws:autoscaling:groupName": "web"})
    runs("not watched")

    def found() -> bool:
        labels = [(one["instance"], one["host"], one["product"]) for one in watch.scraped("ec2")]
        wanted = [(first, "web-1", shop.name), (second, "web-2", shop.name), (scaled, "web-3", shop.name)]
        return sorted(labels) == sorted(wanted)

    wait_until(found, PATIENCE, "the instances that are tagged being scraped")

    ill: dict[str, Any] = {f"ec2/{first}": {"node_memory_MemAvailable_bytes": 1e8}}
    watch.exporters_say({**ill, "opensearch": {"aws_es_cluster_status_red_maximum": 1}})
    rings_and_says(shop, "is short of memory")
    rings_and_says(search, "has lost data")

    watch.exporters_say({f"ec2/{second}": None})
    rings_and_says(shop, "does not answer", nth=2)
    ec2.terminate_instances(InstanceIds=[second, scaled])
    watch.slack_says("web-2 is gone", shop.channel, PATIENCE)
    is_over(search, SEARCH)
    gone = [one for one in shop.heads() if "is gone" in readable(one)]
    assert "web-3" not in readable(gone[0]), "what Auto Scaling ends is meant to end"
    ec2.terminate_instances(InstanceIds=[first])
    is_over(shop)


def test_one_of_a_pair_may_die_and_both_may_not(watch: Watch) -> None:
    one, other = watch.night.story("ann"), watch.night.story("ann")
    alarm = "on-call-heartbeat-silent"

    def alarm_is(state: str) -> bool:
        states = watch.night.system.control("GET", "aws", "alarms")
        return [each["state"] for each in states if each["name"] == alarm] == [state]

    def beats(more: int) -> None:
        seen = watch.heartbeats()
        wait_until(lambda: watch.heartbeats() >= seen + more, PATIENCE, "heartbeats")

    with served(create_site()) as site, served(create_site()) as other_site:
        files = [watch.targets(one, f"{site}/one"), watch.targets(other, f"{other_site}/other")]
        for story in (one, other):
            answers = f'probe_success{{product="{story.name}"}}'
            wait_until(lambda query=answers: watch.value(query) == 1, PATIENCE, "the sites answering")  # type: ignore[misc]
        beats(1)
        requests.put(f"{site}/_sim/site", json={"status": 503}, timeout=10).raise_for_status()
        rings_and_says(one, "one is down")

        watch.kill("alertmanager")
        requests.put(f"{other_site}/_sim/site", json={"status": 503}, timeout=10).raise_for_status()
        rings_and_says(other, "other is down")
        beats(4)  # longer than it takes to notice that one is dead
        assert not alarm_is("ALARM")
        for address in (site, other_site):
            requests.put(f"{address}/_sim/site", json={"status": 200}, timeout=10).raise_for_status()
        for story in (one, other):
            is_over(story)
            assert len(story.incidents()) == len(story.calls()) == 1, "two have told it, and one phone rang once"
        for file in files:
            file.unlink()

    calls = [call["sid"] for call in watch.night.system.calls() if call["to"] == NORA]
    watch.kill("alertmanager_2")
    last = time.time()

    def rings() -> dict[str, Any] | None:
        found = [call for call in watch.night.system.calls() if call["to"] == NORA and call["sid"] not in calls]
        return found[0] if found and found[0]["status"] == "ringing" else None

    call = wait_until(rings, PATIENCE, "the silence being told")
    assert call["created_at"] - last >= 2 * 60 / SPEED, "one lost heartbeat is no silence"
    watch.start("alertmanager", "alertmanager_2")
    wait_until(lambda: alarm_is("OK"), PATIENCE, "heartbeats being heard")
    wait_until(lambda: watch.night.system.calls() and rings() is None, PATIENCE, "the phone ringing no more")


def test_heartbeats_say_that_messages_arrive_and_not_that_anything_is_watched(watch: Watch) -> None:
    """So there are alerts for a Prometheus that has nothing to watch, or cannot read what to watch."""
    targets = watch.folder / "targets"
    kept = {file: file.read_text() for file in targets.glob("*.yml")}
    assert kept
    for file in kept:
        file.unlink()
    seen = watch.heartbeats()
    watch.slack_says("The monitoring: no URL is watched", CHANNEL, PATIENCE)
    wait_until(lambda: watch.heartbeats() > seen, PATIENCE, "heartbeats go on")

    broken = targets / "broken.yml"
    broken.write_text("- targets: [https://shop.example.com/\n")

    def told() -> bool:
        # A broken file is read once for each change, and every five minutes; a tired person saves it more than once.
        broken.touch()
        return watch.firing("Monitoring Discovery Alert(warning)")

    wait_until(told, PATIENCE, "the broken file being noticed")
    watch.slack_says("Prometheus cannot read what it has to watch", CHANNEL, PATIENCE)
    broken.unlink()
    for file, text in kept.items():
        file.write_text(text)
    wait_until(lambda: not watch.firing("URL Targets Alert(warning)"), PATIENCE, "a URL being watched again")
