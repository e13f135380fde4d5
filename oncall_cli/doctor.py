"""`oncall doctor`: is it ready tonight? Looks at everything that a page needs, and says what to do about what is wrong."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, Literal

import typer

from oncall import providers, shadow
from oncall.clock import at
from oncall.clock import now as milliseconds
from oncall.phone import proofs
from oncall.probe import record as probe
from oncall.roster import Roster
from oncall.roster.schedules import responders_on_call
from oncall.settings import Mode, Settings
from oncall.table import Table
from oncall_cli import other_stack, secret_store
from oncall_cli.call_test import last_proof
from oncall_cli.errors import CommandError, aws_errors
from oncall_cli.incident_commands import recent
from oncall_cli.output import print_json, say
from oncall_cli.phone_numbers import advise, country_of
from oncall_cli.probe import last_run, set_up
from oncall_cli.providers import ProviderError
from oncall_cli.roster_check import numbers, old_time_zones, slack_users
from oncall_cli.roster_coverage import DAYS_AHEAD, gaps, idle_steps, never_on_call, unreachable
from oncall_cli.roster_table import read as read_table
from oncall_cli.secret_store import Secrets
from oncall_cli.slack_app import deploy_pinned
from oncall_cli.slack_app import scopes as scopes_of_manifest
from oncall_cli.target import Stack, Target
from oncall_cli.when import shown

STACK_GROWS_OLD = timedelta(days=365)
SHADOW_GROWS_OLD = timedelta(days=14)  # twice the week that moving in takes
LEAST_BALANCE = 5.0  # in the account's currency; a call costs a few cents, a bad night a few dozen calls
HEARTBEAT_MINUTES = 5
LEAST_TOKEN = 32  # characters of a bearer token: of a shorter one the gateway refuses every request
LEAST_CONCURRENCY = 100  # functions at once; a storm of alerts wants several dozen, and other stacks share them

Level = Literal["good", "warning", "failed"]
_COLOURS = {
    "good": "green",
    "warning": "yellow",
    "failed": "red",
}  # typer.echo leaves them out where there is no terminal


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do about it."""

    name: str
    level: Level
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at."""

    target: Target
    stack: Stack
    roster: Roster
    secrets: Secrets


def examine(target: Target, *, as_json: bool) -> None:
    """Prints what was found; exits with 1 if something failed."""
    show(_checks(target), "ready", as_json=as_json)


def show(checks: Sequence[Check], good: str, *, as_json: bool) -> None:
    """Prints checks, and `good` if none failed; exits with 1 otherwise."""
    is_ready = all(check.level != "failed" for check in checks)
    if as_json:
        print_json({"ready": is_ready, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            colour = None if os.environ.get("NO_COLOR") else _COLOURS[check.level]
            typer.secho(f"{check.level:8}", fg=colour, nl=False)
            say(f" {check.name}: {check.says}")
            if check.do:
                say(f"         -> {check.do}")
        say(good if is_ready else "NOT ready: fix what failed, then run it again")
    if not is_ready:
        raise typer.Exit(1)


def _checks(target: Target) -> list[Check]:
    stack = target.stack()
    current = read_table(target)
    secrets = secret_store.read(target.client("ssm"), target.name, stack)
    patient = Patient(target, stack, current.roster, secrets)
    problems = [
        Check("roster", "failed", str(problem), "correct it in the file, and apply it") for problem in current.problems
    ]
    parts = (
        _stack,
        _concurrency,
        _roster,
        _time_zones,
        _numbers,
        _secrets,
        _twilio,
        _providers,
        _telnyx,
        _shadow,
        _texts,
        _slack,
        _slack_users,
        _fallback,
        _executions,
        _alarms,
        _watchers,
        _table,
        _heard,
        _probe,
        _other_stack,
    )
    with ThreadPoolExecutor(len(parts)) as pool:  # each mostly waits for somebody's answer
        found = list(pool.map(lambda part: _run(part, patient), parts))
    return [*problems, *(check for checks in found for check in checks)]


def _run(part: Callable[[Patient], Iterator[Check]], patient: Patient) -> list[Check]:
    """A part's checks; what cannot be looked at has failed."""
    found: list[Check] = []
    try:
        with aws_errors(patient.target.name):
            for check in part(patient):
                found.append(check)  # noqa: PERF402  what was found before an error counts
    except CommandError as error:
        found.append(Check(part.__name__.strip("_"), "failed", str(error), "see what is in the way, and try again"))
    return found


def _stack(patient: Patient) -> Iterator[Check]:
    stack = patient.stack
    says = f"{stack.name} is {stack.status} since {shown(stack.deployed_at)}; this is oncall {version('oncall')}"
    if stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        yield Check("stack", "good", says)
    elif stack.status == "UPDATE_ROLLBACK_COMPLETE":
        yield Check("stack", "warning", says, "the last deployment failed and the one before it runs: deploy again")
    else:
        yield Check("stack", "failed", says, "look at the stack's events in CloudFormation")


def _concurrency(patient: Patient) -> Iterator[Check]:
    """How many functions AWS runs at once for us. Lambda: a new account's quota is far below the usual 1,000."""
    limit = patient.target.client("lambda").get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    says = f"AWS runs {limit} functions of this account at once"
    if limit >= LEAST_CONCURRENCY:
        yield Check("concurrency", "good", says)
    else:
        do = f"in a storm phones would ring late: ask for {LEAST_CONCURRENCY} (Service Quotas, AWS Lambda, Concurrent executions)"
        yield Check("concurrency", "warning", says, do)


def _roster(patient: Patient) -> Iterator[Check]:
    roster, now = patient.roster, datetime.now(UTC)
    if not roster.responders:
        yield Check("roster", "failed", "there is none: nobody can be rung", "oncall roster apply roster.yaml")
        return
    yield Check("roster", "good", f"version {roster.version}, {len(roster.responders)} responders")
    wrong = [*gaps(roster, now), *unreachable(roster, now)]
    for location, message in wrong:
        yield Check("coverage", "failed", f"{' '.join(map(str, location))} {message}", "fix the roster, and apply it")
    if not wrong:
        yield Check("coverage", "good", f"somebody is on call at each moment of the next {DAYS_AHEAD} days")
    for location, message in [*never_on_call(roster, now), *idle_steps(roster, now)]:
        yield Check("coverage", "warning", f"{' '.join(map(str, location))} {message}", "fix the roster, and apply it")
    for policy in roster.policies.values() or [roster.policy_for("")]:
        order = responders_on_call(roster, policy, now)
        if order:
            yield Check(f"policy {policy.id}", "good", f"rings {order[0].responder.name} first, {len(order)} in all")
        else:
            yield Check(f"policy {policy.id}", "failed", "rings nobody now", "oncall take, or fix the roster")


def _time_zones(patient: Patient) -> Iterator[Check]:
    """Countries change their clocks at short notice; a stack knows what was published before it was deployed."""
    now = datetime.now(UTC)
    age = old_time_zones(now)
    if age:
        yield Check("time zones", "warning", age, "install oncall anew, then build and deploy the stack again")
    elif patient.stack.deployed_at < now - STACK_GROWS_OLD:
        says = f"the stack's data are older than its deployment, {shown(patient.stack.deployed_at)}"
        yield Check("time zones", "warning", says, "make requirements && make build && sam deploy")
    else:
        yield Check("time zones", "good", f"the data are of {version('tzdata')}")


def _numbers(patient: Patient) -> Iterator[Check]:
    """A number is written right, and proven by a test call in the last 30 days."""
    for level, (_, responder_id, _), message in numbers(patient.roster):
        name = f"number of {responder_id}"
        yield Check(name, "failed" if level == "error" else "warning", message, "correct it in the file, and apply it")
    items = {item["sk"]: item for item in Table(patient.target.dynamodb, patient.target.table).query(proofs.PARTITION)}
    for responder in patient.roster.responders.values():
        item = items.get(responder.id)
        is_proven = proofs.is_proven(item, responder.phone, now=milliseconds())
        says = last_proof(item, responder.phone)
        do = "" if is_proven else f"oncall call-test {responder.id}"
        yield Check(f"number of {responder.id}", "good" if is_proven else "failed", says, do)


def _other_stack(patient: Patient) -> Iterator[Check]:
    """A primary and its standby speak with each other, and have the same roster."""
    other = other_stack.name(patient.stack)
    if other is None:
        return
    if other_stack.hears(patient.target):
        yield Check(other, "good", "it answers, and has the same roster")
    else:
        do = "look at its region and its stack, and whether both have the same token in SSM (docs/regions.md)"
        yield Check(other, "failed", "it does not answer", do)


_TOKENS = {"BearerTokenParameter": "bearer token", "HeartbeatTokenParameter": "heartbeat token"}


def _secrets(patient: Patient) -> Iterator[Check]:
    secrets = patient.secrets
    missing = [name for parameter, name in secrets.names.items() if parameter not in secrets.values]
    for name in missing:
        yield Check("secrets", "failed", f"SSM has no parameter {name}, or it is empty", "oncall init")
    if not missing:
        yield Check("secrets", "good", f"SSM has all {len(secrets.names)}")
    tokens = {parameter: secrets.values.get(parameter, "").split() for parameter in _TOKENS}
    for parameter, name in _TOKENS.items():
        if any(len(token) < LEAST_TOKEN for token in tokens[parameter]):
            do = "store a longer one there and with Alertmanager: openssl rand -hex 32"
            yield Check(name, "failed", f"it has fewer than {LEAST_TOKEN} characters, which the gateway refuses", do)
    if set(tokens["BearerTokenParameter"]) & set(tokens["HeartbeatTokenParameter"]):
        says = (
            "heartbeats are taken with a token of alerts: whoever can say that the monitoring lives can resolve alerts"
        )
        yield Check("heartbeat token", "failed", says, "give Alertmanager the other one, and take this one out of SSM")


def _twilio(patient: Patient) -> Iterator[Check]:
    if not {"TwilioAccountSidParameter", "TwilioAuthTokenParameter"} <= patient.secrets.values.keys():
        return  # told with the secrets
    twilio = patient.secrets.twilio
    account = twilio.account()
    if account["status"] != "active":
        yield Check("Twilio", "failed", f"the account is {account['status']}", "look at Twilio's console")
    elif account["type"] == "Trial":
        says = "the account is on trial: it calls up to five verified numbers, each from a number that Twilio picks, for 30 days"
        yield Check("Twilio", "failed", says, "upgrade it")
    else:
        yield Check("Twilio", "good", "the account is active and its secrets are right")
    amount, currency = twilio.balance()
    says = f"{amount:.2f} {currency}"
    if amount < LEAST_BALANCE:
        yield Check("Twilio's balance", "failed", says, "pay in, and turn on auto-recharge")
    else:
        yield Check("Twilio's balance", "good", says)
    number = patient.stack.parameters["CallerNumber"]
    if twilio.may_call_from(number):
        yield Check("Twilio's number", "good", f"{number} belongs to the account")
    else:
        do = _mend(number, "buy or verify it, or deploy with another CallerNumber")
        yield Check("Twilio's number", "failed", f"{number} does not belong to the account", do)
    called = {country_of(responder.phone) for responder in patient.roster.responders.values()}
    for country in sorted(one for one in called if one.isalpha()):
        if twilio.may_call_to(country):
            yield Check("Twilio's permissions", "good", f"may call {country}")
        else:
            do = "allow it: Twilio's console, Voice, Geo permissions"
            yield Check("Twilio's permissions", "failed", f"may not call {country}", do)
    policies = max(1, len(patient.roster.policies))
    if policies > 1:  # Twilio's API does not tell how many calls an account may hold at once
        says = f"{policies} policies may ring at once; how many calls the account may hold, its API does not tell"
        yield Check("Twilio's concurrency", "warning", says, "new accounts may hold 2 or 3: look at Twilio's console")


def _providers(patient: Patient) -> Iterator[Check]:
    """Which telephone provider is down, as pages know it."""
    for name, item in providers.down(Table(patient.target.dynamodb, patient.target.table)).items():
        says = f"down since {shown(at(item['since']))}: {item['reason']}"
        do = "pages begin with the other provider; oncall probe proves this one"
        yield Check(providers.LABELS[name], "warning", says, do)


def _telnyx(patient: Patient) -> Iterator[Check]:
    """The second telephone provider, if there is to be one."""
    parameters = patient.stack.parameters
    if not parameters.get("TelnyxApplicationId") or "TelnyxApiKeyParameter" not in patient.secrets.values:
        return  # a missing one is told with the secrets
    account = patient.secrets.telnyx
    amount, currency = account.balance()
    if amount < LEAST_BALANCE:
        yield Check("Telnyx's balance", "failed", f"{amount:.2f} {currency}", "pay in, and turn on auto-recharge")
    else:
        yield Check("Telnyx's balance", "good", f"{amount:.2f} {currency}")
    account.calls()
    known = account.application(parameters["TelnyxApplicationId"])
    if not known.get("active") or not known.get("outbound", {}).get("outbound_voice_profile_id"):
        do = "Mission Control: switch it on, and give it an outbound voice profile"
        yield Check("Telnyx", "failed", "the TeXML application cannot place calls", do)
    elif str(known.get("voice_method", "")).lower() != "post":
        says = "the TeXML application asks with GET: keys do not count"
        yield Check("Telnyx", "failed", says, "set its voice method to POST")
    else:
        yield Check("Telnyx", "good", "the key is right, and the application places calls")
    number = parameters["TelnyxCallerNumber"]
    if account.has(number):
        yield Check("Telnyx's number", "good", f"{number} belongs to the account")
    else:
        says = f"{number} is not one of the account's own"
        yield Check("Telnyx's number", "warning", says, _mend(number, "buy it, unless it is verified there"))


def _mend(number: str, do: str) -> str:
    """What to do about a number that the account does not have: perhaps it is only written wrong."""
    wrong = advise(number).message
    return f"it {wrong}" if wrong else do


def _shadow(patient: Patient) -> Iterator[Check]:
    """What rings nobody on purpose is not forgotten."""
    mode: Mode = "shadow" if patient.stack.parameters.get("Mode") == "shadow" else "live"
    names = shadow.named(Settings(mode=mode), patient.roster)
    if names == []:
        yield Check("shadow", "good", "everything is live")
        return
    what, do = ", ".join(names or []), "take shadow: true out of the roster, and apply it"
    if names is None:
        what, do = "the whole stack", "deploy with Mode=live"
    begun = shadow.since(Table(patient.target.dynamodb, patient.target.table))
    is_forgotten = begun and milliseconds() - begun > SHADOW_GROWS_OLD.total_seconds() * 1000
    says = f"nobody is rung for {what}" + (f", since {shown(at(begun))}" if begun else "")
    do = f"oncall shadow report --since 7d --against FILE; if it names no difference, {do}"
    yield Check("shadow", "failed" if is_forgotten else "warning", says, do)


def _texts(patient: Patient) -> Iterator[Check]:
    """Text messages: whether there is something that they come from."""
    sender = patient.stack.parameters.get("TextSender", "")
    asking = [policy.id for policy in patient.roster.policies.values() if policy.sms_before_call]
    if not sender:
        if asking:
            says = f"{', '.join(asking)} asks for a text before each call, but the stack sends none"
            yield Check("texts", "warning", says, "deploy with a TextSender (docs/phone.md)")
    elif not sender.startswith("+"):
        yield Check("texts", "good", f"they come from {sender}")
    elif {"TwilioAccountSidParameter", "TwilioAuthTokenParameter"} <= patient.secrets.values.keys():
        number = patient.secrets.twilio.number(sender)
        if number and number["capabilities"]["sms"]:
            yield Check("texts", "good", f"they come from {sender}")
        else:
            do = _mend(sender, "deploy with another TextSender, or with none (docs/phone.md)")
            yield Check("texts", "failed", f"{sender} cannot send text messages", do)


def _slack(patient: Patient) -> Iterator[Check]:
    if "SlackBotTokenParameter" not in patient.secrets.values:
        return
    slack = patient.secrets.slack
    identity, scopes = slack.identity()
    # Whether the history of its channels can be read, is tried below.
    wanted = scopes_of_manifest() - {"channels:history", "groups:history"}
    if not patient.stack.parameters.get("SlackUserGroup"):
        wanted -= {"usergroups:write"}
    missing = wanted - scopes if scopes else frozenset()
    if missing:
        do = "paste what oncall slack manifest prints into the app's settings, App Manifest, and install it again"
        yield Check("Slack", "failed", f"the app lacks {', '.join(sorted(missing))}", do)
    else:
        yield Check("Slack", "good", f"{identity.get('user', 'the app')} in {identity.get('team', 'the workspace')}")
        yield from _pinned(patient, slack.pin(identity))
    products = patient.roster.products.values()
    own = {patient.stack.parameters["SlackChannel"], patient.stack.parameters.get("ShadowChannel", "")} - {""}
    channels = {*own, *(one.slack_channel for one in products if one.slack_channel)}
    for channel in sorted(channels):
        name = f"channel {channel}"
        if channel.startswith("#"):
            do = "write its ID (channel details, at the bottom)"
            yield Check(name, "warning", "a channel by name breaks when it is renamed, and cannot be looked at", do)
            continue
        try:
            slack.read(channel)
        except ProviderError as error:
            yield Check(name, "failed", str(error), _SLACK_ADVICE.get(error.code, "look at the app's settings"))
        else:
            yield Check(name, "good", "the app is in it and reads it")


def _slack_users(patient: Patient) -> Iterator[Check]:
    """Each responder's Slack user is somebody who can press a button, and nobody else's."""
    do = "correct slack_user in the file (in Slack: profile, ⋮, Copy member ID), and apply it"
    for _, (_, responder_id, _), message in slack_users(patient.roster):
        yield Check(f"Slack user of {responder_id}", "failed", message, do)
    if "SlackBotTokenParameter" not in patient.secrets.values:
        return  # told with the secrets
    for responder in patient.roster.responders.values():
        if not responder.slack_user:
            continue
        name = f"Slack user of {responder.id}"
        try:
            found = patient.secrets.slack.user(responder.slack_user)
        except ProviderError as error:
            if error.code == "missing_scope":
                return  # told with the app's scopes
            if error.code not in ("user_not_found", "user_not_visible"):
                raise
            yield Check(name, "failed", f"nobody in the workspace is {responder.slack_user}", do)
            continue
        who = found.get("real_name") or found.get("name") or "somebody without a name"
        if found.get("deleted"):
            says = f"{responder.slack_user} ({who}) is deactivated in Slack"
            yield Check(name, "failed", says, "if they have left, take them out of the roster; else reactivate them")
        elif found.get("is_bot"):
            yield Check(name, "failed", f"{responder.slack_user} is the app {who}, which presses no button", do)
        else:
            yield Check(name, "good", f"{responder.slack_user} is {who}")


def _pinned(patient: Patient, pin: str) -> Iterator[Check]:
    """Whether buttons and /oncall count from this workspace and app alone."""
    pinned = patient.stack.parameters.get("SlackWorkspace", "")
    if not pinned:
        do = deploy_pinned(pin)
        yield Check("Slack's workspace", "warning", "buttons and /oncall count from any workspace and app", do)
    elif set(pinned.split()) != set(pin.split()):
        says = f"SlackWorkspace is {pinned}, and the token is of {pin}: what people press is refused"
        yield Check("Slack's workspace", "failed", says, deploy_pinned(pin))
    else:
        yield Check("Slack's workspace", "good", f"buttons and /oncall count from {pin} alone")


_SLACK_ADVICE = {
    "not_in_channel": "invite the app: /invite @... in the channel",
    "channel_not_found": "compare the ID; a private channel is only found by an app that was invited to it",
    "is_archived": "unarchive it, or name another channel",
    "missing_scope": "add channels:history (groups:history for a private channel) to the app, and install it again",
}


def _fallback(patient: Patient) -> Iterator[Check]:
    topic = patient.stack.outputs["FallbackTopicArn"]
    pages = patient.target.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscriptions: list[Any] = [one for page in pages for one in page["Subscriptions"]]
    waiting = [one for one in subscriptions if one["SubscriptionArn"] == "PendingConfirmation"]
    confirmed = len(subscriptions) - len(waiting)
    if waiting:
        do = "open the link in the mail, or remove the subscription"
        yield Check("fallback topic", "warning", f"{len(waiting)} subscriptions are not confirmed", do)
    if confirmed:
        yield Check("fallback topic", "good", f"{confirmed} subscriptions")
    else:
        do = "subscribe a mail address or a telephone: parameter FallbackEmail, or SNS"
        yield Check("fallback topic", "failed", "tells nobody when a page stays unanswered", do)


def _executions(patient: Patient) -> Iterator[Check]:
    machine = patient.stack.outputs["StateMachineArn"]
    week = datetime.now(UTC) - timedelta(days=7)
    client = patient.target.client("stepfunctions")
    for status in ("FAILED", "TIMED_OUT", "ABORTED"):
        found = client.list_executions(stateMachineArn=machine, statusFilter=status, maxResults=20)["executions"]
        recently = [one for one in found if one.get("stopDate", one["startDate"]) > week]
        if recently:
            says = f"{len(recently)} {status.lower()} within 7 days, the last {shown(recently[0]['startDate'])}"
            yield Check("executions", "warning", says, f"look at {recently[0]['name']} in Step Functions")


def _alarms(patient: Patient) -> Iterator[Check]:
    client = patient.target.client("cloudwatch")
    found = client.describe_alarms(AlarmNamePrefix=f"{patient.stack.name}-", StateValue="ALARM")["MetricAlarms"]
    ringing = [alarm for alarm in found if alarm["StateValue"] == "ALARM"]
    for alarm in ringing:
        do = "docs/operations.md says what it means"
        yield Check("alarm", "failed", f"{alarm['AlarmName']}: {alarm.get('AlarmDescription', '')}", do)
    if not ringing:
        yield Check("alarms", "good", "none")


def _watchers(patient: Patient) -> Iterator[Check]:
    """What watches over the monitoring and over ourselves is there, and somebody hears it."""
    name = patient.stack.name
    if patient.stack.parameters.get("Alarms") == "none":
        do = "deploy with Alarms=all; until then the monitoring's heartbeat has to come to /heartbeats/{key}"
        yield Check("watch", "warning", "nobody is told when functions fail: the stack has no alarms", do)
        return
    client = patient.target.client("cloudwatch")
    names = [f"{name}-heartbeat-silent", f"{name}-reconciler-silent"]
    found = {alarm["AlarmName"]: alarm for alarm in client.describe_alarms(AlarmNames=names)["MetricAlarms"]}
    for missing in sorted(set(names) - set(found)):
        yield Check("watch", "failed", f"the alarm {missing} is gone", "deploy again, or put it back")
    if found.get(names[1], {}).get("StateValue") == "INSUFFICIENT_DATA":
        do = "if it stays so for ten minutes after a deployment: its schedule's rule in EventBridge"
        yield Check("watch", "failed", "the function Reconcile has never run: what dies is not resumed", do)
    rule = patient.target.client("events").describe_rule(Name=patient.target.physical_id("HeartbeatChanged"))
    heard = json.loads(rule.get("EventPattern", "{}")).get("resources", [])
    if rule["State"] != "ENABLED" or not any(arn.endswith(f":alarm:{names[0]}") for arn in heard):
        yield Check("watch", "failed", "the rule HeartbeatChanged does not hear the heartbeat's alarm", "enable it")
    elif len(found) == len(names):
        yield Check("watch", "good", "a silent monitoring rings, and a silent reconciler mails")


def _table(patient: Patient) -> Iterator[Check]:
    """Whether the on-call table refuses to be deleted, as it was asked for."""
    is_protected = patient.target.dynamodb.describe_table(TableName=patient.target.table)["Table"].get(
        "DeletionProtectionEnabled", False
    )
    if patient.stack.parameters.get("DeletionProtection") == "true" and not is_protected:
        do = "somebody has switched it off: aws dynamodb update-table --deletion-protection-enabled"
        yield Check("table", "warning", "it can be deleted, although DeletionProtection is true", do)
    else:
        yield Check(
            "table", "good", "it refuses to be deleted" if is_protected else "it can be deleted, as was asked for"
        )


def _heard(patient: Patient) -> Iterator[Check]:
    """The last heartbeat and the last alert."""
    client = patient.target.client("cloudwatch")
    now = datetime.now(UTC)
    points = client.get_metric_statistics(
        Namespace="OnCall",
        MetricName="Heartbeats",
        Dimensions=[{"Name": "service", "Value": patient.stack.name}],
        StartTime=now - timedelta(hours=24),
        EndTime=now,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    beats = [point["Timestamp"] for point in points if point["Sum"] > 0]
    if not beats:
        do = "route Alertmanager's Watchdog to the output HeartbeatUrl (alertmanager/alertmanager.yml)"
        says = "none within a day: nobody would know if the monitoring were dead; phones ring for that, a day after the roster"
        yield Check("heartbeat", "failed", says, do)
    elif max(beats) < now - timedelta(minutes=HEARTBEAT_MINUTES):
        yield Check("heartbeat", "failed", f"the last one came {shown(max(beats))}", "look at Alertmanager")
    else:
        yield Check("heartbeat", "good", f"the last one came {shown(max(beats))}")
    found = [one for one in recent(patient.target, "30d") if not one.is_probe]
    if found:
        yield Check("last alert", "good", f"{shown(at(found[-1].opened_at))}: {found[-1].summary[:60]}")
    else:
        yield Check("last alert", "warning", "none within 30 days", 'try it: oncall page PRODUCT "a test" --test')


def _probe(patient: Patient) -> Iterator[Check]:
    """The number that answers by itself, and the last run."""
    stack = patient.stack
    number = stack.parameters.get("ProbeNumber", "")
    if not number:
        yield Check("probe", "warning", "off: the whole way of an alert is tried by real ones only", set_up(stack))
        return
    if {"TwilioAccountSidParameter", "TwilioAuthTokenParameter"} <= patient.secrets.values.keys():
        yield _voice_url(patient.secrets.twilio.number(number), number, f"{stack.gateway}/calls/probe")
    item = probe.last(Table(patient.target.dynamodb, patient.target.table))
    patience = probe.patience(stack.parameters.get("ProbeSchedule", ""))
    if item is None:
        yield Check("last probe", "warning", "there was none yet", "oncall probe")
    elif item.get("problem") or ("ended_at" not in item and item["started_at"] < milliseconds() - probe.LONGEST_MS):
        yield Check("last probe", "failed", last_run(item), "docs/operations.md, The probe; then oncall probe")
    elif patience and item["started_at"] < milliseconds() - patience:
        do = "look at its schedule's rule in EventBridge, then oncall probe"
        yield Check("last probe", "failed", f"{last_run(item)}; by its schedule it should have run since", do)
    else:
        yield Check("last probe", "good", last_run(item))


def _voice_url(found: dict[str, Any] | None, number: str, url: str) -> Check:
    """Whether the probe's number asks us what to do when it is called."""
    do = f"set its voice URL (A call comes in: Webhook, POST) to {url} in Twilio's console"
    if found is None:
        do = _mend(number, "buy it, or deploy with another ProbeNumber")
        return Check("probe's number", "failed", f"{number} does not belong to the account", do)
    if found.get("voice_application_sid") or found.get("trunk_sid"):
        return Check("probe's number", "failed", f"{number} is handled by an application or a trunk", do)
    if (found.get("voice_url"), found.get("voice_method")) != (url, "POST"):
        return Check("probe's number", "failed", f"{number} does not answer as the probe needs it", do)
    return Check("probe's number", "good", f"{number} answers by itself")
