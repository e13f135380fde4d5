"""Terraform's state, in both of its forms, says what the API says: the same roster comes of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from oncall_cli.roster_file import parse_text
from tests.cli.conftest import Run
from tests.cli.test_import import NOW, save
from tests.imports import grafana_oncall_export, opsgenie_export, pagerduty_export

type Resources = list[tuple[str, dict[str, Any]]]


def snake(body: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name): value for name, value in body.items()}


def pagerduty(files: dict[str, Any]) -> Resources:
    found: Resources = []
    for user in files["users.json"]["users"]:
        found.append(("pagerduty_user", {name: user[name] for name in ("id", "name", "email")}))
        found += [
            ("pagerduty_user_contact_method", method | {"user_id": user["id"]}) for method in user["contact_methods"]
        ]
    for body in (body["schedule"] for body in files.values() if "schedule" in body):
        layers = [
            {
                **{name: layer[name] for name in ("name", "start", "rotation_virtual_start", "rotation_turn_length_seconds")},
                "end": layer["end"] or "", "users": [entry["user"]["id"] for entry in layer["users"]],
                "restriction": [{"start_day_of_week": 0, **restriction} for restriction in layer["restrictions"]],
            }
            for layer in reversed(body["schedule_layers"])
        ]  # fmt: skip
        found.append(
            (
                "pagerduty_schedule",
                {"id": body["id"], "name": body["name"], "time_zone": body["time_zone"], "layer": layers},
            )
        )
    for policy in files["escalation_policies.json"]["escalation_policies"]:
        rules = [
            {
                "escalation_delay_in_minutes": rule["escalation_delay_in_minutes"], "target": rule["targets"],
                "escalation_rule_assignment_strategy": [rule["escalation_rule_assignment_strategy"]],
            }
            for rule in policy["escalation_rules"]
        ]  # fmt: skip
        found.append(
            (
                "pagerduty_escalation_policy",
                {"id": policy["id"], "name": policy["name"], "num_loops": policy["num_loops"], "rule": rules},
            )
        )
    for service in files["services.json"]["services"]:
        values = {"id": service["id"], "name": service["name"], "escalation_policy": service["escalation_policy"]["id"]}
        found.append(("pagerduty_service", values | {"incident_urgency_rule": [service["incident_urgency_rule"]]}))
    return found


def opsgenie(files: dict[str, Any]) -> Resources:
    found: Resources = []
    for name, body in files.items():
        if name.startswith("users/"):
            user = body["user"]
            found.append(
                ("opsgenie_user", {"id": user["id"], "username": user["username"], "full_name": user["fullName"]})
            )
            for contact in user["userContacts"]:
                enabled = contact.get("status", {"enabled": True})["enabled"]
                values = {
                    "username": user["username"],
                    "method": contact["contactMethod"],
                    "to": contact["to"],
                    "enabled": enabled,
                }
                found.append(("opsgenie_user_contact", values))
        elif name.startswith("schedules/"):
            schedule = body["schedule"]
            found.append(("opsgenie_schedule", {key: schedule[key] for key in ("id", "name", "timezone", "enabled")}))
            for rotation in schedule["rotations"]:
                restriction = rotation.get("timeRestriction")
                blocks = [time_restriction(restriction)] if restriction else []
                values = snake(
                    {key: value for key, value in rotation.items() if key not in ("timeRestriction", "participants")}
                )
                values |= {
                    "schedule_id": schedule["id"],
                    "participant": rotation["participants"],
                    "time_restriction": blocks,
                }
                found.append(("opsgenie_schedule_rotation", values))
        elif name.startswith("escalations/"):
            rules = [
                {
                    "condition": rule["condition"], "notify_type": rule["notifyType"], "delay": rule["delay"]["timeAmount"],
                    "recipient": [rule["recipient"]],
                }
                for rule in body["rules"]
            ]  # fmt: skip
            found.append(
                (
                    "opsgenie_escalation",
                    {"id": body["id"], "name": body["name"], "rules": rules, "repeat": [snake(body["repeat"])]},
                )
            )
        elif name.startswith("teams/"):
            team = body["team"]
            members = [{"id": member["user"]["id"], "role": member["role"]} for member in team["members"]]
            found.append(("opsgenie_team", {"id": team["id"], "name": team["name"], "member": members}))
            for rule in body["teamRoutingRules"]:
                values = {
                    "team_id": team["id"],
                    "name": rule["name"],
                    "is_default": rule["isDefault"],
                    "criteria": [rule["criteria"]],
                    "notify": [rule["notify"]],
                }
                found.append(("opsgenie_team_routing_rule", values))
    return found


def time_restriction(body: dict[str, Any]) -> dict[str, Any]:
    one = [snake(body["restriction"])] if "restriction" in body else []
    return {
        "type": body["type"],
        "restriction": one,
        "restrictions": [snake(part) for part in body.get("restrictions", [])],
    }


def grafana_oncall(files: dict[str, Any]) -> Resources:
    kinds = {
        "users": "user", "on_call_shifts": "on_call_shift", "schedules": "schedule", "escalation_chains": "escalation_chain",
        "escalation_policies": "escalation", "routes": "route",
    }  # fmt: skip
    found: Resources = []
    for name, kind in kinds.items():
        for one in files[f"{name}.json"]["results"]:
            slack = {"slack": [one["slack"]]} if isinstance(one.get("slack"), dict) else {"slack": []}
            found.append((f"grafana_oncall_{kind}", {"until": None, "by_day": None} | one | slack))
    for one in files["integrations.json"]["results"]:
        route = one["default_route"]
        block = {"escalation_chain_id": route["escalation_chain_id"], "slack": [route["slack"]]}
        found.append(("grafana_oncall_integration", {"id": one["id"], "name": one["name"], "default_route": [block]}))
    return found


def as_state(resources: Resources) -> dict[str, Any]:
    instances = [
        {"mode": "managed", "type": kind, "name": "x", "instances": [{"attributes": values}]}
        for kind, values in resources
    ]
    return {"version": 4, "terraform_version": "1.9.0", "resources": instances}


def as_shown(resources: Resources) -> dict[str, Any]:
    """Half of it in a module."""
    listed = [{"address": "x", "mode": "managed", "type": kind, "values": values} for kind, values in resources]
    half = len(listed) // 2
    root = {"resources": listed[:half], "child_modules": [{"address": "module.x", "resources": listed[half:]}]}
    return {"format_version": "1.0", "terraform_version": "1.9.0", "values": {"root_module": root}}


@pytest.mark.parametrize("form", [as_state, as_shown])
@pytest.mark.parametrize(
    ("source", "resources", "export"),
    [
        ("pagerduty", pagerduty, pagerduty_export),
        ("opsgenie", opsgenie, opsgenie_export),
        ("grafana-oncall", grafana_oncall, grafana_oncall_export),
    ],
)
def test_a_state_says_what_the_api_says(
    run: Run, tmp_path: Path, source: str, resources: Any, export: Any, form: Any
) -> None:
    files = {name: body for name, body in export.export(NOW, 6).items() if "overrides" not in name}
    for body in files.values():
        if "scheduleOverrideList" in body:
            body["scheduleOverrideList"] = []
    if "shift_swaps.json" in files:
        files["shift_swaps.json"]["results"] = []
        for user in files["users.json"]["results"]:
            user["teams"] = []  # a state does not say who is in a team
    phones = tmp_path / "people.csv"
    phones.write_text(
        "email,phone\n" + "".join(f"user{n}@example.com,+120255501{n:02}\n" for n in range(8)), encoding="utf-8"
    )
    by_api, by_state = tmp_path / "api.yaml", tmp_path / "state.yaml"
    assert (
        run(
            "import", source, str(save(tmp_path / "export", files)), "--out", str(by_api), "--phones", str(phones)
        ).status
        == 0
    )
    state: dict[str, Any] = {"terraform.tfstate": form(resources(files))}
    state |= {name: body for name, body in files.items() if name.endswith(".ics")}
    ran = run("import", source, str(save(tmp_path / "state", state)), "--out", str(by_state), "--phones", str(phones))
    assert ran.status == 0, ran.err
    one, other = (parse_text(path.read_text(encoding="utf-8")).document for path in (by_api, by_state))
    assert plain(one) == plain(other)


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Slack's users are not in a state, and a shift with dates begins with the minute of the import."""
    schedules = {
        key: [layer for layer in schedule.get("layers", [schedule]) if "until" not in layer]
        for key, schedule in document["schedules"].items()
    }
    responders = {key: body | {"slack_user": None} for key, body in document["responders"].items()}
    return {
        "policies": document["policies"],
        "products": document["products"],
        "responders": responders,
        "schedules": schedules,
    }
