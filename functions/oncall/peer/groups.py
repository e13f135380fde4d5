"""What one stack tells the other of an alert group: whether it has accepted it, and by whom it is taken.

An alert group has a share for each product that its alerts name. A share is known if every alert that fires in the asker's
word is known here, or if a later word of it came here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from oncall import incidents, pages
from oncall.alerts.group import AlertGroup
from oncall.incidents import Incident
from oncall.incidents.known import MOST_KNOWN
from oncall.services import Services

# By so much the same word may come later to one stack than to the other.
LATE_MS = 5_000
# After so long without a call that could be placed, or without a living owner, a page is in nobody's hands.
STUCK_MS = 60_000


def question(group: AlertGroup, shares: Sequence[AlertGroup]) -> dict[str, Any]:
    """What is asked of a group that fires."""
    return {
        "group": group.id,
        "received_at": group.received_at,
        "shares": [
            {
                "product": share.product,
                "fingerprints": [alert.fingerprint for alert in share.firing][:MOST_KNOWN],
                "unseen": share.left_out > 0 and not share.firing,
            }
            for share in shares
        ],
    }


def answer(services: Services, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What this stack knows of each share."""
    received_at = int(asked["received_at"])
    return {
        "shares": [_share(services, str(asked["group"]), share, received_at=received_at) for share in asked["shares"]]
    }


def _share(services: Services, group: str, share: Mapping[str, Any], *, received_at: int) -> dict[str, Any]:
    product = str(share["product"])
    pointer = incidents.pointer_of(services.table, group, product)
    incident = incidents.read(services.table, pointer.incident) if pointer and pointer.open else None
    if incident is None:
        is_known = bool(pointer and pointer.resolved_received_at + LATE_MS >= received_at)
        return {"product": product, "known": is_known, "pending": False}
    known = incident.known
    is_known = incident.received_at > received_at + LATE_MS or (
        not share.get("unseen") and (len(known) >= MOST_KNOWN or set(share["fingerprints"]) <= set(known))
    )
    return {
        "product": product,
        "known": is_known,
        "pending": is_known and _is_pending(incident),
        "stuck": is_known and _is_stuck(services, incident),
        "incident": incident.id,
        "message": _message(incident),
    }


def _message(incident: Incident) -> dict[str, str]:
    """Its message in Slack, as an item has it; nothing before it was posted."""
    shown = incident.slack
    return {"slack_channel": shown.channel, "slack_ts": shown.ts, "slack_link": shown.link} if shown.ts else {}


def _is_pending(incident: Incident) -> bool:
    """Whether somebody is to be woken for it, and nobody has it."""
    is_loud = incident.severity == "critical" and incident.call
    return incident.state == "triggered" and is_loud and not incident.unanswered


def _is_stuck(services: Services, incident: Incident) -> bool:
    """Whether its page has gone on for too long without a call that could be placed, or without an owner."""
    if not _is_pending(incident):
        return False
    now = services.now()
    page = pages.read(services.table, incident.policy)
    if page is None or not page.covers(incident.id):
        return now - incident.changed_at > 2 * STUCK_MS
    if page.unavailable_since and now - page.unavailable_since > STUCK_MS:
        return True
    return page.is_open and now - page.lease_until > STUCK_MS
