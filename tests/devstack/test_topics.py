"""The devstack's topics as a subscriber over HTTP meets them, read by the product's own eyes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws
from werkzeug.wrappers import Request, Response

from devstack.aws.topics import Topics
from oncall.alerts import sns
from oncall.alerts.sns import Message
from tests.devstack.console_stage import eventually, served

ACCOUNT, REGION = "123456789012", "eu-central-1"


class Subscriber:
    """An address that a topic is subscribed to, and a topic."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.failed: list[str] = []
        self.topics = Topics(region=REGION, account=ACCOUNT, failed=self.failed.append)
        self.client: Any = boto3.client("sns", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
        self.topic: str = self.client.create_topic(Name="alarms")["TopicArn"]

    def respond(self, request: Request) -> Response:
        self.heard.append(json.loads(request.get_data()))
        return Response()

    def subscribe(self, address: str) -> None:
        self.client.subscribe(TopicArn=self.topic, Protocol="http", Endpoint=address)
        self.topics.subscribed({"TopicArn": self.topic, "Endpoint": address, "Protocol": "http"})

    def read(self) -> Message:
        """The newest message, as ReceiveEvent reads it."""

        def fetch(address: str) -> bytes:
            found = self.topics.certificate(urlsplit(address).path.removeprefix("/"))
            assert found, address
            return found

        return sns.read(self.heard[-1], topics=[self.topic], fetch=fetch, known={}, now=datetime.now(UTC))


@pytest.fixture
def subscriber() -> Iterator[tuple[Subscriber, str]]:
    with mock_aws():
        made = Subscriber()
        with served(Request.application(made.respond)) as address:
            yield made, address


def test_a_subscriber_hears_what_it_can_believe_and_nothing_before_it_has_confirmed(
    subscriber: tuple[Subscriber, str],
) -> None:
    at, address = subscriber
    at.subscribe(address)
    eventually(lambda: len(at.heard) == 1, "it is asked to confirm")
    asked = at.read()
    assert asked.kind == "SubscriptionConfirmation"
    at.client.publish(TopicArn=at.topic, Message="too early")
    token = parse_qs(urlsplit(asked.confirm_at).query)["Token"][0]
    assert not at.topics.confirm(at.topic, "another")
    assert at.topics.confirm(at.topic, token)
    assert not at.topics.confirm(at.topic, token), "a token counts once"
    for subject in ({}, {"Subject": 'ALARM: "shop" ü'}):
        at.client.publish(TopicArn=at.topic, Message="{}\nü", **subject)
        message = at.read()
        assert (message.kind, message.text) == ("Notification", "{}\nü")
    assert len(at.heard) == 3


def test_a_subscriber_that_does_not_answer_is_told_of_without_its_address(subscriber: tuple[Subscriber, str]) -> None:
    at, _ = subscriber
    at.subscribe("http://127.0.0.1:1/events/cloudwatch/secret")
    eventually(lambda: bool(at.failed), "it is told of")
    assert "secret" not in at.failed[0]
