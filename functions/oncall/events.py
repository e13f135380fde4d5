"""What those are answered who send events: PagerDuty's protocol, the sources of `alerts`, topics of SNS, heartbeats.

A 2xx only for what is durably accepted: an execution was started with the whole group in its input. What may pass raises
botocore's errors, which the handler answers with 503; what can never work is a 4xx that says why. `gateway` is
the host and stage that were asked.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from aws_lambda_powertools import Logger

from oncall import clock, heartbeats, roster
from oncall.alerts import (
    cloudwatch,
    datadog,
    generic,
    github,
    keys,
    mapped,
    pagerduty,
    sentry,
    sns,
    uptime_kuma,
    zabbix,
)
from oncall.alerts.alertmanager import read_webhook
from oncall.alerts.certificates import Certificate
from oncall.alerts.event import SourceEvent, group_of, to_input
from oncall.alerts.group import AlertGroup
from oncall.alerts.heartbeats import Word
from oncall.alerts.keys import Key
from oncall.errors import WebhookError
from oncall.roster.sources import CLOUDWATCH, Source
from oncall.services import Services

logger = Logger(child=True)

READERS: Mapping[str, Callable[[Mapping[str, Any], str], SourceEvent | None]] = {
    "datadog": datadog.read,
    "generic": generic.read,
    "github": github.read,
    "sentry": sentry.read,
    "uptime-kuma": uptime_kuma.read,
    "zabbix": zabbix.read,
}
WEBHOOKS = ("alertmanager", "grafana")  # which post Alertmanager's form
BUILT_IN = (*sorted((*READERS, CLOUDWATCH)), *WEBHOOKS)

_certificates: dict[str, Certificate] = {}  # of SNS, by their addresses


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `is_refused`: a known sender's event was refused for good, and nobody is rung for it."""

    status: int
    body: Mapping[str, Any]
    is_refused: bool = False
    is_unknown: bool = False  # the key opens nothing here


def enqueue(services: Services, gateway: str, body: str) -> Reply:
    """An event of PagerDuty's protocol. The statuses and their bodies are PagerDuty's."""
    if len(body.encode()) > pagerduty.MOST_BYTES:
        return _invalid(413, "Event is too large", ["an event has at most 512 KB"])
    event = _json(body)
    if not isinstance(event, dict):
        return _invalid(400, "Event object format is unrecognized", ["JSON parse error"])
    written = str(event.get("routing_key") or "")
    key = keys.find(services.table, written)
    if key is None or not _opens(key, pagerduty.SOURCE):
        wrong = "Invalid routing key" if written else "'routing_key' is missing or blank"
        return replace(_invalid(400, "Event object is invalid", [wrong]), is_refused=False, is_unknown=True)
    if wrong_parts := pagerduty.problems(event):
        return _invalid(400, "Event object is invalid", wrong_parts)
    if not keys.is_within_limit(services.table, written, now=services.now()):
        errors = [f"a routing key takes {keys.LIMIT} events a minute"]
        return Reply(
            429, {"status": "throttle exceeded", "message": "Too many events, send it again.", "errors": errors}
        )
    said = pagerduty.read(event, key.product)
    group = as_group(pagerduty.SOURCE, key, said, received_at=services.now())
    _accept(services, gateway, pagerduty.SOURCE, key, group, said.status)
    return Reply(202, {"status": "success", "message": "Event processed", "dedup_key": said.key})


def _invalid(status: int, message: str, errors: list[str]) -> Reply:
    return Reply(status, {"status": "invalid event", "message": message, "errors": errors}, is_refused=True)


def receive(services: Services, gateway: str, source: str, written: str | None, body: str) -> Reply:
    """An event of a source, with a key in its address; None where the gateway has looked at the bearer token."""
    key = Key("") if written is None else keys.find(services.table, written)
    if key is None or not _opens(key, source):
        told = f"This key is not known for events of {source}, or it was revoked. oncall key list shows what there is."
        return Reply(403, {"message": told}, is_unknown=True)
    known = None if source in BUILT_IN else roster.read_table(services.table).sources.get(source)
    if source not in BUILT_IN and (known is None or not known.fields):
        choices = ", ".join(BUILT_IN)
        told = f"There is no source {source[:50]!r}: there are {choices}, and those with fields in the roster, under sources."
        return Reply(404, {"message": told}, is_refused=True)
    payload = _json(body)
    if not isinstance(payload, dict):
        return Reply(400, {"message": "The body is not a JSON object.", "reason": _kind(payload)}, is_refused=True)
    if written is not None and not keys.is_within_limit(services.table, written, now=services.now()):
        return Reply(429, {"message": f"A key takes {keys.LIMIT} events a minute. Send it again."})
    if source == CLOUDWATCH:
        return _hear_topic(services, gateway, key, payload)
    try:
        said = read(source, payload, key.product, known, received_at=services.now())
    except WebhookError as error:
        return Reply(400, {"message": f"This is no event of {source}.", "reason": str(error)}, is_refused=True)
    if said is None:
        return Reply(202, {"status": "ignored", "message": "It says nothing of an alert: a test, or a state between."})
    group = as_group(source, key, said, received_at=services.now())
    said_status = said.status if isinstance(said, SourceEvent) else ""
    execution = _accept(services, gateway, source, key, group, said_status)
    dedup = {"dedup": said.key} if isinstance(said, SourceEvent) else {}
    return Reply(202, {"status": "accepted", "execution": execution, **dedup})


def _hear_topic(services: Services, gateway: str, key: Key, payload: Mapping[str, Any]) -> Reply:
    """What SNS posts of a topic to which alarms of CloudWatch publish.

    SNS posts again after 5xx, 429 and no answer; what is refused with another 4xx it drops, or puts into its dead-letter queue.
    """
    known = roster.read_table(services.table).sources.get(CLOUDWATCH) or Source(CLOUDWATCH)
    now = clock.at(services.now())
    try:
        message = sns.read(payload, topics=known.topics, fetch=services.fetch, known=_certificates, now=now)
        group = _of_topic(services, key, message, known)
    except sns.UntrustedError as error:
        return Reply(403, {"message": "This is not believed.", "reason": str(error)}, is_refused=True)
    except (WebhookError, LookupError) as error:
        return Reply(400, {"message": "This is no message of an alarm's topic.", "reason": str(error)}, is_refused=True)
    except OSError:
        logger.exception("SNS does not answer")
        return Reply(503, {"message": "SNS does not answer. Send it again."})
    if group is None:
        return Reply(202, {"status": "ignored", "message": "It says nothing: no data, or an alarm that never rings."})
    return Reply(202, {"status": "accepted", "execution": _accept(services, gateway, CLOUDWATCH, key, group, "")})


def _of_topic(services: Services, key: Key, message: sns.Message, known: Source) -> AlertGroup | None:
    """The group that a topic's message tells of, which EventBridge's is as well; None if it tells nothing.

    Confirms a subscription. Its end is a warning: no alarm comes by this topic any more.
    """
    account = message.topic.split(":")[4]
    if message.kind == "SubscriptionConfirmation":
        services.fetch(message.confirm_at)
    if message.kind != "Notification":
        is_over = message.kind == "UnsubscribeConfirmation"
        return cloudwatch.subscription(message.topic, is_over=is_over, product=key.product, received_at=services.now())
    event = cloudwatch.event_of_message(message.text)
    if cloudwatch.is_left_out(event, services.settings.stack):
        return None
    group = cloudwatch.read_event(event, known, key.product)
    if (
        group and event["account"] != account
    ):  # whoever may publish to a topic has no say in the alarms of another account
        return replace(group, source=f"{CLOUDWATCH}/{account}")
    return group


def read(
    source: str, payload: Mapping[str, Any], product: str, known: Source | None, *, received_at: int
) -> SourceEvent | AlertGroup | None:
    """What a payload says; None if nothing. Raises WebhookError with what is wrong."""
    if source in WEBHOOKS:
        group = read_webhook(payload, received_at=received_at)
        if payload.get("status") not in ("firing", "resolved"):
            raise WebhookError(f"status {str(payload.get('status'))[:50]!r} is neither firing nor resolved")
        common = {"product": product, **group.common} if product else group.common
        return replace(group, common=common, product=group.product or product)
    if source in READERS:
        return READERS[source](payload, product)
    if source == CLOUDWATCH:
        published = payload.get("Message", "") if "Type" in payload else json.dumps(payload)
        event = payload if "detail" in payload else cloudwatch.event_of_message(str(published))
        return cloudwatch.read_event(event, known or Source(CLOUDWATCH), product)
    if known is None:
        raise WebhookError(f"there is no source {source!r}")
    return mapped.read(payload, product, known)


def as_group(source: str, key: Key, said: SourceEvent | AlertGroup, *, received_at: int) -> AlertGroup:
    """The group that a key's holder may speak of: source and key are part of what it is."""
    group = group_of(source, said, received_at=received_at) if isinstance(said, SourceEvent) else said
    return replace(group, source=f"{source}/{key.name}", sender=source)


def _accept(services: Services, gateway: str, source: str, key: Key, group: AlertGroup, said: str) -> str:
    """Starts an execution for a group; returns its name. Raises botocore's errors: then it was not accepted.

    `said` is what a source says of one thing (`SourceEvent.status`); empty for a group of several.
    """
    name = f"event-{uuid4()}"
    about = group.alerts[0].annotations.get("summary") or group.key
    given: dict[str, Any] = {
        "source": source,
        "about": about[:200],
        "by": key.name,
        "said": said,
        "group": to_input(group),
        "gateway": gateway,
    }
    services.start(name, given)
    logger.info("accepted", source=source, key=key.name, group=group.id, execution=name)
    return name


def beat(services: Services, gateway: str, written: str, word: Word) -> Reply:
    """A heartbeat's word: beat, start or fail."""
    key = keys.find(services.table, written)
    if key is None or not key.heartbeat:
        told = "This key is no heartbeat's, or it was revoked. oncall key add NAME --heartbeat ID makes one."
        return Reply(403, {"message": told}, is_unknown=True)
    heartbeats.hear(services, gateway, key.heartbeat, word)
    return Reply(200, {"heartbeat": key.heartbeat, "word": word})


def _opens(key: Key, source: str) -> bool:
    return not key.heartbeat and key.source in ("", source)


def _json(body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _kind(payload: object) -> str:
    return "JSON parse error" if payload is None else f"it is of the type {type(payload).__name__}"
