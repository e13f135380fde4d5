"""A page by hand: somebody wakes whoever is on call for a product, without any alert."""

from collections.abc import Mapping
from typing import Any

from oncall.alerts.group import TEST_LABEL, TEXT_LIMIT, Alert, AlertGroup
from oncall.clock import at
from oncall.errors import WebhookError
from oncall.roster import Roster
from oncall.roster.schedules import OnCall, responders_on_call


class NobodyRingsError(Exception):
    """A page would ring no phone: the product is for Slack only, or nobody is on call by the policy."""

    def __init__(self, *, slack_only: bool, policy: str) -> None:
        super().__init__("for Slack only" if slack_only else f"nobody is on call by policy {policy}")
        self.slack_only = slack_only
        self.policy = policy


def whom(roster: Roster, product: str, now: int) -> tuple[OnCall, ...]:
    """Whom a page for a product would ring, in order. Raises NobodyRingsError."""
    policy = roster.policy_for(product)
    if not roster.product(product).call:
        raise NobodyRingsError(slack_only=True, policy=policy.id)
    order = responders_on_call(roster, policy, at(now))
    if not order:
        raise NobodyRingsError(slack_only=False, policy=policy.id)
    return order


def request(
    execution: str, *, product: str, text: str, by: str, now: int, gateway: str, is_test: bool = False
) -> dict[str, Any]:
    """The input of the execution of that name. `gateway` is its address without https://, stage included."""
    return {
        "source": "command",
        "about": text[:200],
        "id": execution,
        "product": product,
        "text": text,
        "by": by,
        "at": now,
        "gateway": gateway,
        "test": is_test,
    }


def read_page(request: Mapping[str, Any]) -> AlertGroup:
    """The alert group of {"id", "product", "text", "by": a name, "at": epoch milliseconds, "test": whether it counts}.

    Each `id` is a group of its own: nobody but a person resolves its incident. Raises WebhookError with what is wrong.
    """
    try:
        group, product, text, by = (str(request[name]).strip() for name in ("id", "product", "text", "by"))
        moment = int(request["at"])
    except (KeyError, TypeError, ValueError) as error:
        raise WebhookError(f"the page cannot be read: {error!r}") from error
    if not (group and text and by):
        raise WebhookError("the page says neither what it is about nor who asks for it")
    labels = {"alertname": f"Paged by {by}"[:200], "product": product, "severity": "critical"}
    if request.get("test"):
        labels[TEST_LABEL] = "true"
    alert = Alert(
        status="firing",
        labels=labels,
        annotations={"summary": text[:TEXT_LIMIT]},
        starts_at=at(moment).isoformat(),
        fingerprint=group,
    )
    return AlertGroup(
        key=f"page:{group}",
        severity="critical",
        product=product,
        alerts=(alert,),
        source="command",
        received_at=moment,
    )
