"""A run of the probe: posts its alert as Alertmanager would, watches it travel, ends it, and says how long each hop took.

It looks at the table alone, as everybody else does. Whatever happens, the incident is resolved and the run has an end.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request

from aws_lambda_powertools import Logger

from oncall import actions, incidents, pages, providers
from oncall.alerts.alertmanager import read_webhook
from oncall.errors import ConfigurationError
from oncall.incidents import Event
from oncall.pages import Page
from oncall.probe import record, rules
from oncall.redirects import open_unfollowed
from oncall.services import Services

logger = Logger(child=True)

SECONDS = 75  # from the accepted webhook to the key: the ringing, the words twice, and a provider's delays
SLACK_SECONDS = 25
SLOW_SECONDS = {
    "ringing": 10,
    "acknowledged": 30,
}  # from the webhook; the number presses the key three seconds after it answers
EVERY_SECONDS = 0.5
POST_SECONDS = 10  # one request; the gateway answers or gives up by then
POST_TRIES = 4  # as Alertmanager: again when it may pass

_ENDS = {
    "busy": "the automatic number was busy",
    "no-answer": "the automatic number did not answer",
    "canceled": "the call was stopped while it rang",
    "completed": "the automatic number answered, and no key was heard",
    "passed": "the automatic number pressed 2 and not 1",
}


class NotAcceptedError(Exception):
    """The gateway has not accepted the webhook; the message says why and what that means."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went. `hops` are milliseconds from its start; `problem` is empty if a key was heard."""

    hops: Mapping[str, int]
    problem: str
    slack: str  # why Slack does not show it; empty if it does


@dataclass(slots=True)
class _Run:
    services: Services
    post: Callable[[Mapping[str, object]], str]
    id: str
    started_at: int
    hops: dict[str, int] = field(default_factory=dict)
    execution: str = ""
    incident: str = ""

    def reach(self, hop: str, moment: int) -> None:
        """Notes a hop, once."""
        if hop not in self.hops:
            self.hops[hop] = max(0, moment - self.started_at)
            record.note(self.services.table, self.id, {"hops": self.hops})


def run(services: Services, run_id: str, *, owner: str, post: Callable[[Mapping[str, object]], str]) -> Outcome | None:
    """Tries the whole way. `post` posts a webhook to the gateway and returns the execution's name.

    None if there is nothing to try: another run is under way, or this one is over.

    Raises whatever the table raises; asked again by the same owner, it ends what was begun.
    """
    started_at = services.now()
    patience = record.patience(services.settings.probe_schedule)
    provider = _whose_turn(services)
    what, before = record.begin(
        services.table, run_id, owner=owner, now=started_at, patience=patience, provider=provider
    )
    if provider and what == "begun":
        providers.put_on_trial(services.table, provider)
    if what == "busy" and before != run_id:
        record.refuse(services.table, run_id, now=started_at)
    if what in ("busy", "over"):
        logger.info("nothing is tried", probe=run_id, reason=what)
        return None
    going = _Run(services, post, run_id, started_at)
    if what == "died":
        known = record.read(services.table, run_id) or {}
        going.started_at, going.hops = known.get("started_at", started_at), dict(known.get("hops", {}))
        problem = "the function died in the middle; its log says why"
        _find(going)
    else:
        if before:
            _resolve(services, before)  # which may have died
        problem = _try(going)
    return _end(going, problem)


def _whose_turn(services: Services) -> str:
    """The telephone provider that a run proves, if there are two: one that is down, or not that of the last run."""
    if not services.settings.telnyx_application:
        return ""
    down = providers.down(services.table)
    if len(down) == 1:
        return next(iter(down))
    return providers.other(providers.on_trial(services.table))


def _try(run: _Run) -> str:
    """Returns what went wrong; an empty text if a key was heard."""
    try:
        run.execution = run.post(record.webhook(run.id, "firing", now=run.started_at))
    except (NotAcceptedError, ConfigurationError) as error:
        return str(error)
    run.reach("accepted", run.services.now())
    until = run.services.now() + (SECONDS + run.services.settings.takeover_seconds) * 1000
    while True:
        problem = _look(run)
        if problem is not None:
            return problem
        if run.services.now() >= until:
            return _stuck(run)
        run.services.sleep(EVERY_SECONDS)


def _look(run: _Run) -> str | None:
    """How far it is. None: on its way; a text: what went wrong; an empty one: a key was heard."""
    table = run.services.table
    if not run.incident:
        _find(run)
    incident = incidents.read(table, run.incident) if run.incident else None
    if incident is None:
        return None
    run.reach("opened", incident.opened_at)
    for event in incidents.timeline(table, run.incident):
        if event.kind == "ringing":
            run.reach("ringing", event.at)
    page = _page(run)
    call = page.current_call if page else None
    if call and call.answered_at:
        run.reach("ringing", call.started_at)  # if its own event is not there yet
        run.reach("answered", call.answered_at)
    if page and page.state == "acknowledged":
        if call is None or call.status != "taken":
            return f"{page.acknowledged_by} acknowledged it, and not the automatic number"
        run.reach("ringing", call.started_at)  # if its own event is not there yet
        run.reach("answered", call.answered_at or page.acknowledged_at)  # a key may be faster than the word of it
        run.reach("acknowledged", page.acknowledged_at)
        return ""
    if incident.state != "triggered" or (page and not page.is_open):
        return "somebody else ended it meanwhile"
    if call and call.has_ended:
        return _ENDS.get(call.status) or f"the call failed: {call.reason or 'its provider says no more'}"
    return None


def _find(run: _Run) -> None:
    """Looks whether an incident has been opened."""
    group = read_webhook(record.webhook(run.id, "firing", now=run.started_at), received_at=run.started_at)
    pointer = incidents.pointer(run.services.table, group)
    run.incident = pointer.incident if pointer else ""


def _stuck(run: _Run) -> str:
    """What a run whose time is up waited for."""
    page = _page(run) if run.incident else None
    if page and page.unavailable_since:
        return (
            f"{providers.LABELS[page.current_call.provider if page.current_call else providers.TWILIO]} takes no calls"
        )
    if "answered" in run.hops:
        return _ENDS["completed"]
    if "ringing" in run.hops:
        return f"a call was placed, and nothing was heard of it for {SECONDS} s"
    if "opened" in run.hops:
        return f"an incident was opened, and no call was placed within {SECONDS} s: look at execution {run.execution}"
    return f"the webhook was accepted, and no incident was opened within {SECONDS} s: look at execution {run.execution}"


def _page(run: _Run) -> Page | None:
    page = pages.read(run.services.table, rules.POLICY)
    return page if page and page.covers(run.incident) else None


def _end(run: _Run, problem: str) -> Outcome:
    """Resolves the incident, waits for Slack, and writes and tells how it went."""
    services = run.services
    told: dict[str, object] = {"problem": problem}
    told |= {hop: run.hops[hop] for hop in ("ringing", "acknowledged") if hop in run.hops}
    if run.incident:
        event = Event("probed", key=f"probed/{run.id}", detail=told)
        incidents.tell(
            services.table, run.incident, event, now=services.now(), unless=("resolved",), set_={"probe": told}
        )
    run.incident = _resolve(services, run.id)
    slack = ""
    if run.incident:
        run.reach("resolved", services.now())
        slack = _wait_for_slack(run)
    record.end(services.table, run.id, {"problem": problem, "slack": slack}, now=services.now())
    if problem:
        logger.error("the probe failed", probe=run.id, problem=problem)
        hops = ", ".join(f"{hop} after {moment / 1000:.1f} s" for hop, moment in run.hops.items())
        services.fallback.tell(
            "the probe failed",
            f"An alert of our own did not end with a key that was heard: {problem}.\n"
            f"It got so far: {hops or 'nowhere'}.\nA real page may fail in the same way. Fix it, then try again: oncall probe"
            "\n(docs/operations.md, The probe)",
        )
    elif slack:
        services.fallback.tell(
            "the probe does not show in Slack",
            f"The telephone rang and the key was heard, but {slack}.\nPhones are not touched by it; Slack's readers may "
            "miss what happens.",
        )
    if slow := [] if problem else _slow(run):
        services.fallback.tell(
            "the probe was slow",
            f"An alert of our own took {' and '.join(slow)} after the webhook. Real pages are as slow.\n"
            "(docs/operations.md, The probe)",
        )
    return Outcome(run.hops, problem, slack)


def _slow(run: _Run) -> list[str]:
    """What took too long, beside the time that a standby leaves to its primary."""
    waited = {
        hop: run.hops[hop] / 1000 - run.services.settings.takeover_seconds for hop in SLOW_SECONDS if hop in run.hops
    }
    words = {"ringing": "until Twilio had the call", "acknowledged": "until the key was heard"}
    return [f"{waited[hop]:.0f} s {words[hop]}" for hop in waited if waited[hop] >= SLOW_SECONDS[hop]]


def _resolve(services: Services, run_id: str) -> str:
    """Resolves a run's incident, and lets no phone ring for it; returns its id. A webhook that is yet to be read rings nobody."""
    group = read_webhook(record.webhook(run_id, "resolved", now=services.now()), received_at=services.now())
    incident = incidents.resolve_share(services.table, group, now=services.now())
    if incident is None:
        return ""
    actions.resolve_incident(services, incident.id, who=rules.PRODUCT, via="command")
    return incident.id


def _wait_for_slack(run: _Run) -> str:
    """Returns why Slack does not show it; an empty text when it does."""
    until = run.services.now() + SLACK_SECONDS * 1000
    while True:
        incident = incidents.read(run.services.table, run.incident)
        if incident and incident.slack.version >= incident.version:
            run.reach("slack", run.services.now())
            return ""
        if run.services.now() >= until:
            wrong = incident.slack.wrong if incident else ""
            return (
                f"Slack refuses the message ({wrong})" if wrong else f"Slack took no message within {SLACK_SECONDS} s"
            )
        run.services.sleep(EVERY_SECONDS)


def post(url: str, token: str, webhook: Mapping[str, object], *, pause: Callable[[float], None] = time.sleep) -> str:
    """Posts a webhook as Alertmanager does; returns the name of the execution. Raises NotAcceptedError."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps(webhook).encode()
    reason = ""
    for attempt in range(POST_TRIES):
        if attempt:
            pause(2**attempt)
        try:
            with open_unfollowed(Request(url, body, headers), timeout=POST_SECONDS) as answer:  # noqa: S310  http(s)
                return str(json.loads(answer.read()).get("execution", ""))
        except HTTPError as error:
            with error:
                reason = _refusal(error.code)
            if error.code < 500:
                break
        except (OSError, HTTPException, ValueError) as error:
            reason = f"the gateway did not answer ({type(error).__name__})"
    raise NotAcceptedError(reason)


def _refusal(status: int) -> str:
    if status in (401, 403):
        return (
            f"the gateway refuses the bearer token that SSM has ({status}). A changed token counts within five minutes; "
            "if it stays, Alertmanager is refused as well"
        )
    return f"the gateway answered {status}, so Alertmanager's alerts are not accepted either"
