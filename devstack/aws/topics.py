"""SNS over HTTP(S): a subscriber has to confirm, and finds the certificates that messages are signed with.

moto posts what is published, once and without SNS's headers; but it signs all but the subject, and asks nobody to confirm.
Here the subject is signed too, and a subscription counts from its confirmation on.
"""

import base64
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

_SECONDS = 30  # that a subscriber is waited for


class Topics:
    """The subscriptions of a region that are not confirmed yet. `failed` is told of subscribers that do not answer."""

    def __init__(self, *, region: str, account: str, failed: Callable[[str], None]):
        self._region = region
        self._account = account
        self._failed = failed
        self._pending: dict[tuple[str, str], Any] = {}  # by topic and token

    def certificate(self, name: str) -> bytes | None:
        """A certificate, by the name of its file."""
        found: bytes | None = self._backend()._message_public_keys.get(name)  # noqa: SLF001  moto has no other way
        return found

    def subscribed(self, form: Mapping[str, str]) -> None:
        """Somebody has subscribed an address: what is there is asked to confirm."""
        backend, topic, endpoint = self._backend(), form["TopicArn"], form["Endpoint"]
        for subscription in list(backend.subscriptions.values()):
            if subscription.topic.arn == topic and subscription.endpoint == endpoint:
                token = uuid4().hex
                self._pending[topic, token] = backend.subscriptions.pop(subscription.arn)
                threading.Thread(target=self._ask, args=(subscription, token), daemon=True).start()

    def confirm(self, topic: str, token: str) -> bool:
        """Whether there was such a subscription to confirm; it counts now."""
        subscription = self._pending.pop((topic, token), None)
        if subscription is not None:
            body_of = subscription.get_post_data
            subscription.get_post_data = lambda *given: _signed(subscription, body_of(*given))
            self._backend().subscriptions[subscription.arn] = subscription
        return subscription is not None

    def _ask(self, subscription: Any, token: str) -> None:
        topic = subscription.topic.arn
        asked = {"Action": "ConfirmSubscription", "TopicArn": topic, "Token": token}
        body = {
            **subscription.get_post_data(f"You have chosen to subscribe to the topic {topic}.", str(uuid4()), None),
            "Type": "SubscriptionConfirmation",
            "Token": token,
            "SubscribeURL": f"https://sns.{self._region}.amazonaws.com/?{urlencode(asked)}",
        }
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "SubscriptionConfirmation"}
        try:
            answer = requests.post(
                subscription.endpoint, json=_signed(subscription, body), headers=headers, timeout=_SECONDS
            )
            answer.raise_for_status()
        except requests.RequestException as error:  # its text has the address, which may hold a key
            self._failed(f"a subscriber of {topic} did not confirm: {type(error).__name__}")

    def _backend(self) -> Any:
        from moto.sns.models import sns_backends  # noqa: PLC0415  moto reads its settings when it is imported

        return sns_backends[self._account][self._region]


def _signed(subscription: Any, body: Mapping[str, Any]) -> dict[str, Any]:
    """A message with the signature of its subscription's key, as SNS makes it."""
    more = ("Subject",) if body["Type"] == "Notification" else ("SubscribeURL", "Token")
    names = sorted(("Message", "MessageId", "Timestamp", "TopicArn", "Type", *more))
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    signature = subscription.private_key().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {**body, "Signature": base64.b64encode(signature).decode()}
