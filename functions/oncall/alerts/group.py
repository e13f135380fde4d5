"""The one form of what any source says: an alert group, and each product's share of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from oncall import severities
from oncall.clock import milliseconds
from oncall.severities import Level

Severity = Literal["critical", "warning"]
Status = Literal["firing", "resolved"]

TEXT_LIMIT = 1_000  # characters of one label or annotation that are kept
TEST_LABEL = "oncall_test"  # with the value true it marks an alert that is only a test
KEPT_ALERTS = 10  # alerts of a group whose texts are kept; all are counted


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Times are RFC 3339 as Alertmanager wrote them."""

    status: Status
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: str
    fingerprint: str
    ends_at: str = ""
    generator_url: str = ""
    # Of Grafana's alerts; empty elsewhere.
    silence_url: str = ""
    graph_url: str = ""  # of the panel, or of its dashboard
    value: str = ""  # what was measured

    @property
    def started_at(self) -> int:
        """When it began, in epoch milliseconds; 0 if that is not written as a time."""
        return milliseconds(self.starts_at)


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """One webhook: what Alertmanager says of a group at one moment. Or one product's share of it (`by_product`).

    What fires decides: neither the written status, nor what is resolved, nor what was cut off.
    """

    key: str
    severity: Severity
    product: str
    alerts: tuple[Alert, ...]
    received_at: int  # when the gateway took it, epoch milliseconds
    severity_note: str = ""  # why the severity is not the written one: "missing", "unseen", "odd …"; empty if it is
    left_out: int = 0  # alerts that Alertmanager or the gateway cut off, and that may fire
    cut_characters: int = 0  # size of a webhook that the gateway cut to fit, in characters; 0 if it was not
    external_url: str = ""
    matchers: str = (
        ""  # what selects these alerts in Alertmanager's pages and silences; empty if that cannot be written
    )
    sender: str = "alertmanager"  # whose pages the links of a group lead to
    common: Mapping[str, str] = field(default_factory=dict)  # labels that all its alerts have, those cut off as well
    # The door by which it came. Whoever may use one door opens and resolves the groups of that one alone.
    source: str = "alertmanager"

    @property
    def id(self) -> str:
        """The source and the group key as a key of the table: a group key can hold any character and be of any length.

        Alertmanager's groups have the hash alone, which no other source's can be.
        """
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:32]
        return digest if self.source == "alertmanager" else f"{self.source}-{digest}"

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire."""
        return tuple(alert for alert in self.alerts if alert.status == "firing")

    @property
    def is_over(self) -> bool:
        """Whether nothing of the group fires: each of its alerts is resolved."""
        return not self.firing and not self.left_out

    def product_of(self, alert: Alert) -> str:
        """The product that an alert of the group names."""
        return alert.labels.get("product") or self.common.get("product", "")


def by_product(group: AlertGroup, meant: Mapping[str, Level]) -> tuple[AlertGroup, ...]:
    """The shares of the products that a group's alerts name, the loudest first: each has its own people and channel.

    `meant` is the roster's `severities`. What fires and means nothing by it is left out.
    """
    of: dict[str, list[Alert]] = {}
    for alert in group.alerts:
        if alert.status == "resolved" or severities.meaning(alert.labels.get("severity", ""), meant).level != "none":
            of.setdefault(group.product_of(alert), []).append(alert)
    shares = []
    for product, alerts in of.items():
        severity, note = severity_of(alerts, group.common, meant, unseen=group.left_out > 0)
        shares.append(replace(group, product=product, alerts=tuple(alerts), severity=severity, severity_note=note))
    return tuple(sorted(shares, key=lambda share: (not share.firing, share.severity != "critical")))


def unseen_share(group: AlertGroup, meant: Mapping[str, Level]) -> AlertGroup | None:
    """What may fire among the alerts that were cut off: it names no product.

    None if it can be nothing critical, if all have the same product, or if nothing fires of what was shown.
    """
    written = group.common.get("severity", "")
    is_less = bool(written) and severities.meaning(written, meant).level != "critical"
    if not group.left_out or not group.firing or group.common.get("product") or is_less:
        return None
    return replace(group, product="", severity="critical", severity_note="unseen")


def severity_of(
    alerts: Sequence[Alert], common: Mapping[str, str], meant: Mapping[str, Level], *, unseen: bool
) -> tuple[Severity, str]:
    """The highest severity of what fires; if nothing does, of all. Whatever is not known to be less is critical."""
    shown = [alert for alert in alerts if alert.status == "firing"] or alerts
    written = [alert.labels.get("severity", "") for alert in shown]
    found = severities.loudest(written, meant, unseen=unseen and not common.get("severity"))
    return "critical" if found.level == "critical" else "warning", found.why
