"""`oncall report`: what happened, who was woken, how long it took, and what it cost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from oncall import incidents
from oncall.clock import at
from oncall.incidents import Incident, TimelineEvent
from oncall.roster import is_shadow
from oncall.table import Table
from oncall_cli import aws_costs, secret_store
from oncall_cli.aws_costs import Counts
from oncall_cli.aws_prices import PRICES
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.incident_commands import READERS, recent
from oncall_cli.output import note, print_json, print_table, say
from oncall_cli.roster_table import read as read_table
from oncall_cli.target import Target
from oncall_cli.when import parse_duration

NIGHT = range(22, 24), range(7)  # hours at which being woken hurts


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took, in seconds. The 95th percentile is by nearest rank."""

    count: int
    median: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Woken:
    """How often a responder was rung, how often at night (22:00 to 07:00), and at which hours (24 counts)."""

    name: str
    calls: int
    nights: int
    hours: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was counted. Tests, the probe and what is in shadow are left out."""

    incidents: int
    by_severity: dict[str, int]
    by_product: dict[str, int]
    unanswered: int
    calls: int
    call_outcomes: dict[str, int]
    calls_through: dict[str, int]  # each telephone provider, where there are two
    to_acknowledge: Durations
    to_resolve: Durations
    woken: tuple[Woken, ...]
    tests: int


def summarize(found: Sequence[tuple[Incident, Sequence[TimelineEvent]]], zone: ZoneInfo) -> Report:
    """The report of incidents with their timelines; hours are in `zone`."""
    real = [(incident, events) for incident, events in found if not (incident.is_test or is_shadow(incident.policy))]
    events = [event for _, story in real for event in story]
    ringing = [event for event in events if event.kind == "ringing"]
    outcomes = Counter(str(event.detail["status"]) for event in events if event.kind == "call_ended")
    through = Counter(str(event.detail["provider"]) for event in ringing if event.detail.get("provider"))
    acknowledged = [
        (first.at - incident.opened_at) / 1000
        for incident, story in real
        if incident.severity == "critical" and (first := _first(story, "acknowledged"))
    ]
    resolved = [(one.resolved_at - one.opened_at) / 1000 for one, _ in real if one.resolved_at]
    return Report(
        incidents=len(real),
        by_severity=dict(Counter(str(incident.severity) for incident, _ in real)),
        by_product=dict(Counter(str(incident.product) or "-" for incident, _ in real).most_common()),
        unanswered=sum(1 for _, story in real if _first(story, "unanswered")),
        calls=len(ringing),
        call_outcomes=dict(outcomes.most_common()),
        calls_through=dict(through.most_common()),
        to_acknowledge=_durations(acknowledged),
        to_resolve=_durations(resolved),
        woken=tuple(_woken(ringing, zone)),
        tests=len(found) - len(real),
    )


def _first(story: Iterable[TimelineEvent], kind: str) -> TimelineEvent | None:
    return next((event for event in story if event.kind == kind), None)


def _durations(seconds: list[float]) -> Durations:
    if not seconds:
        return Durations(0, None, None)
    rank = -(-len(seconds) * 95 // 100)
    return Durations(len(seconds), round(median(seconds), 1), round(sorted(seconds)[rank - 1], 1))


def _woken(ringing: Iterable[TimelineEvent], zone: ZoneInfo) -> Iterable[Woken]:
    hours: dict[str, list[int]] = {}
    for event in ringing:
        hours.setdefault(str(event.who), [0] * 24)[at(event.at).astimezone(zone).hour] += 1
    for name, counts in sorted(hours.items(), key=lambda pair: -sum(pair[1])):
        nights = sum(counts[hour] for part in NIGHT for hour in part)
        yield Woken(name, sum(counts), nights, tuple(counts))


def show(target: Target, since: str, *, as_json: bool) -> None:
    """Prints the report of the incidents that were opened within a length of time."""
    table = Table(target.dynamodb, target.table)
    found = recent(target, since)
    with aws_errors(target.name), ThreadPoolExecutor(READERS) as pool:
        stories = list(pool.map(lambda one: incidents.timeline(table, one.id), found))
    zone = ZoneInfo(read_table(target).roster.time_zone)
    report = summarize(list(zip(found, stories, strict=True)), zone)
    cost, took = _cost(target, since), _taken(target, since)
    if as_json:
        of_aws = (
            {"amount": round(took.dollars(), 6), "currency": "USD", "prices": PRICES.as_of, **asdict(took)}
            if took
            else None
        )
        costs = {"cost_of_calls": cost, "cost_of_aws": of_aws}
        print_json({"since": since, "time_zone": zone.key, **asdict(report), **costs})
    else:
        _print(report, since, zone, cost)
        if took:
            _print_aws(took, report.incidents + report.tests)


def _cost(target: Target, since: str) -> dict[str, Any] | None:
    """What Twilio charges for the account's calls; None (and why) if it cannot be asked."""
    now = datetime.now(UTC)
    try:
        stack = target.stack()
        secrets = secret_store.read(target.client("ssm"), target.name, stack)
        usage = secrets.twilio.usage(f"{now - parse_duration(since):%Y-%m-%d}", f"{now:%Y-%m-%d}")
    except KeyError:
        note("what calls cost is not known: SSM has no secrets of Twilio: oncall init")
        return None
    except CommandError as error:
        note(f"what calls cost is not known: {error}")
        return None
    return {"amount": float(usage["price"]), "currency": str(usage["price_unit"]).upper(), "calls": int(usage["count"])}


def _taken(target: Target, since: str) -> Counts | None:
    """What the executions took; None (and why) if Step Functions cannot be asked."""
    try:
        machine = target.stack().outputs["StateMachineArn"]
        return aws_costs.count(target, machine, datetime.now(UTC) - parse_duration(since))
    except CommandError as error:
        note(f"what AWS charged is not known: {error}")
        return None


def _print_aws(took: Counts, incidents_: int) -> None:
    each = f", {took.dollars() / incidents_:.5f} for each incident" if incidents_ else ""
    by = "" if took.counted == took.executions else f" (by the newest {took.counted})"
    say(f"AWS: {took.dollars():.4f} USD for {took.executions} executions{each}")
    say(f"  {took.transitions} state transitions, {took.runs} runs of functions of {took.seconds:.1f} s together{by}")
    say(
        f"  prices of {PRICES.region}, {PRICES.as_of}, without the free tier; the table's requests and what Twilio and Slack"
    )
    say("  send come to hundredths of a cent a page; what an idle month costs is in docs/operations.md")


def _print(report: Report, since: str, zone: ZoneInfo, cost: dict[str, Any] | None) -> None:
    say(f"{report.incidents} incidents within {since}{_tests(report)}: {_counts(report.by_severity)}")
    if report.by_product:
        say(f"by product: {_counts(report.by_product)}")
    say(f"unanswered: {report.unanswered}")
    say(f"calls: {report.calls} ({_counts(report.call_outcomes)})")
    if report.calls_through:
        say(f"through: {_counts(report.calls_through)}")
    rows = [
        (name, str(taken.count), _length(taken.median), _length(taken.p95))
        for name, taken in (("acknowledged", report.to_acknowledge), ("resolved", report.to_resolve))
    ]
    print_table(["until", "incidents", "median", "95%"], rows)
    if report.woken:
        hours = [
            (
                one.name,
                str(one.calls),
                str(one.nights),
                " ".join(f"{hour}h:{n}" for hour, n in enumerate(one.hours) if n),
            )
            for one in report.woken
        ]
        print_table(["woken", "calls", "at night", f"hours ({zone.key})"], hours)
    if cost:
        say(f"Twilio's calls: {cost['amount']:.2f} {cost['currency']} for {cost['calls']} calls of the account")


def _tests(report: Report) -> str:
    return f" (and {report.tests} tests or in shadow, not counted)" if report.tests else ""


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _length(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
