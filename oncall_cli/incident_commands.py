"""`oncall incidents`, `incident`, `acknowledge`, `resolve` and `page`."""

import getpass
import html
import json
import re
import secrets
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from oncall import actions, incidents
from oncall.alerts.annotations import annotation
from oncall.alerts.by_hand import NobodyRingsError, read_page, request, whom
from oncall.alerts.group import AlertGroup
from oncall.clock import at, now
from oncall.incidents import Incident, TimelineEvent
from oncall.roster import is_shadow
from oncall.roster.attributes import suggestion
from oncall.services import Services
from oncall.settings import Settings
from oncall.slack import messages
from oncall.table import Table
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.output import confirm, counted, note, print_json, print_table, say, terminal_columns
from oncall_cli.schedule_commands import read_roster
from oncall_cli.target import Target
from oncall_cli.when import local, parse_duration, shown

READERS = 16  # requests to DynamoDB side by side
PATIENCE_SECONDS = 30  # for the state machine to open an incident
WIDE = 120  # columns that a list needs to have each incident on one line
_DATE = re.compile(r"<!date\^([0-9]+)\^[^|>]*\|[^>]*>")  # Slack's, see oncall.slack.mrkdwn


def recent(target: Target, since: str, *, only_open: bool = False) -> list[Incident]:
    """The incidents that were opened within a length of time, the oldest first."""
    table = Table(target.dynamodb, target.table)
    moment = now()
    first = moment - round(parse_duration(since).total_seconds() * 1000)
    with aws_errors(target.name), ThreadPoolExecutor(READERS) as pool:
        listed = incidents.open_since if only_open else incidents.opened_since
        ids = listed(table, first, now=moment)
        found = [one for one in pool.map(lambda one: incidents.read(table, one), ids) if one]
    return [one for one in found if not only_open or one.state != "resolved"]


def show_list(target: Target, *, only_open: bool, since: str, probes: bool, as_json: bool) -> None:
    """Lists incidents, the newest last; those of the probe only if they are asked for."""
    found = [one for one in recent(target, since, only_open=only_open) if probes or not one.is_probe]
    if as_json:
        print_json([_summary(incident) for incident in found])
    elif found and (terminal_columns() or WIDE) < WIDE:
        for one in found:
            say(f"{one.id}  {local(at(one.opened_at)):%a %d %b %H:%M}  {_state(one)}")
            say(f"    {_what(one)}")
    elif found:
        rows = [(one.id, shown(at(one.opened_at)), _state(one), one.severity, _what(one)) for one in found]
        print_table(["id", "opened", "state", "severity", "what"], rows)
    else:
        say(f"no {'open ' if only_open else ''}incidents within {since}")


def show_one(target: Target, incident_id: str, *, as_json: bool) -> None:
    """Prints an incident with its timeline."""
    table = Table(target.dynamodb, target.table)
    incident = _read(target, incident_id)
    with aws_errors(target.name):
        events = incidents.timeline(table, incident_id)
    if as_json:
        story = [
            {"at": at(event.at), "kind": event.kind, "who": event.who or None, "detail": event.detail}
            for event in events
        ]
        print_json(_summary(incident) | {"alerts": [asdict(alert) for alert in incident.alerts], "timeline": story})
        return
    say(f"{incident.id}: {_state(incident)}, {incident.severity}, product {incident.product or 'not named'}")
    say(incident.summary)
    if incident.severity == "critical" and not incident.call:
        say(f"It rings nobody: the product {incident.product} has call: false")
    first = incident.alerts[0].annotations
    described = annotation(first, None, "description", "message")
    if described and described != incident.summary:
        say(described)
    for name, link in (
        ("Slack", incident.slack.link),
        ("Runbook", first.get("runbook_url", "")),
        ("Dashboard", first.get("dashboard_url", "")),
    ):
        if link:
            say(f"{name}: {link}")
    for alert in incident.alerts:
        say(f"  {alert.status}: {alert.title}")
    say(f"\nTimes: {local(at(incident.opened_at)):%Z}")
    day = None
    for event in sorted(events, key=lambda event: (event.at, event.number)):
        moment = local(at(event.at))
        if moment.date() != day:
            day = moment.date()
            say(f"{moment:%A %Y-%m-%d}")
        told = textwrap.fill(
            sentence(event),
            terminal_columns() or 10_000,
            initial_indent=f"{moment:%H:%M:%S}  ",
            subsequent_indent=" " * 10,
        )
        say(told)


def sentence(event: TimelineEvent) -> str:
    """A line of the timeline as Slack's thread has it, without what only Slack reads."""

    def moment(found: re.Match[str]) -> str:
        return shown(at(int(found[1]) * 1000))

    said = _DATE.sub(moment, messages.line(event, "en", mentions=False))
    return html.unescape(said)


def _what(incident: Incident) -> str:
    """What it is, and of which product if the summary does not say so."""
    product = incident.product
    what = (
        incident.summary
        if not product or product.lower() in incident.summary.lower()
        else f"{product}: {incident.summary}"
    )
    return textwrap.shorten(what, 76, placeholder="…")


def acknowledge(target: Target, incident_id: str, *, responder: str | None, yes: bool, as_json: bool) -> None:
    """Takes an incident, and all that its page covers."""
    name = _me(target, responder)
    incident = _read(target, incident_id)
    note(f"~ incident {incident_id}: {_state(incident)} -> acknowledged by {name}, and all that its page covers")
    if sys.stdin.isatty():  # who is woken at night and asks a program to take it is not asked for more
        confirm("Take it?", yes=yes)
    with aws_errors(target.name):
        taken = actions.acknowledge_incident(
            _services(target), incident_id, name=name, responder_id=responder or "", via="command"
        )
    if as_json:
        print_json({"incident": incident_id, "acknowledged": taken.ours, "by": taken.by or None})
    elif taken.ours:
        others = f" and {counted(taken.covered - 1, 'other')}" if taken.covered > 1 else ""
        say(f"{taken.by} has incident {incident_id}{others}; no phone rings for {'them' if others else 'it'} any more")
    if taken.over or taken.gone:
        raise CommandError(f"incident {incident_id} is resolved")
    if not taken.ours:
        raise CommandError(f"{taken.by} has it already, since {shown(at(taken.at))}")


def resolve(target: Target, incident_id: str, *, responder: str | None, yes: bool, as_json: bool) -> None:
    """Resolves an incident, whatever its alerts do."""
    name = _me(target, responder)
    incident = _read(target, incident_id)
    if incident.state == "resolved":
        raise CommandError(f"incident {incident_id} is resolved already, since {shown(at(incident.resolved_at))}")
    note(f"~ incident {incident_id}: {_state(incident)} -> resolved by {name}: {incident.summary}")
    if incident.firing:
        note("  Alerts that fire on open another incident at Alertmanager's next repeat: silence them there.")
    confirm("Resolve it?", yes=yes)
    with aws_errors(target.name):
        resolved = actions.resolve_incident(_services(target), incident_id, who=name, via="command")
    if as_json:
        print_json({"incident": incident_id, "resolved": resolved is not None})
    elif resolved:
        say(f"incident {incident_id} is resolved")
    if resolved is None:
        raise CommandError(f"incident {incident_id} was resolved by somebody else meanwhile")


def page(
    target: Target, product: str, text: str, *, responder: str | None, is_test: bool, yes: bool, as_json: bool
) -> None:
    """Wakes whoever is on call for a product: an incident of its own, without any alert."""
    name = _me(target, responder)
    if not text.strip():
        raise CommandError("what is it about? Write a sentence that can be read aloud")
    roster = read_roster(target)
    if product not in roster.products and roster.products:
        raise CommandError(f"the roster has no product {product!r}{suggestion(product, roster.products)}")
    try:
        order = whom(roster, product, now())
    except NobodyRingsError as error:
        raise CommandError(f"{product}: {error}: no phone would ring") from error
    note(f"+ an incident: {text}")
    note(f"  policy {roster.policy_for(product).id} rings {', then '.join(one.responder.name for one in order)}")
    confirm(f"Page them by {target.name}?", yes=yes)
    stack = target.stack()
    moment = datetime.now(UTC)
    execution = f"page-{moment:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    given = request(
        execution,
        product=product,
        text=text,
        by=name,
        now=round(moment.timestamp() * 1000),
        gateway=stack.gateway.removeprefix("https://"),
        is_test=is_test,
    )
    with aws_errors(target.name):
        target.client("stepfunctions").start_execution(
            stateMachineArn=stack.outputs["StateMachineArn"], name=execution, input=json.dumps(given)
        )
        incident = _opened(Table(target.dynamodb, target.table), read_page(given))
    if incident is None:
        raise CommandError(f"no incident after {PATIENCE_SECONDS} s: look at the execution {execution} of the stack")
    if as_json:
        print_json({"incident": incident, "execution": execution})
    else:
        say(f"incident {incident}: {order[0].responder.name} is rung first")
        say(f"oncall incident {incident} tells how it goes; oncall resolve {incident} ends it")


def _opened(table: Table, group: AlertGroup) -> str | None:
    """The incident of a page, as soon as the state machine has opened it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        known = incidents.pointer(table, group)
        if known and known.incident:
            return known.incident
        time.sleep(0.3)
    return None


def _services(target: Target) -> Services:
    """What an action works with. The functions that are told are found before anything is written."""
    settings = Settings(table=target.table, slack_notification_function=target.physical_id("SlackNotificationFunction"))
    clients = {name: target.client(name) for name in ("stepfunctions", "lambda")} | {"dynamodb": target.dynamodb}
    return Services(settings, clients.__getitem__, target.clock())


def _me(target: Target, responder: str | None) -> str:
    """The name of the one who runs the command. Raises CommandError for a responder that the roster does not know."""
    if responder is None:
        return getpass.getuser()
    known = read_roster(target).responders
    if responder not in known:
        raise CommandError(f"there is no responder {responder!r}{suggestion(responder, known)}")
    return known[responder].name


def _read(target: Target, incident_id: str) -> Incident:
    with aws_errors(target.name):
        incident = incidents.read(Table(target.dynamodb, target.table), incident_id)
    if incident is None:
        raise CommandError(f"there is no incident {incident_id!r}: oncall incidents lists them")
    return incident


def _state(incident: Incident) -> str:
    return f"{_state_itself(incident)}{', in shadow' if is_shadow(incident.policy) else ''}"


def _state_itself(incident: Incident) -> str:
    match incident.state:
        case "triggered" if incident.unanswered:
            return "triggered, unanswered"
        case "acknowledged":
            return f"acknowledged by {incident.acknowledged_by}"
        case state:
            return state


def _summary(incident: Incident) -> dict[str, Any]:
    moments = {
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "resolved_at": incident.resolved_at,
    }
    return {
        "id": incident.id,
        "state": incident.state,
        "severity": incident.severity,
        "product": incident.product,
        "title": incident.title,
        "summary": incident.summary,
        "policy": incident.policy,
        "firing": incident.firing,
        "unanswered": incident.unanswered,
        "call": incident.call,
        "test": incident.is_test,
        "acknowledged_by": incident.acknowledged_by or None,
        **{name: at(moment) if moment else None for name, moment in moments.items()},
    }
