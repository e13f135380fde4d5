"""Shadow on the whole system: everything runs, no telephone does; and what goes live rings."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from oncall_cli.main import app
from tests.devstack_fixture import running_devstack, wait_until
from tests.e2e.conftest import ROSTER, night_of
from tests.e2e.story import Night, Story

APART = "C0SHADOW01"


@pytest.fixture(scope="module")
def dusk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A stack that is in shadow as a whole."""
    more = {"MODE": "shadow", "SHADOW_CHANNEL": APART}
    with running_devstack(tmp_path_factory.mktemp("dusk"), MONITORING="0", ROSTER=ROSTER, **more) as system:
        system.control("PUT", "slack", f"channels/{APART}", {"name": "on-call-shadow"})
        yield night_of(system)


def command(story: Story, *arguments: str) -> Any:
    """What `oncall ... --json` prints of the story's system."""
    devstack = {"DEVSTACK_DIR": str(story.system.directory)}
    ran = CliRunner().invoke(app, [*arguments, "--devstack", "--json"], env=devstack)
    if ran.exception and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return json.loads(ran.stdout)


def test_a_stack_in_shadow_decides_and_tells_everything_and_rings_nobody(dusk: Night) -> None:
    story = replace(dusk.story("alice", "bob", ring_seconds=5), channel=APART)
    execution = story.fire()
    story.tells("would have rung Alice")
    story.tells("would have rung Bob")
    first, second = [event["detail"]["second"] for event in story.timeline() if event["kind"] == "ringing"][:2]
    assert first < 10
    assert second >= first + 5, "it rang for as long as a phone would"
    message = story.message()
    assert message["text"].startswith("🔴 [SHADOW: nobody is rung]")
    story.presses_acknowledge("alice")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    assert story.outcome(execution)["result"] == "success", "the loop has stopped as if by phone"
    story.resolve()
    story.becomes("resolved")
    told = story.is_told()
    assert story.calls() == []
    assert [story.texts(person) for person in story.phones] == [[], []]
    assert story.published() == []
    assert told["channel"] == APART
    assert not [one["text"] for one in story.messages() if "<@" in one["text"] or "<!" in one["text"]]


def test_what_nobody_takes_in_shadow_ends_and_disturbs_nobody(dusk: Night) -> None:
    story = replace(dusk.story("carol", ring_seconds=5), channel=APART)
    execution = story.fire()
    assert story.outcome(execution)["result"] == "fail"
    assert "Live, the fallback channel would be told." in story.tells("Nobody took it here")
    assert (story.calls(), story.published()) == ([], [])


def test_the_report_is_compared_with_what_another_system_has_told(dusk: Night) -> None:
    story = replace(dusk.story("dave", ring_seconds=5), channel=APART)
    story.finished(story.fire())
    ours = [row for row in command(story, "shadow", "report")["rings"] if row["who"] == "Dave"]
    assert [(row["mode"], row["product"], row["second"] < 10) for row in ours] == [("shadow", story.name, True)]
    log = story.system.directory / "notifications.csv"
    log.write_text(f"started_at,type,user.summary\n{ours[0]['time']},phone_notification,Dave\n")
    against = command(story, "shadow", "report", "--against", str(log))["against"]
    assert [(one["who"], abs(one["seconds"]) <= 1) for one in against["alike"]] == [("Dave", True)]
    assert "Dave" not in {one["who"] for one in against["only_here"]}


def test_the_doctor_says_that_the_stack_is_in_shadow(dusk: Night) -> None:
    checks = command(dusk.story("erin"), "doctor")["checks"]
    (found,) = [check for check in checks if check["name"] == "shadow"]
    assert (found["level"], found["says"].partition(", since")[0]) == ("warning", "nobody is rung for the whole stack")


def test_a_product_goes_live_while_it_rings_in_shadow_and_a_phone_rings(night: Night) -> None:
    story = night.story("alice", ring_seconds=5, rounds=20, product={"shadow": True})
    story.fire()
    wait_until(lambda: (story.incident() or {}).get("policy") == f"shadow:{story.name}", what="an incident in shadow")
    story.happened("ringing")
    assert story.calls() == []
    story.writes(
        f"POLICY#{story.name}", {"steps": [{"responder": story.id_of("alice")}], "rounds": 1, "ring_seconds": 60}
    )
    story.writes(f"PRODUCT#{story.name}", {"policy": story.name, "slack_channel": story.channel, "language": "en"})
    story.takes("alice")
    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    assert "went_live" in story.kinds()
    story.is_told()
    assert "SHADOW" not in story.message()["text"], "in the product's own channel"


def test_a_live_product_rings_beside_one_of_its_policy_in_shadow(night: Night) -> None:
    story = night.story("alice", product={"shadow": True})
    story.writes(f"PRODUCT#{story.name}-live", {"policy": story.name, "slack_channel": story.channel})
    story.fire()
    story.happened("ringing")
    story.fire("other", product=f"{story.name}-live", labels={"product": f"{story.name}-live"})
    story.takes("alice")
    assert len(story.calls()) == 1
