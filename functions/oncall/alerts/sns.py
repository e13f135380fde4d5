"""What SNS posts to a subscriber: a subscription to confirm, a message, the end of a subscription. Each is signed.

SNS, "Fanout Amazon SNS notifications to HTTPS endpoints" and "Verifying the signatures of Amazon SNS messages": the signature
is over some of the fields, SHA-1 with SignatureVersion 1 and SHA-256 with 2, by the key of the certificate at SigningCertURL.
That is trusted because it comes from a host of SNS's over HTTPS, whose chain of certificates is looked at, and is made out to
SNS. Everybody can have a topic, so a signature alone says nothing: the topic has to be one that the roster names.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args
from urllib.parse import SplitResult, parse_qs, urlsplit

from oncall.alerts import certificates
from oncall.alerts.certificates import Certificate, Hash
from oncall.errors import WebhookError

Kind = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]

KINDS: tuple[Kind, ...] = get_args(Kind)
# "The total policy retry time for an HTTP/S endpoint cannot be greater than 3,600 seconds", and clocks differ.
OLDEST = timedelta(seconds=3_600 + 300)
_HOST = re.compile(r"sns\.([a-z0-9-]{3,})\.amazonaws\.com(\.cn)?")
_OWNER = re.compile(r"sns[a-z0-9.-]*\.amazonaws\.com(\.cn)?")  # whom its certificates are made out to
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[A-Za-z0-9_-]+\.pem")
_HASHES: Mapping[str, Hash] = {"1": "sha1", "2": "sha256"}
_KEPT = 4  # certificates

Fetch = Callable[
    [str], bytes
]  # what is at an address of AWS's; raises LookupError if there is nothing, OSError if it may pass


class UntrustedError(WebhookError):
    """It is not signed by SNS, or of a topic that nobody has named; the message says which."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a topic says. `confirm_at` is where a subscription is confirmed; `text` is what was published."""

    kind: Kind
    topic: str  # its ARN
    text: str
    confirm_at: str = ""


def read(
    given: Mapping[str, Any], *, topics: Collection[str], fetch: Fetch, known: dict[str, Certificate], now: datetime
) -> Message:
    """The message in a body. `known` keeps certificates by their addresses.

    Raises WebhookError for what is no message of SNS's, UntrustedError for what is not to be believed, and what `fetch` raises.
    """
    kind = _kind(given)
    fields = {name: _text(given, name) for name in ("TopicArn", "Message", "MessageId", "Timestamp", "SigningCertURL")}
    topic = fields["TopicArn"]
    if topic not in topics:
        told = f"the topic {topic[:300]!r} is not in the roster: write it under sources, cloudwatch, topics"
        raise UntrustedError(told)
    certificate = _certificate(fields["SigningCertURL"], fetch, known)
    if not certificate.begins_at <= now <= certificate.ends_at or not _OWNER.fullmatch(certificate.name):
        raise UntrustedError("the certificate at SigningCertURL has run out, or is not made out to SNS")
    by = _HASHES.get(str(given.get("SignatureVersion")))
    if by is None:
        raise WebhookError("SignatureVersion is neither 1 nor 2")
    try:
        signature = base64.b64decode(_text(given, "Signature"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookError("Signature is not written in Base64") from error
    if not certificates.is_signed(certificate, _signed(kind, given), signature, by):
        raise UntrustedError("the signature is not SNS's")
    _check_age(fields["Timestamp"], now)
    confirm_at = _confirm_address(given, topic) if kind == "SubscriptionConfirmation" else ""
    return Message(kind, topic, fields["Message"], confirm_at)


def _kind(given: Mapping[str, Any]) -> Kind:
    for kind in KINDS:
        if given.get("Type") == kind:
            return kind
    if "AlarmName" in given:
        raise WebhookError("it is not signed: turn raw message delivery off for this subscription")
    raise WebhookError(f"the body is no message of SNS: Type is none of {', '.join(KINDS)}")


def _signed(kind: Kind, given: Mapping[str, Any]) -> bytes:
    """The text that is signed: names and values, a line each."""
    more = ("Subject",) if kind == "Notification" else ("SubscribeURL", "Token")
    names = sorted(("Message", "MessageId", "Timestamp", "TopicArn", "Type", *more))
    return "".join(f"{name}\n{given[name]}\n" for name in names if given.get(name) is not None).encode(
        "utf-8", "surrogatepass"
    )


def _certificate(address: str, fetch: Fetch, known: dict[str, Certificate]) -> Certificate:
    if address not in known:
        parts = _at_sns(address)
        if parts is None or not _CERTIFICATE_PATH.fullmatch(parts.path) or parts.query:
            raise UntrustedError("SigningCertURL is no address of SNS's certificates")
        try:
            found = certificates.read(fetch(address))
        except (LookupError, ValueError) as error:
            raise UntrustedError("there is no certificate of SNS at SigningCertURL") from error
        while len(known) >= _KEPT:
            del known[next(iter(known))]
        known[address] = found
    return known[address]


def _at_sns(address: str) -> SplitResult | None:
    """The parts of an address at SNS: https, a host of its own, no other port, nobody's name. None of any other."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts if parts.scheme == "https" and _HOST.fullmatch(parts.netloc) else None


def _confirm_address(given: Mapping[str, Any], topic: str) -> str:
    address = _text(given, "SubscribeURL")
    parts = _at_sns(address)
    asked = parse_qs(parts.query) if parts else {}
    if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [topic]:
        raise UntrustedError("SubscribeURL is no address of SNS's that confirms a subscription to this topic")
    return address


def _check_age(written: str, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(written)
    except ValueError as error:
        raise WebhookError(f"Timestamp {written[:50]!r} is no time") from error
    if at.tzinfo is None or abs(now - at) > OLDEST:
        raise UntrustedError("the message is older than SNS's tries last")


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise WebhookError(f"{name} is missing, or no text")
    return value
