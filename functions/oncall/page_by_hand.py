"""A page by hand: somebody wakes whoever is on call for a product, without any alert."""

from collections.abc import Mapping
from typing import Any

from oncall.alertmanager import TEXT_LIMIT, Alert, AlertGroup
from oncall.errors import WebhookError
from oncall.incidents import TEST_LABEL
from oncall.times import at


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
        ends_at="",
        generator_url="",
        fingerprint=group,
    )
    return AlertGroup(
        key=f"page:{group}",
        status="firing",
        severity="critical",
        severity_note="",
        product=product,
        alerts=(alert,),
        left_out=0,
        cut_characters=0,
        external_url="",
        received_at=moment,
    )
