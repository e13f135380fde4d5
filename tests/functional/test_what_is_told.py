"""What calls, Slack and texts tell of alerts as others write them, from the webhook on."""

from typing import Any

import pytest

from tests.builders import World, alert, webhook


def job(annotations: dict[str, str], **labels: str) -> Any:
    """A webhook of one alert with these annotations and no others."""
    one = alert("KubeJobFailed", labels={"instance": "kube-1", **labels}) | {"annotations": annotations}
    return webhook(one, product="shop")


@pytest.fixture(autouse=True)
def sender(world: World) -> None:
    """The stack has something that texts come from."""
    world.telephone.text_sender = "+12025550199"


def told(world: World, hook: Any) -> tuple[str, str, str]:
    """The call's words, Slack's text, and the text message to whoever takes it."""
    run = world.fire(hook)
    assert world.project(run.decision["incidents"][0]).done
    twiml = world.last_call.twiml
    world.hears(world.last_call, "1")
    return twiml, world.slack.posts[0].text, world.telephone.texts[-1][1]


def test_a_message_is_told_everywhere(world: World) -> None:
    call, slack, text = told(world, job({"message": "Job default/backup failed to complete."}))
    assert "Job default backup failed to complete." in call
    assert "Job default/backup failed to complete." in slack
    assert text.startswith("You have it: Job default/backup failed to complete.\n")


@pytest.mark.parametrize("blank", ["\n  ", "🔥", "-"])
def test_of_a_blank_summary_the_name_is_told_everywhere(world: World, blank: str) -> None:
    call, slack, text = told(world, job({"summary": blank}))
    assert "Kube Job Failed: kube 1." in call
    assert "KubeJobFailed: kube-1" in slack
    assert text.startswith("You have it: KubeJobFailed: kube-1\n")


def test_what_no_voice_reads_is_in_slack_and_in_the_text(world: World) -> None:
    call, slack, text = told(world, job({"summary": "Резервное копирование не выполнено"}))
    assert "On-call alert for shop. Kube Job Failed: kube 1. What it says is in another language." in call
    assert "Резервное" not in call
    assert "Резервное копирование не выполнено" in slack
    assert "Резервное копирование не выполнено" in text


def test_a_time_for_eyes_is_said_for_ears(world: World) -> None:
    call, slack, _ = told(world, job({"summary": "The certificate expires on 2026-12-01 00:00:00 +0000 UTC"}))
    assert "The certificate expires on December 1, 2026, midnight UTC." in call
    assert "2026-12-01" in slack
