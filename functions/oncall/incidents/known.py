"""Which alerts an incident has had: each is known until it is said to be resolved.

Alertmanager may say less than there is. A list is cut (`max_alerts`, the gateway), and what was cut off is neither new
when it comes into view nor resolved when it does not. After a reload or a restart a part of the active alerts comes
first, and all of them minutes later (prometheus/alertmanager#3407).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from oncall.alerts.group import Alert, AlertGroup
from oncall.incidents.model import Incident

# An item of the table holds 400 KB; an alert takes about 25 bytes here. Of those beyond, their start tells what is new.
MOST_KNOWN = 1_000
# A group that fires is repeated more often than this (Alertmanager: every 4 hours by default).
FORGOTTEN_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Heard:
    """What an incident knows after one more word of its group. Times are epoch milliseconds.

    `known`: the alerts by their fingerprints, each with since when the words have left it out (0: the last one had it).
    `unseen`: whether there may have been alerts that no word has shown.
    """

    known: Mapping[str, int]
    unseen: bool
    new: tuple[Alert, ...]
    is_cut: bool

    @property
    def at_least(self) -> bool:
        """Whether more alerts may fire than the last word has shown."""
        return self.is_cut or any(self.known.values())

    @property
    def changes(self) -> dict[str, object]:
        """What of it the incident keeps."""
        return {"known": dict(self.known), "unseen": self.unseen, "at_least": self.at_least}


def hear(incident: Incident | None, group: AlertGroup) -> Heard:
    """What an incident knows after this word; one that is not there yet (None) has had nothing."""
    before: Mapping[str, int] = incident.known if incident else {}
    firing = {alert.fingerprint: alert for alert in group.firing if group.product_of(alert) == group.product}
    resolved = {alert.fingerprint for alert in group.alerts if alert.status == "resolved"}
    left_out = {
        one: since or group.received_at for one, since in before.items() if one not in firing and one not in resolved
    }
    known = dict.fromkeys(firing, 0) | left_out
    return Heard(
        known=dict(list(known.items())[:MOST_KNOWN]),
        unseen=bool(incident and incident.unseen) or group.left_out > 0 or len(known) > MOST_KNOWN,
        new=tuple(alert for alert in firing.values() if _is_new(alert, incident, group)),
        is_cut=group.left_out > 0,
    )


def _is_new(alert: Alert, incident: Incident | None, group: AlertGroup) -> bool:
    """Whether an incident has not had this alert, or had it in another episode, whose end was not said.

    One that was left out has another episode if it began after that; one that never was, if it began after the last word
    of its group, and there was none for hours. One that was never shown is new unless it may have been among those cut off.
    """
    if incident is None:
        return True
    if alert.fingerprint in incident.known:
        since = incident.known[alert.fingerprint]
        if since:
            return alert.started_at > since
        return group.received_at - incident.received_at > FORGOTTEN_MS and alert.started_at > incident.received_at
    return not (incident.unseen and 0 < alert.started_at <= incident.received_at)
