"""The commands and their options. What a command needs is imported when it runs, so that `--help` answers at once."""

import inspect
import zoneinfo
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from oncall_cli.errors import CommandError
from oncall_cli.output import say
from oncall_cli.target import DEFAULT_STACK, Target, find


class Commands(TyperGroup):
    """Ends with a message and exit status 1, without a traceback, when a command cannot do what was asked.

    Time zones are those of the package tzdata, as in the stack, whatever the machine has.
    """

    def invoke(self, ctx: Any) -> Any:
        zoneinfo.reset_tzpath(())
        try:
            return super().invoke(ctx)
        except CommandError as error:
            say(f"oncall: {error}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Who is on call, and everything around it: on the stack of your AWS account, or with --devstack on this machine's.",
)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"oncall {version('oncall')}")
        raise typer.Exit


@app.callback()
def every_command(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda wanted: _show_version(wanted=wanted), is_eager=True, help="Which one."
        ),
    ] = False,
) -> None:
    """Who is on call, and everything around it: on the stack of your AWS account, or with --devstack on this machine's."""


roster_app = typer.Typer(no_args_is_help=True, help="The roster: check a file, apply it, look at what was applied.")
app.add_typer(roster_app, name="roster")

override_app = typer.Typer(no_args_is_help=True, help="Someone else is on call for a while.")
app.add_typer(override_app, name="override")

calendar_app = typer.Typer(no_args_is_help=True, help="Addresses that calendar programs subscribe to.")
app.add_typer(calendar_app, name="calendar")

key_app = typer.Typer(no_args_is_help=True, help="Keys of those that send events and heartbeats.")
app.add_typer(key_app, name="key")

source_app = typer.Typer(no_args_is_help=True, help="Those that send alerts beside Alertmanager.")
app.add_typer(source_app, name="source")

heartbeat_app = typer.Typer(no_args_is_help=True, help="What has to be heard of again and again.")
app.add_typer(heartbeat_app, name="heartbeat")

slack_app = typer.Typer(no_args_is_help=True, help="The Slack app.")
app.add_typer(slack_app, name="slack")

monitoring_app = typer.Typer(no_args_is_help=True, help="Prometheus and Alertmanager for the stack.")
app.add_typer(monitoring_app, name="monitoring")

import_app = typer.Typer(no_args_is_help=True, help="Move in: a roster from what another on-call system exported.")
app.add_typer(import_app, name="import")

shadow_app = typer.Typer(no_args_is_help=True, help="Shadow: everything but the phones.")
app.add_typer(shadow_app, name="shadow")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
At = Annotated[str, typer.Option(help="When, in your time zone: 03:12, 'sun 03:12', '2026-11-23 09:00', +2h.")]
ScheduleOption = Annotated[str | None, typer.Option(help="In this schedule only. Default: in each.")]
File = Annotated[Path, typer.Argument(help="The roster file (YAML).")]

_TARGET_OPTIONS: dict[str, tuple[Any, Any]] = {
    "devstack": (
        Annotated[bool, typer.Option("--devstack", help="The devstack of this folder ($DEVSTACK_DIR).")],
        False,
    ),
    "stack_name": (Annotated[str, typer.Option(envvar="ONCALL_STACK_NAME", help="The deployed stack.")], DEFAULT_STACK),
    "region": (Annotated[str | None, typer.Option(envvar="AWS_REGION", help="AWS region.")], None),
    "profile": (Annotated[str | None, typer.Option(help="AWS profile.")], None),
    "table": (Annotated[str | None, typer.Option(help="The table, if not the stack's.")], None),
    "endpoint_url": (Annotated[str | None, typer.Option(help="AWS endpoint, if not AWS's own.")], None),
}


def on_target(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that say which system it works on, and hands it the Target."""

    @wraps(command)
    def run(**options: Any) -> None:
        chosen = {name: options.pop(name) for name in _TARGET_OPTIONS}
        command(target=find(**chosen), **options)

    own = inspect.signature(command).parameters
    added = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _TARGET_OPTIONS.items()
    }
    parameters = {name: parameter for name, parameter in own.items() if name != "target"} | added
    # What Typer reads to know a command's options.
    vars(run)["__signature__"] = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in parameters.values()])
    run.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return run


@roster_app.command("check")
def roster_check(file: File, *, json: Json = False) -> None:
    """Check a roster file: its form, names, numbers, and gaps within the next 14 days.

    Example: oncall roster check roster.yaml
    """
    from oncall_cli.roster_commands import check_file

    check_file(file, as_json=json)


@roster_app.command("apply")
@on_target
def roster_apply(
    target: Target,
    file: File,
    *,
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Also over a newer change.")] = False,
    json: Json = False,
) -> None:
    """Check a roster file, show what it changes, and make it the one that counts, whole or not at all.

    Example: oncall roster apply roster.yaml
    """
    from oncall_cli.roster_commands import apply_file

    apply_file(target, file, yes=yes, force=force, as_json=json)


@roster_app.command("diff")
@on_target
def roster_diff(target: Target, file: File, *, json: Json = False) -> None:
    """Show what applying a file would change. Exits with 1 if anything would.

    Example: oncall roster diff roster.yaml
    """
    from oncall_cli.roster_commands import diff_file

    diff_file(target, file, as_json=json)


@roster_app.command("show")
@on_target
def roster_show(
    target: Target,
    *,
    version: Annotated[int | None, typer.Option(help="An earlier version's file.")] = None,
    json: Json = False,
) -> None:
    """Print the roster that counts, as a file.

    Example: oncall roster show > roster.yaml
    """
    from oncall_cli.roster_commands import show

    show(target, version, as_json=json)


@roster_app.command("history")
@on_target
def roster_history(target: Target, *, json: Json = False) -> None:
    """List the versions that were applied, newest first.

    Example: oncall roster history
    """
    from oncall_cli.roster_commands import show_history

    show_history(target, as_json=json)


@roster_app.command("rollback")
@on_target
def roster_rollback(
    target: Target,
    version: Annotated[int | None, typer.Argument(help="Which version. Default: the one before.")] = None,
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Apply an earlier version again, as a new one.

    Example: oncall roster rollback 12
    """
    from oncall_cli.roster_commands import rollback

    rollback(target, version, yes=yes, as_json=json)


@roster_app.command("schema")
def roster_schema() -> None:
    """Print the JSON schema of roster files, for an editor's completion.

    Example: oncall roster schema > roster.schema.json
    """
    from oncall_cli.roster_check import SCHEMA

    typer.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)


@app.command("who")
@on_target
def who(
    target: Target,
    *,
    product: Annotated[str, typer.Option(help="The product of the alert. Default: each policy.")] = "",
    at: At = "now",
    json: Json = False,
) -> None:
    """Show who would be rung, in which order, and why.

    Example: oncall who --product product-a --at "sun 03:12"
    """
    from oncall_cli.schedule_commands import show_who

    show_who(target, product, at, as_json=json)


@app.command("schedule")
@on_target
def schedule(
    target: Target,
    name: Annotated[str | None, typer.Argument(help="One schedule. Default: all.")] = None,
    *,
    weeks: Annotated[int, typer.Option(min=1, max=53, help="How many, from this one on.")] = 2,
    ical: Annotated[Path | None, typer.Option(help="Write an iCalendar file instead.")] = None,
    json: Json = False,
) -> None:
    """Show a calendar of who is on call, in your time zone.

    Example: oncall schedule primary --weeks 4
    """
    from oncall_cli.schedule_commands import show_schedule

    show_schedule(target, name, weeks, ical, as_json=json)


@app.command("simulate")
@on_target
def simulate(
    target: Target,
    *,
    product: Annotated[str, typer.Option(help="The product of the alert. Default: one with the default policy.")] = "",
    at: At = "now",
    silent: Annotated[str, typer.Option(help="Responders who do not answer: alice,bob or all.")] = "",
    ring_seconds: Annotated[
        int | None, typer.Option(min=5, max=600, help="If the policy does not say. Default: the stack's setting.")
    ] = None,
    json: Json = False,
) -> None:
    """Show who would be rung at which second.

    Example: oncall simulate --product product-a --at "sun 03:12" --silent alice,bob
    """
    from oncall_cli.schedule_commands import show_simulation

    show_simulation(target, product, at, silent, ring_seconds, as_json=json)


@app.command("take")
@on_target
def take(
    target: Target,
    responder: Annotated[str, typer.Argument(envvar="ONCALL_RESPONDER", help="You.")],
    *,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long: 90m, 2h, 1d. Default: until the present shift ends.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="In this schedule only. Default: in each; without --for, the only one.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Be the one on call, from now.

    Example: oncall take alice --for 2h
    """
    from oncall_cli.overrides import take

    take(target, responder, duration=duration, schedule=schedule, yes=yes, as_json=json)


@override_app.command("add")
@on_target
def override_add(
    target: Target,
    responder: Annotated[str, typer.Argument(help="Who is to be on call.")],
    *,
    start: Annotated[str, typer.Option("--from", help="When it begins: 'fri 18:00', '2026-12-24 09:00', +2h.")] = "now",
    end: Annotated[
        str | None, typer.Option("--until", help="When it ends: 'mon 09:00' is the next one after it begins.")
    ] = None,
    duration: Annotated[str | None, typer.Option("--for", help="Instead of --until: 90m, 2h, 7d.")] = None,
    schedule: ScheduleOption = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put someone on call instead of whoever the schedule says.

    Example: oncall override add bob --from "fri 18:00" --until "mon 09:00"
    """
    from oncall_cli.overrides import add

    add(target, responder, start=start, end=end, duration=duration, schedule=schedule, yes=yes, as_json=json)


@override_app.command("list")
@on_target
def override_list(target: Target, *, json: Json = False) -> None:
    """List the overrides that are not over.

    Example: oncall override list
    """
    from oncall_cli.overrides import show

    show(target, as_json=json)


@override_app.command("remove")
@on_target
def override_remove(
    target: Target, override_id: Annotated[str, typer.Argument(metavar="ID")], *, yes: Yes = False, json: Json = False
) -> None:
    """End an override now.

    Example: oncall override remove bob-20261124T0900-1f3a
    """
    from oncall_cli.overrides import remove

    remove(target, override_id, yes=yes, as_json=json)


Incident = Annotated[str, typer.Argument(metavar="ID", help="As oncall incidents lists it.")]
Me = Annotated[
    str | None,
    typer.Option(
        "--as", envvar="ONCALL_RESPONDER", metavar="RESPONDER", help="You. Default: your name on this machine."
    ),
]
Since = Annotated[str, typer.Option(help="How far back: 12h, 7d, 4w.")]


@app.command("incidents")
@on_target
def list_incidents(
    target: Target,
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    since: Annotated[str | None, typer.Option(help="How far back: 12h, 4w. Default: 7d, or with --open 90d.")] = None,
    probes: Annotated[bool, typer.Option("--probes", help="The probe's incidents, too.")] = False,
    json: Json = False,
) -> None:
    """List incidents, the newest last.

    Example: oncall incidents --open
    """
    from oncall_cli.incident_commands import show_list

    since = since or ("90d" if only_open else "7d")
    show_list(target, only_open=only_open, since=since, probes=probes, as_json=json)


@app.command("incident")
@on_target
def show_incident(target: Target, incident_id: Incident, *, json: Json = False) -> None:
    """Show an incident and its timeline: who was rung, who took it, when it was over.

    Example: oncall incident 20261123-031200-5f2a9c
    """
    from oncall_cli.incident_commands import show_one

    show_one(target, incident_id, as_json=json)


@app.command("acknowledge")
@on_target
def acknowledge(target: Target, incident_id: Incident, *, me: Me = None, yes: Yes = False, json: Json = False) -> None:
    """Take an incident, and all that its page covers: the phones stop ringing.

    Example: oncall acknowledge 20261123-031200-5f2a9c --as alice
    """
    from oncall_cli.incident_commands import acknowledge

    acknowledge(target, incident_id, responder=me, yes=yes, as_json=json)


@app.command("resolve")
@on_target
def resolve(target: Target, incident_id: Incident, *, me: Me = None, yes: Yes = False, json: Json = False) -> None:
    """Resolve an incident, whatever its alerts do.

    Example: oncall resolve 20261123-031200-5f2a9c
    """
    from oncall_cli.incident_commands import resolve

    resolve(target, incident_id, responder=me, yes=yes, as_json=json)


@app.command("page")
@on_target
def page(
    target: Target,
    product: Annotated[str, typer.Argument(help="Whose people to wake.")],
    text: Annotated[str, typer.Argument(help="What they hear: one sentence.")],
    *,
    me: Me = None,
    test: Annotated[bool, typer.Option("--test", help="Only a test: it rings, and no report counts it.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Wake whoever is on call for a product, by hand.

    Example: oncall page product-a "checkout is slow, customers complain"
    """
    from oncall_cli.incident_commands import page

    page(target, product, text, responder=me, is_test=test, yes=yes, as_json=json)


@app.command("call-test")
@on_target
def call_test(
    target: Target,
    responder: Annotated[str, typer.Argument(help="Whose phone.")],
    *,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ring a responder and ask them to press 1: that proves the number, and when it was proven is kept.

    Example: oncall call-test alice
    """
    from oncall_cli.call_test import ring

    ring(target, responder, yes=yes, as_json=json)


@app.command("probe")
@on_target
def probe(
    target: Target,
    *,
    standby: Annotated[
        bool, typer.Option("--standby", help="Of a standby: it takes over an alert that its primary does not have.")
    ] = False,
    json: Json = False,
) -> None:
    """Try the whole way of an alert, from the gateway to a key that is heard, on a number that answers by itself.

    Example: oncall probe
    """
    from oncall_cli.probe import run

    run(target, of_standby=standby, as_json=json)


@calendar_app.command("add")
@on_target
def calendar_add(
    target: Target,
    name: Annotated[str, typer.Argument(help="Yours to choose, to revoke it by.")],
    *,
    responder: Annotated[str | None, typer.Option(help="Only this responder's shifts. Default: all.")] = None,
    json: Json = False,
) -> None:
    """Make an address to subscribe to: who is on call, always up to date.

    Example: oncall calendar add alices-phone --responder alice
    """
    from oncall_cli.calendar_commands import add

    add(target, name, responder=responder, as_json=json)


@calendar_app.command("list")
@on_target
def calendar_list(target: Target, *, json: Json = False) -> None:
    """List the addresses that were made, without their tokens.

    Example: oncall calendar list
    """
    from oncall_cli.calendar_commands import show

    show(target, as_json=json)


@calendar_app.command("revoke")
@on_target
def calendar_revoke(
    target: Target, name: Annotated[str, typer.Argument()], *, yes: Yes = False, json: Json = False
) -> None:
    """End an address: whoever has it reads nothing any more.

    Example: oncall calendar revoke alices-phone
    """
    from oncall_cli.calendar_commands import revoke

    revoke(target, name, yes=yes, as_json=json)


@key_app.command("add")
@on_target
def key_add(
    target: Target,
    name: Annotated[str, typer.Argument(help="Yours to choose, to revoke it by.")],
    *,
    product: Annotated[str, typer.Option(help="The product of its alerts, where they name none.")] = "",
    source: Annotated[str, typer.Option(help="For this source alone. Default: any, PagerDuty's protocol too.")] = "",
    heartbeat: Annotated[str, typer.Option(help="For the beats of this heartbeat of the roster instead.")] = "",
    json: Json = False,
) -> None:
    """Make a key: PagerDuty's routing_key, and the last part of the address of senders that cannot set a header.

    Example: oncall key add shop-uptime --product shop --source uptime-kuma
    """
    from oncall_cli.key_commands import add

    add(target, name, product=product, source=source, heartbeat=heartbeat, as_json=json)


@key_app.command("list")
@on_target
def key_list(target: Target, *, json: Json = False) -> None:
    """List the keys that were made, without themselves.

    Example: oncall key list
    """
    from oncall_cli.key_commands import show

    show(target, as_json=json)


@key_app.command("revoke")
@on_target
def key_revoke(target: Target, name: Annotated[str, typer.Argument()], *, yes: Yes = False, json: Json = False) -> None:
    """End a key: whoever has it is refused from now on.

    Example: oncall key revoke shop-uptime
    """
    from oncall_cli.key_commands import revoke

    revoke(target, name, yes=yes, as_json=json)


@source_app.command("try")
def source_try(
    file: Annotated[Path, typer.Argument(help="A payload (JSON), as the source posts it.")],
    *,
    source: Annotated[str, typer.Option(help="Built in, or of the roster file.")] = "generic",
    roster: Annotated[Path, typer.Option(help="Where a source of your own stands.")] = Path("roster.yaml"),
    product: Annotated[str, typer.Option(help="The key's product.")] = "",
    json: Json = False,
) -> None:
    """Show what a payload becomes: severity, product, what is told. Sends nothing.

    Example: oncall source try payload.json --source my-tool --roster roster.yaml
    """
    from oncall_cli.source_commands import attempt

    attempt(file, source=source, roster_file=roster, product=product, as_json=json)


@heartbeat_app.command("list")
@on_target
def heartbeat_list(target: Target, *, json: Json = False) -> None:
    """List the roster's heartbeats: their state, and when each was heard of last.

    Example: oncall heartbeat list
    """
    from oncall_cli.heartbeat_commands import show

    show(target, as_json=json)


MonitoringFolder = Annotated[Path, typer.Argument(help="The folder.")]


@monitoring_app.command("render")
@on_target
def monitoring_render(
    target: Target,
    out: MonitoringFolder = Path("monitoring"),
    *,
    jobs: Annotated[str, typer.Option(help="What is watched: url, ec2, opensearch, elasticsearch.")] = "url",
    standby: Annotated[str, typer.Option(help="The standby's gateway with its stage: all is posted to both.")] = "",
) -> None:
    """Write a folder with all that Prometheus, Alertmanager and the exporters need, for Compose, systemd or ECS.

    Example: oncall monitoring render monitoring --jobs "url ec2"
    """
    from oncall_cli.monitoring import render_for

    render_for(target, out, jobs, standby)


@monitoring_app.command("check")
def monitoring_check(out: MonitoringFolder = Path("monitoring"), *, json: Json = False) -> None:
    """Check the targets files of that folder. Names file and line of each mistake, and exits with 1 if there is one.

    Example: oncall monitoring check monitoring
    """
    from oncall_cli.monitoring import check

    check(out, as_json=json)


@app.command("report")
@on_target
def report(target: Target, *, since: Since = "30d", json: Json = False) -> None:
    """Report incidents, calls, how long they took, who was woken and when, and what the calls cost.

    Example: oncall report --since 30d
    """
    from oncall_cli.report import show

    show(target, since, as_json=json)


@shadow_app.command("report")
@on_target
def shadow_report(
    target: Target,
    *,
    since: Since = "7d",
    against: Annotated[
        Path | None, typer.Option(help="What another system told people: a CSV file, PagerDuty's, Opsgenie's or ours.")
    ] = None,
    within: Annotated[int, typer.Option(min=1, max=3600, help="Seconds that may lie between what is alike.")] = 300,
    column: Annotated[
        list[str], typer.Option("--column", help="A column of that file: 'time=Sent at', or who=, type=, what=.")
    ] = [],  # noqa: B006  Typer copies it
    person: Annotated[
        list[str], typer.Option("--person", help="Who somebody in that file is: 'asmith@example.com=alice'.")
    ] = [],  # noqa: B006  Typer copies it
    time_zone: Annotated[str | None, typer.Option(help="The zone of its times, if they name none.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print our own log, to compare another stack with.")] = False,
    json: Json = False,
) -> None:
    """Show what would have rung, when, whom; and what another system had that we had not. Exits with 1 if they differ.

    Example: oncall shadow report --since 7d --against notifications.csv
    """
    from oncall_cli.shadow_report import Against, columns, pairs, show

    compared = Against(against, columns(column), pairs("--person", person), time_zone, within) if against else None
    show(target, since, compared, as_csv=csv, as_json=json)


@app.command("verify")
@on_target
def verify(target: Target, *, json: Json = False) -> None:
    """Try the deployed gateway: a wrong path, a wrong token, webhooks of every kind. Wakes nobody, mails nothing.

    Example: oncall verify
    """
    from oncall_cli.verify import run

    run(target, as_json=json)


@app.command("doctor")
@on_target
def doctor(target: Target, *, json: Json = False) -> None:
    """Say whether all is ready for tonight, and what to do about what is not. Exits with 1 if something is not.

    Example: oncall doctor
    """
    from oncall_cli.doctor import examine

    examine(target, as_json=json)


ImportSource = Annotated[
    Path | None, typer.Argument(metavar="SOURCE", help="The folder or file that was exported. Or --api.")
]
ImportApi = Annotated[bool, typer.Option("--api", help="Read its API, with a token from the environment.")]
ImportOut = Annotated[Path | None, typer.Option(help="The roster to write. Default: print it.")]
Phones = Annotated[
    Path | None, typer.Option(help="Numbers that the export lacks: a CSV file with the columns email and phone.")
]
TimeZones = Annotated[
    list[str], typer.Option("--time-zone", help="A name that is no time zone, and which it means: 'HQ=Europe/Berlin'.")
]
ImportForce = Annotated[bool, typer.Option("--force", help="Also over a file that is there.")]


@import_app.command("opsgenie")
def import_opsgenie(
    source: ImportSource = None,
    *,
    api: ImportApi = False,
    out: ImportOut = None,
    phones: Phones = None,
    time_zone: TimeZones = [],  # noqa: B006  Typer copies it
    force: ImportForce = False,
    json: Json = False,
) -> None:
    """Write a roster from Opsgenie's configuration backup, and report what became of each part of it.

    Example: oncall import opsgenie OpsGenieBackups --out roster.yaml
    """
    from oncall_cli.imports.commands import write

    write("opsgenie", source, out, api=api, phones=phones, time_zones=time_zone, force=force, as_json=json)


@import_app.command("pagerduty")
def import_pagerduty(
    source: ImportSource = None,
    *,
    api: ImportApi = False,
    out: ImportOut = None,
    phones: Phones = None,
    time_zone: TimeZones = [],  # noqa: B006  Typer copies it
    force: ImportForce = False,
    json: Json = False,
) -> None:
    """Write a roster from the JSON of PagerDuty's API, and report what became of each part of it.

    Example: oncall import pagerduty pagerduty-export --out roster.yaml
    """
    from oncall_cli.imports.commands import write

    write("pagerduty", source, out, api=api, phones=phones, time_zones=time_zone, force=force, as_json=json)


@import_app.command("grafana-oncall")
def import_grafana_oncall(
    source: ImportSource = None,
    *,
    api: ImportApi = False,
    out: ImportOut = None,
    phones: Phones = None,
    time_zone: TimeZones = [],  # noqa: B006  Typer copies it
    force: ImportForce = False,
    json: Json = False,
) -> None:
    """Write a roster from the JSON of Grafana OnCall's API, and report what became of each part of it.

    Example: oncall import grafana-oncall oncall-export --phones people.csv --out roster.yaml
    """
    from oncall_cli.imports.commands import write

    write("grafana-oncall", source, out, api=api, phones=phones, time_zones=time_zone, force=force, as_json=json)


@import_app.command("goalert")
def import_goalert(
    source: ImportSource = None,
    *,
    api: ImportApi = False,
    out: ImportOut = None,
    phones: Phones = None,
    time_zone: TimeZones = [],  # noqa: B006  Typer copies it
    force: ImportForce = False,
    json: Json = False,
) -> None:
    """Write a roster from the answer to GoAlert's GraphQL query, and report what became of each part of it.

    Example: oncall import goalert goalert.json --out roster.yaml
    """
    from oncall_cli.imports.commands import write

    write("goalert", source, out, api=api, phones=phones, time_zones=time_zone, force=force, as_json=json)


@import_app.command("compare")
def import_compare(
    system: Annotated[
        str | None, typer.Argument(help="opsgenie, pagerduty, grafana-oncall or goalert. Default: as the roster says.")
    ] = None,
    source: Annotated[
        Path | None, typer.Argument(help="The folder or file that was exported. Default: as above.")
    ] = None,
    *,
    roster: Annotated[Path, typer.Option(help="The roster file.")] = Path("roster.yaml"),
    phones: Phones = None,
    time_zone: TimeZones = [],  # noqa: B006  Typer copies it
    days: Annotated[int, typer.Option(min=1, max=366, help="How many.")] = 28,
    start: Annotated[str, typer.Option("--from", help="From when on: 'mon 00:00', '2026-12-01 00:00'.")] = "now",
    json: Json = False,
) -> None:
    """Show when the roster has others on call than the system it was imported from. Exits with 1 if it ever has.

    Example: oncall import compare --roster roster.yaml --days 28
    """
    from oncall_cli.imports.commands import compare

    compare(system, source, roster, phones=phones, time_zones=time_zone, days=days, start=start, as_json=json)


@app.command("init")
def init(
    *,
    devstack: Annotated[bool, typer.Option("--devstack", help="The devstack of this folder ($DEVSTACK_DIR).")] = False,
    stack_name: Annotated[
        str, typer.Option(envvar="ONCALL_STACK_NAME", help="The stack, deployed or not.")
    ] = DEFAULT_STACK,
    region: Annotated[str | None, typer.Option(envvar="AWS_REGION", help="AWS region.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile.")] = None,
    telnyx: Annotated[
        bool, typer.Option("--telnyx", help="Telnyx's secrets too: the second telephone provider (docs/providers.md).")
    ] = False,
    json: Json = False,
) -> None:
    """Set it up, guided: secrets, checked with Twilio and Slack, and a first roster. Can be run again.

    Example: oncall init
    """
    from oncall_cli.first_setup import guide
    from oncall_cli.target import devstack_endpoints

    endpoint_url = None
    if devstack:
        endpoints = devstack_endpoints()
        endpoint_url, region = endpoints["aws"], endpoints["region"]
    guide(
        stack_name=stack_name,
        region=region,
        profile=profile,
        endpoint_url=endpoint_url,
        telnyx=telnyx,
        as_json=json,
    )


@slack_app.command("manifest")
def slack_manifest(
    *,
    new: Annotated[
        bool, typer.Option("--new", help="There is no stack yet: leave out what needs its addresses.")
    ] = False,
    devstack: Annotated[bool, typer.Option("--devstack", help="The devstack of this folder ($DEVSTACK_DIR).")] = False,
    stack_name: Annotated[str, typer.Option(envvar="ONCALL_STACK_NAME", help="The deployed stack.")] = DEFAULT_STACK,
    region: Annotated[str | None, typer.Option(envvar="AWS_REGION", help="AWS region.")] = None,
    profile: Annotated[str | None, typer.Option(help="AWS profile.")] = None,
    json: Json = False,
) -> None:
    """Print the Slack app's manifest, with the stack's addresses, to be pasted at api.slack.com/apps.

    Example: oncall slack manifest
    """
    from oncall_cli.slack_app import show

    target = None if new else find(devstack=devstack, stack_name=stack_name, region=region, profile=profile)
    show(target.stack() if target else None, as_json=json)


def main() -> None:
    """Runs the command line."""
    app(prog_name="oncall")
