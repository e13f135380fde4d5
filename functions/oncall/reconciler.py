"""The reconciler: resumes what is due and nobody works on.

Pages whose owner died go on under a new execution; an end that never reached its incidents is carried there; incidents
that no page covers, or that Slack has not heard of, are looked at again. It finds them in the sparse index of what is due.
"""

import hashlib
from contextlib import suppress

from aws_lambda_powertools import Logger

from oncall import incidents, intake, pages, providers, shadow
from oncall.incidents import Incident
from oncall.probe import record as probe
from oncall.roster import PARTITION
from oncall.services import Services
from oncall.table import DUE, ConditionFailedError, Update
from oncall.text import unlinked

logger = Logger(child=True)

LATER_MS = 120_000  # when what has been resumed is looked at again, should that die too
MOST = 200  # looked at in one run; the rest has its turn in the next
LONG_MS = 600_000  # Slack behind for so long is told to people
PAUSE_MS = 1_800_000
MOST_IN_ONE = 100  # incidents that one execution brings to Slack


def bury(services: Services, execution: str) -> None:
    """An execution was stopped or timed out: what it owned goes on under another at once."""
    now = services.now()
    for key in services.table.due(before=now + 86_400_000):
        if not key["pk"].startswith("PAGE#"):
            continue
        with suppress(ConditionFailedError):  # another owner's, or over
            services.table.update(
                Update(
                    key["pk"],
                    key["sk"],
                    set={"lease_until": now - 1},  # it stays due when it was, should the other one die too
                    condition="#owner = :dead AND attribute_not_exists(#settled_at)",
                    values={"dead": execution},
                )
            )
            logger.warning("a page has lost its execution", page=key["pk"])
            _resume_page(services, key["pk"])


def reconcile(services: Services) -> int:
    """Resumes what is due, pages first; returns how many things that were.

    What cannot be resumed holds up nothing else. Raises the first error when the rest is done.
    """
    found = services.table.due(before=services.now())
    due = sorted(found, key=lambda key: not key["pk"].startswith("PAGE#"))[:MOST]
    behind: list[Incident] = []
    failed: list[Exception] = []
    for key in due:
        try:
            behind += _resume(services, key["pk"])
        except Exception as error:  # whatever is wrong with it: the others have to be resumed
            logger.exception("what is due could not be resumed", item=key["pk"], error=type(error).__name__)
            failed.append(error)
    for first in range(0, len(behind), MOST_IN_ONE):
        some = [incident.id for incident in behind[first : first + MOST_IN_ONE]]
        logger.warning("Slack is behind", incidents=len(some))
        services.measure("SlackBehind", "Count", len(some))
        services.start(_name(services, *some), {"source": "reconciler", "incidents": some})
    if any(services.now() - _behind_since(incident) >= LONG_MS for incident in behind):
        _tell_behind(services, len(behind))
    if failed:
        raise failed[0]
    return len(due)


def _behind_since(incident: Incident) -> int:
    return incident.slack.behind_since or incident.changed_at


def _tell_behind(services: Services, count: int) -> None:
    """Tells that Slack is behind, once for as long as it goes on without half an hour's pause."""
    now, told = services.now(), services.table.get("SLACK", "BEHIND") or {}
    if now - told.get("seen_at", 0) > PAUSE_MS:
        services.fallback.tell(
            "Slack has not heard of what happened",
            f"For more than ten minutes Slack has not heard of what happened to {count} incidents. Phones are not touched by "
            "it.\nLook at Slack's status page, at the log of the function SlackNotification, and for a message that Slack "
            "refuses messages. It is tried again every minute.",
        )
    services.table.update(Update("SLACK", "BEHIND", set={"seen_at": now}))


def _resume(services: Services, pk: str) -> list[Incident]:
    """Resumes a page or an incident. Returns the incident if only Slack is behind."""
    kind, _, name = pk.partition("#")
    if kind == "PAGE":
        _resume_page(services, pk)
        return []
    if pk == probe.PARTITION:
        _miss_probe(services)
        return []
    if pk == PARTITION:  # of the roster, which has the providers that are down
        for name, item in providers.down(services.table).items():
            if providers.is_to_check(services.table, item, now=services.now()):
                services.check(name)
        return []
    if pk == shadow.PARTITION:
        shadow.tell_unrung(services)
        return []
    incident = _postpone(services, name) if kind == "INCIDENT" else None
    if incident is None:
        return []
    if not (intake.needs_page(incident) or intake.is_overdue(incident, services.now())):
        return [] if _is_told(services, incident) else [incident]
    logger.warning("an incident is looked at again", incident=name, state=incident.state)
    services.start(_name(services, pk), {"source": "reconciler", "incidents": [name]})
    return []


def _resume_page(services: Services, pk: str) -> None:
    policy = pk.partition("#")[2]
    page = pages.read(services.table, policy)
    if page is None or page.is_settled:
        return
    if page.lease_until > services.now() and page.is_open:
        return  # the index was behind: its owner is at work
    logger.warning("a page goes on under a new execution", policy=policy, state=page.state)
    services.start(_name(services, pk, page.id, str(page.lease_until)), {"source": "reconciler", "policy": policy})
    if page.is_open:
        headline = page.headline
        services.fallback.tell(
            "a page had stopped and goes on",
            f"The execution that rang for {unlinked(headline.summary)} (incident {headline.incident}, escalation policy "
            f"{policy}) had ended or was silent for too long. Another one goes on with it now. If this comes again, look at the "
            "state machine's failed executions.",
        )


def _miss_probe(services: Services) -> None:
    """The probe has not run for too long. That it does not run is no failure of it, so nobody else would notice."""
    if not services.settings.probe_schedule:
        probe.stop_missing(services.table)
    elif probe.is_missed(services.table, now=services.now()):
        services.fallback.tell(
            "the probe does not run",
            f"By its schedule, {services.settings.probe_schedule}, the probe should have run by now. Until it does, nobody knows "
            "whether an alert reaches a telephone.\nRun it: oncall probe. Then look at its schedule's rule in EventBridge, "
            "and at the log of the function Probe.",
        )


def _postpone(services: Services, incident: str) -> Incident | None:
    """Looks at an incident again later, and returns it; None if it is not due any more."""
    now, later = services.now(), {DUE: DUE, "due_at": services.now() + LATER_MS}
    try:
        return incidents.note(services.table, incident, later, condition="#due_at < :now", values={"now": now})
    except ConditionFailedError:
        return None


def _is_told(services: Services, incident: Incident) -> bool:
    """Whether Slack shows an incident as it is; nothing is due of it then, except a reminder."""
    if incident.slack.version < incident.version:
        return False
    due, over = incidents.when_told(incident, services.now())
    told, values = "#version = :version AND #slack_version >= :version", {"version": incident.version}
    with suppress(ConditionFailedError):  # it has changed meanwhile: due again, and asked for by whoever did that
        incidents.note(services.table, incident.id, due, remove=over, condition=told, values=values)
    return True


def _name(services: Services, *parts: str) -> str:
    """An execution's name, the same for a minute: a reconciler that runs twice starts one."""
    digest = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:24]
    return f"reconcile-{digest}-{services.now() // 60_000}"
