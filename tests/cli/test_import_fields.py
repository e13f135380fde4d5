"""`oncall import` and the published schemas: each field is mapped, reported, or means nothing (docs/move-in-fields.md)."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oncall_cli.imports import goalert, grafana_oncall, opsgenie, pagerduty
from oncall_cli.imports.documents import Document
from oncall_cli.imports.model import Imported

PAGE = Path(__file__).parents[2] / "docs" / "move-in-fields.md"
START, END = "2026-06-01T08:00:00Z", "2026-06-02T08:00:00Z"
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def published() -> dict[str, dict[str, list[str]]]:
    """Fields by system and object, as the page has them."""
    found: dict[str, dict[str, list[str]]] = {}
    system = kind = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            system = line[3:]
        elif line.startswith("| ") and not line.startswith("| object"):
            _, first, names, *_ = line.split("|")
            kind = first.strip(" `") or kind
            found.setdefault(system, {}).setdefault(kind, []).extend(re.findall(r"`([^`]+)`", names))
    return found


FIELDS = published()


def whole(system: str, kind: str, **values: Any) -> dict[str, Any]:
    """An object with each published field; null, where no value is given."""
    return dict.fromkeys(FIELDS[system][kind]) | values


def of_pagerduty() -> dict[str, Any]:
    def one(kind: str, **values: Any) -> dict[str, Any]:
        return whole("PagerDuty", kind, **values)

    layer = one(
        "schedule_layer", name="l", start=START, rotation_virtual_start=START, rotation_turn_length_seconds=86400,
        users=[{"user": {"id": "U"}}],
        restrictions=[one("restriction", type="daily_restriction", start_time_of_day="08:00:00", duration_seconds=3600)],
    )  # fmt: skip
    rule = one(
        "escalation_rule", escalation_delay_in_minutes=5, targets=[one("target", id="S", type="schedule_reference")]
    )
    return {
        "users.json": {"users": [one("user", id="U", name="A", contact_methods=[one("contact_method", type="x")])]},
        "schedule-S.json": {"schedule": one("schedule", id="S", name="S", time_zone="UTC", schedule_layers=[layer])},
        "overrides-S.json": {"overrides": [one("override", start=START, end=END, user={"id": "U"})]},
        "policies.json": {"escalation_policies": [one("escalation_policy", id="P", name="P", escalation_rules=[rule])]},
        "services.json": {"services": [one("service", id="V", name="V", escalation_policy={"id": "P"})]},
    }


def of_opsgenie() -> dict[str, Any]:
    def one(kind: str, **values: Any) -> dict[str, Any]:
        return whole("Opsgenie", kind, **values)

    user = {"type": "user", "id": "U"}
    hours = one("restriction", startDay="monday", startHour=8, startMin=0, endDay="monday", endHour=9, endMin=0)
    rotation = one(
        "rotation", id="R", name="R", startDate=START, type="daily", length=1, participants=[user],
        timeRestriction=one("timeRestriction", type="weekday-and-time-of-day", restrictions=[hours]),
    )  # fmt: skip
    escalation = one(
        "escalation", id="E", name="E", rules=[one("rule", recipient={"type": "team", "id": "T"})], repeat=one("repeat")
    )
    routing = one("routing_rule", isDefault=True, criteria=one("criteria", type="match-all"), notify={"type": "none"})
    return {
        "users/a.json": {"user": one("user", id="U", username="a@example.com", userContacts=[one("contact")])},
        "schedules/s.json": {"schedule": one("schedule", id="S", name="S", timezone="UTC", rotations=[rotation])},
        "overrides/o.json": {"data": one("override", _parent={"id": "S"}, user=user, startDate=START, endDate=END)},
        "forwardings/f.json": one("forwarding", fromUser=user, toUser=user, startDate=START, endDate=END),
        "escalations/e.json": escalation,
        "teams/t.json": {
            "team": one("team", id="T", name="T", members=[one("member", user=user)]),
            "teamRoutingRules": [routing],
        },
    }


def of_grafana_oncall() -> dict[str, Any]:
    def one(kind: str, **values: Any) -> dict[str, Any]:
        return whole("Grafana OnCall", kind, **values)

    step = one("escalation_policy", escalation_chain_id="F", type="notify_persons", persons_to_notify=["U"])
    bodies = {
        "users": one("user", id="U", username="a", email="a@example.com"),
        "schedules": one("schedule", id="S", name="S", type="calendar", time_zone="UTC", shifts=["O"]),
        "on_call_shifts": one(
            "on_call_shift",
            id="O",
            name="O",
            type="single_event",
            start="2026-06-01T08:00:00",
            duration=60,
            users=["U"],
        ),
        "shift_swaps": one("shift_swap", schedule="S"),
        "escalation_chains": one("escalation_chain", id="F", name="F"),
        "escalation_policies": step,
        "integrations": one("integration", id="C", name="C"),
        "routes": one("route", integration_id="C", escalation_chain_id="F"),
    }
    return {f"{name}.json": {"results": [body]} for name, body in bodies.items()}


def of_goalert() -> dict[str, Any]:
    def one(kind: str, **values: Any) -> dict[str, Any]:
        return whole("GoAlert", kind, **values)

    rule = one("rule", start="00:00", end="00:00", weekdayFilter=[True] * 7)
    target = one("target", target={"id": "R", "type": "rotation", "name": "R"}, rules=[rule])
    instead = one("temporarySchedule", start=START, end=END)
    nodes = {
        "users": one("user", id="U", name="A", contactMethods=[one("contactMethod")]),
        "rotations": one("rotation", id="R", name="R", start=START, type="daily", shiftLength=1, userIDs=["U"]),
        "schedules": one("schedule", id="S", name="S", targets=[target], temporarySchedules=[instead]),
        "userOverrides": one("userOverride", start=START, end=END, addUserID="U", target={"id": "S"}),
        "escalationPolicies": one("escalationPolicy", id="P", name="P", steps=[one("step", stepNumber=0)]),
        "services": one("service", id="V", name="V", escalationPolicyID="P"),
    }
    return {"goalert.json": {"data": {name: {"nodes": [node]} for name, node in nodes.items()}}}


SYSTEMS = {
    "PagerDuty": (pagerduty, of_pagerduty),
    "Opsgenie": (opsgenie, of_opsgenie),
    "Grafana OnCall": (grafana_oncall, of_grafana_oncall),
    "GoAlert": (goalert, of_goalert),
}


def read(system: str, files: dict[str, Any]) -> Imported:
    imported: Imported = SYSTEMS[system][0].read([Document(name, body) for name, body in files.items()], {})
    return imported


def told(imported: Imported) -> str:
    return "\n".join(f"{line.level}: {line.where}: {line.message}" for line in imported.report.notes)


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_published_field_is_read_or_known_to_mean_nothing(system: str) -> None:
    report = read(system, SYSTEMS[system][1]()).report
    assert [line for line in report.notes if line.level == "error"] == []
    names = {f"{kind}.{name}" for kind, fields in FIELDS[system].items() for name in fields}
    assert {name for name in names if not report.fields.get(name)} == set()


# ---------------------------------------------------------------- PagerDuty


@pytest.mark.parametrize("strategy", ["round_robin", {"type": "round_robin"}])
def test_pagerduty_has_the_strategy_of_a_rule_as_a_text_or_an_object(strategy: Any) -> None:
    """A text in the published schema, an object in the answers of the API."""
    files = of_pagerduty()
    rule = files["policies.json"]["escalation_policies"][0]["escalation_rules"][0]
    rule["escalation_rule_assignment_strategy"] = strategy
    imported = read("PagerDuty", files)
    assert imported.report.errors == []
    assert "takes turns among the targets of a step (round robin)" in told(imported)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("status", "disabled", "changed: service V: is disabled and rings nobody there; its alerts ring here"),
        ("status", "maintenance", "changed: service V: is in maintenance and rings nobody there for now"),
        ("status", "critical", None),
        ("acknowledgement_timeout", 1800, "not mapped: service V: rings again 30 minutes after an acknowledgement"),
        ("auto_resolve_timeout", 14400, "changed: service V: resolves by itself after 240 minutes"),
        ("response_play", {"id": "R"}, "not mapped: service V: runs a response play"),
        ("auto_pause_notifications_parameters", {"enabled": True, "timeout": 300}, "service V: pausing of notifications: for:"),
        ("auto_pause_notifications_parameters", {"enabled": False, "timeout": None}, None),
        ("alert_grouping_parameters", {"type": "time", "config": {}}, "service V: alert grouping: Alertmanager's group_by"),
        ("alert_grouping_parameters", {"type": None}, None),
        ("support_hours", {"type": "fixed_time_per_day"}, "service V: support hours: let alerting rules set"),
    ],
)  # fmt: skip
def test_what_a_service_of_pagerduty_does_else_is_told(field: str, value: Any, message: str | None) -> None:
    files = of_pagerduty()
    files["services.json"]["services"][0][field] = value
    said = told(read("PagerDuty", files))
    assert message in said if message else said == ""


# ---------------------------------------------------------------- Opsgenie


@pytest.mark.parametrize("named", [{"name": "R"}, {"id": "R"}, {"id": "R", "name": "R"}])
def test_an_override_of_opsgenie_names_its_rotations_by_id_or_name(named: dict[str, str]) -> None:
    files = of_opsgenie()
    files["users/b.json"] = {"user": {"id": "V", "username": "b@example.com"}}
    files["overrides/o.json"]["data"] |= {"user": {"type": "user", "id": "V"}, "rotations": [named]}
    assert read("Opsgenie", files).schedules[0].who(AT) == {"V"}


def test_an_override_of_a_rotation_that_is_not_there_is_told() -> None:
    files = of_opsgenie()
    files["overrides/o.json"]["data"]["rotations"] = [{"name": "Old"}]
    assert "schedule S: an override is for rotation Old, which is not in the export" in told(read("Opsgenie", files))


def test_opsgenies_routing_rules_are_all_told_in_whatever_order_they_stand() -> None:
    files = of_opsgenie()
    criteria = {"type": "match-any-condition", "conditions": [{"field": "priority", "expectedValue": "P1"}]}
    rule = {"name": "P1", "order": 0, "isDefault": False, "criteria": criteria, "notify": {"type": "none"}}
    files["teams/t.json"]["teamRoutingRules"].append(rule)
    imported = read("Opsgenie", files)
    assert "not mapped: team T: routing rule P1 with conditions" in told(imported)
    assert [product.name for product in imported.products] == ["T"]


def test_a_team_of_opsgenie_without_its_routing_rules_is_told() -> None:
    files = of_opsgenie()
    del files["teams/t.json"]["teamRoutingRules"]
    assert "not mapped: team T: has no routing rules in the export" in told(read("Opsgenie", files))


def test_opsgenies_forwarding_rules_are_layers_of_the_schedules() -> None:
    files = of_opsgenie()
    files["users/b.json"] = {"user": {"id": "V", "username": "b@example.com"}}
    files["forwardings/f.json"]["toUser"] = {"id": "V", "username": "b@example.com"}
    imported = read("Opsgenie", files)
    (schedule,) = imported.schedules
    assert schedule.who(AT) == {"V"}
    assert schedule.who(AT + timedelta(days=7, hours=-4)) == {"U"}
    assert "forwarding" in {deviation.name for deviation in schedule.deviations}
    files["forwardings/f.json"]["toUser"] = {"id": "W", "username": "c@example.com"}
    assert "not mapped: forwarding U to c@example.com: has no startDate, endDate, or users" in told(
        read("Opsgenie", files)
    )


def test_who_has_muted_opsgenie_is_told() -> None:
    files = of_opsgenie()
    files["users/a.json"]["user"]["mutedUntil"] = END
    assert "person a@example.com: has muted notifications until" in told(read("Opsgenie", files))


# ---------------------------------------------------------------- Grafana OnCall


@pytest.mark.parametrize("slack", [{"user_id": "U0SLACK", "team_id": "T"}, [{"user_id": "U0SLACK", "team_id": "T"}]])
def test_a_user_of_oncall_has_one_slack_account_or_a_list(slack: Any) -> None:
    """The documentation has a list, the serializer one account."""
    files = of_grafana_oncall()
    files["users.json"]["results"][0]["slack"] = slack
    imported = read("Grafana OnCall", files)
    assert imported.report.errors == []
    assert imported.people["U"].slack_user == "U0SLACK"


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("escalation_policies", {"persons_to_notify": ["U", "GONE"]}, "policy F: rings user GONE, who is not in the export"),
        ("escalation_policies", {"type": "notify_if_num_alerts_in_window", "persons_to_notify": None},
         "policy F: goes on only after so many alerts"),
        ("schedules", {"slack": {"channel_id": "C", "user_group_id": "S1"}}, "schedule S: keeps a Slack user group up to date"),
        ("shift_swaps", {"swap_start": START, "swap_end": END, "beneficiary": "U", "benefactor": "GONE", "status": "taken"},
         "schedule S: a swap puts GONE on call"),
        ("routes", {"integration_id": "OLD", "id": "R"}, "route R: its integration OLD is not in the export"),
        ("routes", {"telegram": {"id": "t", "enabled": True}, "is_the_last_route": True}, "integration C: writes to telegram"),
    ],
)  # fmt: skip
def test_what_oncall_has_beside_is_told(file: str, values: dict[str, Any], message: str) -> None:
    files = of_grafana_oncall()
    files[f"{file}.json"]["results"][0] |= values
    assert message in told(read("Grafana OnCall", files))


def test_a_schedule_of_a_calendar_is_in_the_time_zone_of_its_events() -> None:
    """It has none of its own; in another one it could only be written out, shift by shift."""
    files = of_grafana_oncall()
    files["schedules.json"]["results"][0] |= {"type": "ical", "ical_url_primary": "https://example.com/a.ics"}
    files["schedules.json"]["results"][0] |= {"shifts": None, "time_zone": None}
    lines = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "DTSTART;TZID=Europe/Berlin:20260601T220000", "DURATION:PT9H"]
    files["S.ics"] = "\r\n".join([*lines, "RRULE:FREQ=DAILY", "SUMMARY:a", "END:VEVENT", "END:VCALENDAR"])
    (schedule,) = read("Grafana OnCall", files).schedules
    assert (schedule.time_zone, schedule.unsayable) == ("Europe/Berlin", ())


# ---------------------------------------------------------------- GoAlert


def test_what_goalert_has_beside_is_told() -> None:
    files = of_goalert()
    data = files["goalert.json"]["data"]
    data["userOverrides"]["nodes"][0]["target"] = {"id": "GONE"}
    data["services"]["nodes"][0]["heartbeatMonitors"] = [{"name": "backup", "timeoutMinutes": 60}]
    said = told(read("GoAlert", files))
    assert "userOverrides: an override is for schedule GONE, which is not in the export" in said
    assert "service V: its heartbeat monitor backup" in said
