"""Shadow: everything is received, decided and written, and nobody is rung, texted or mentioned.

An incident of a product in shadow (the stack's Mode, or the product's `shadow`) has the twin of its escalation policy,
which differs from it by its id alone: so it has pages of its own, and no page of a live product can become a shadow. Its
calls are supposed ones: they ring for as long as a phone would, and nobody answers. Everything else is the same.

What goes live meanwhile is not left in shadow: its incidents move to the policy itself, and ring.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from oncall import incidents, pages
from oncall.incidents import Event, Incident
from oncall.pages import Page
from oncall.probe import rules as probe
from oncall.roster import SHADOW, Policy, Product, Roster, is_shadow, read_table
from oncall.services import Services
from oncall.settings import Settings
from oncall.table import DUE, ConditionFailedError, Table, Update

PARTITION = "SHADOW"  # since when something is, and when Slack was told of it
WEEK_MS = 7 * 86_400_000
_IN_SLACK = (
    *("slack_ts", "slack_channel", "slack_link", "slack_posting", "slack_host", "slack_below"),
)  # where it was told
DAY_MS = 86_400_000
AGAIN_MS = 600_000  # after that, Slack is asked to tell it once more if it has not


def covers(settings: Settings, product: Product) -> bool:
    """Whether nobody is woken for a product."""
    return settings.mode == "shadow" or product.shadow


def policy_id(settings: Settings, product: Product, policy: Policy) -> str:
    """The policy of a product's incidents: its own, or in shadow the twin of that."""
    return f"{SHADOW}{policy.id}" if covers(settings, product) and not probe.rings_a_machine(policy.id) else policy.id


def rings_nobody(settings: Settings, policy: str) -> bool:
    """Whether no phone rings, no text is sent and nobody is mentioned for a policy's pages, by the policy's id.

    In shadow mode this holds for what was live when it began, too. The probe rings a machine.
    """
    return is_shadow(policy) or (settings.mode == "shadow" and not probe.rings_a_machine(policy))


def channel(settings: Settings, product: Product, policy: str) -> str:
    """Slack's channel of a product's incidents with a policy: what is in shadow has one of its own."""
    if is_shadow(policy):
        return settings.shadow_channel or settings.slack_channel
    return product.slack_channel or settings.slack_channel


def supposing(services: Services, policy: str) -> Services:
    """The services for a policy's pages: the one place that decides whether a call is a real one or a supposed one."""
    if not rings_nobody(services.settings, policy):
        return services
    telephone: Any = SupposedTelephone(services.now)
    # Nobody is given the address of a callback, so there is nothing to seal it with: shadow needs no provider's account.
    return replace(services, telephone=lambda: telephone, second=None, callback_secret=str)


@dataclass(frozen=True, slots=True)
class SupposedCall:
    """What becomes of a call that nobody placed."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class SupposedTelephone:
    """A telephone that rings nobody: each call rings for its time, and nobody answers. Has the shape of `Telephone`."""

    now: Callable[[], int]  # epoch milliseconds
    text_sender: str = ""
    is_late: bool = False

    def call(self, _number: str, _twiml: str, *, ring_seconds: int, **_callbacks: object) -> str:
        """Returns the id of a supposed call, which says when it ends (epoch milliseconds)."""
        return f"{pages.SUPPOSED}{self.now() + ring_seconds * 1000}"

    def fetch(self, sid: str) -> SupposedCall | None:
        """The call; None if it is a real one, of before."""
        if not sid.startswith(pages.SUPPOSED):
            return None
        is_over = self.now() >= int(sid.removeprefix(pages.SUPPOSED))
        return SupposedCall(sid, "no-answer" if is_over else "ringing")

    def find(self, _number: str, **_known: object) -> None:
        """No call is lost that nobody placed."""

    def end(self, _sid: str, _goodbye: str) -> None:
        """Nothing rings."""

    def cancel(self, _sid: str) -> bool:
        """Nobody listens."""
        return True


def go_live(services: Services, known: Roster, incident: Incident) -> Incident:
    """An open incident of a product that has gone live since is live, and rings whoever had it in shadow: returns it.

    Any other is returned as it is. Its message appears anew in the product's channel.
    """
    product = known.product(incident.product)
    if incident.state == "resolved" or not is_shadow(incident.policy) or covers(services.settings, product):
        return incident
    incidents.note(services.table, incident.id, remove=_IN_SLACK)
    now, policy = services.now(), known.policy_for(incident.product).id
    changes: dict[str, Any] = {
        "policy": policy,
        "channel": channel(services.settings, product, policy),
        "unanswered": False,
    }
    changed = incidents.tell(
        services.table,
        incident.id,
        Event("went_live", key="went_live"),
        now=now,
        unless=("resolved",),
        state="triggered",
        set_=changes,
    )
    pages.leave(services.table, incident.policy, incident.id)
    return changed or incidents.read(services.table, incident.id) or incident


def hand_over(services: Services, known: Roster, page: Page) -> bool:
    """Has other executions ring for those incidents of a page in shadow whose product has gone live. Whether there are any.

    They take them off the page; asked again until they have, it starts nothing twice in a minute.
    """
    found = (incidents.read(services.table, one) for one in sorted(page.incidents))
    live = [one.id for one in found if one and not covers(services.settings, known.product(one.product))]
    for one in live:
        services.start(f"live-{one}-{services.now() // 60_000}", {"source": "reconciler", "incidents": [one]})
    return bool(live)


def named(settings: Settings, known: Roster) -> list[str] | None:
    """The products in shadow; None if the whole stack is."""
    return None if settings.mode == "shadow" else sorted(one.id for one in known.products.values() if one.shadow)


def is_to_be_told(services: Services) -> bool:
    """Notes since when something is in shadow. Whether it has been for another week, and Slack has to be told."""
    now, state = services.now(), services.table.get(PARTITION, "STATE") or {}
    if named(services.settings, read_table(services.table)) == []:
        if "since" in state:
            services.table.update(Update(PARTITION, "STATE", remove=("since", "told_at", "again_at")))
        return False
    if "since" not in state:
        services.table.update(Update(PARTITION, "STATE", set={"since": now, "told_at": now}))
        return False
    if now < max(state["told_at"] + WEEK_MS, state.get("again_at", 0)):
        return False
    services.table.update(Update(PARTITION, "STATE", set={"again_at": now + AGAIN_MS}))
    return True


def note_unrung(services: Services) -> None:
    """A critical alert has rung nobody: the reconciler tells so, once a day, so that no product can be forgotten in shadow."""
    now = services.now()
    with suppress(ConditionFailedError):  # it is told in its minute, or was within a day
        services.table.update(
            Update(
                PARTITION,
                "UNRUNG",
                set={DUE: DUE, "due_at": now},
                condition="attribute_not_exists(#due) AND (attribute_not_exists(#told_at) OR #told_at < :yesterday)",
                values={"yesterday": now - DAY_MS},
            )
        )


def tell_unrung(services: Services) -> None:
    """Tells the fallback topic that critical alerts ring nobody."""
    services.fallback.tell(
        "critical alerts ring nobody",
        "Critical alerts have rung nobody, because the stack or their product is in shadow. If that is not meant, go live: "
        "deploy with Mode=live, or take shadow: true out of the roster (docs/move-in.md). You are told once a day at most.",
    )
    services.table.update(Update(PARTITION, "UNRUNG", set={"told_at": services.now()}, remove=(DUE, "due_at")))


def since(table: Table) -> int:
    """Since when something is in shadow (epoch milliseconds); 0 if that is not known yet."""
    return int((table.get(PARTITION, "STATE") or {}).get("since", 0))


def was_told(services: Services) -> None:
    """Slack has been told."""
    services.table.update(Update(PARTITION, "STATE", set={"told_at": services.now()}, remove=("again_at",)))
