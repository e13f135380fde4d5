"""Terraform's state (terraform.tfstate, or `terraform show -json`) as the documents of the API that its provider manages.

Sources: the providers' documentation (opsgenie/opsgenie, PagerDuty/pagerduty, grafana/grafana). PagerDuty's provider turns
the layers of a schedule round: the oldest comes first there.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oncall_cli.imports.documents import Document

type Values = dict[str, Any]
type Resources = dict[str, list[Values]]


def documents(source: str, found: list[Document]) -> list[Document]:
    """The documents, with each state of Terraform among them in the API's form."""
    made: list[Document] = []
    for document in found:
        resources: Resources = {}
        for kind, values in _resources(document.body):
            resources.setdefault(kind, []).append(values)
        if resources and source in _SOURCES:
            made += [Document(f"{name}.json", body) for name, body in _SOURCES[source](resources).items()]
        else:
            made.append(document)
    return made


def _resources(body: Any) -> Iterator[tuple[str, Values]]:
    """Type and values of each resource, also of data sources: users are often looked up."""
    if not isinstance(body, dict):
        return
    if "terraform_version" in body and isinstance(body.get("resources"), list):
        for resource in body["resources"]:
            for instance in resource.get("instances", []):
                yield resource.get("type", ""), instance.get("attributes") or {}
    values = body.get("values")
    modules = [values.get("root_module", {})] if "terraform_version" in body and isinstance(values, dict) else []
    while modules:
        module = modules.pop(0)
        for resource in module.get("resources", []):
            yield resource.get("type", ""), resource.get("values") or {}
        modules += module.get("child_modules", [])


def _pagerduty(resources: Resources) -> dict[str, Any]:
    users = {
        user["id"]: {"id": user["id"], "name": user.get("name"), "email": user.get("email")}
        for user in resources.get("pagerduty_user", [])
    }
    for method in resources.get("pagerduty_user_contact_method", []):
        user = users.setdefault(method.get("user_id", ""), {"id": method.get("user_id")})
        kept = {name: method.get(name) for name in ("type", "country_code", "address")}
        user.setdefault("contact_methods", []).append(kept)
    schedules = [
        _picked(one, "id", "name", "time_zone")
        | {"schedule_layers": [_pagerduty_layer(layer) for layer in reversed(one.get("layer") or [])]}
        for one in resources.get("pagerduty_schedule", [])
    ]
    schedules += [  # of the API's version 3
        _picked(one, "id", "name", "time_zone") | {"rotations": one.get("rotation") or []}
        for one in resources.get("pagerduty_schedulev2", [])
    ]
    policies = [
        _picked(one, "id", "name", "num_loops")
        | {
            "escalation_rules": [
                {
                    "escalation_delay_in_minutes": rule.get("escalation_delay_in_minutes"),
                    "targets": [_picked(target, "id", "type") for target in rule.get("target") or []],
                    "escalation_rule_assignment_strategy": _one(rule.get("escalation_rule_assignment_strategy")),
                }
                for rule in one.get("rule") or []
            ]
        }
        for one in resources.get("pagerduty_escalation_policy", [])
    ]
    services = [
        _picked(one, "id", "name")
        | {
            "escalation_policy": {"id": one.get("escalation_policy")},
            "incident_urgency_rule": _one(one.get("incident_urgency_rule")),
        }
        for one in resources.get("pagerduty_service", [])
    ]
    return {
        "users": {"users": list(users.values())}, "schedules": {"schedules": schedules},
        "policies": {"escalation_policies": policies}, "services": {"services": services},
    }  # fmt: skip


def _pagerduty_layer(layer: Values) -> Values:
    kept = _picked(layer, "name", "start", "rotation_virtual_start", "rotation_turn_length_seconds")
    restrictions = [
        {name: value for name, value in restriction.items() if value not in (None, 0, "")}
        for restriction in layer.get("restriction") or []
    ]
    users = [{"user": {"id": user}} for user in layer.get("users") or []]
    return kept | {"end": layer.get("end") or None, "users": users, "restrictions": restrictions}


def _opsgenie(resources: Resources) -> dict[str, Any]:
    users = {
        user.get("username", "").lower(): {
            "id": user["id"],
            "username": user.get("username"),
            "fullName": user.get("full_name"),
            "userContacts": [],
        }
        for user in resources.get("opsgenie_user", [])
    }
    for contact in resources.get("opsgenie_user_contact", []):
        known = users.get(contact.get("username", "").lower())
        if known:
            known["userContacts"].append(
                {"contactMethod": contact.get("method"), "to": contact.get("to"), "enabled": contact.get("enabled")}
            )
    schedules = []
    for one in resources.get("opsgenie_schedule", []):
        rotations = [r for r in resources.get("opsgenie_schedule_rotation", []) if r.get("schedule_id") == one["id"]]
        schedules.append(
            _picked(one, "id", "name", "timezone", "enabled")
            | {"rotations": [_opsgenie_rotation(r) for r in rotations]}
        )
    escalations = [
        _picked(one, "id", "name")
        | {
            "rules": [
                _camel(_picked(rule, "condition", "notify_type", "delay")) | {"recipient": _one(rule.get("recipient"))}
                for rule in one.get("rules") or []
            ],
            "repeat": _camel(_one(one.get("repeat")) or {}) or None,
        }
        for one in resources.get("opsgenie_escalation", [])
    ]
    found = {f"teams/{team['id']}": _opsgenie_team(team, resources) for team in resources.get("opsgenie_team", [])}
    listed = {"users": list(users.values()), "schedules": schedules, "escalations": escalations}
    return found | {name: {"data": bodies} for name, bodies in listed.items()}


def _opsgenie_rotation(rotation: Values) -> Values:
    restriction = _one(rotation.get("time_restriction"))
    made = _camel(_picked(rotation, "id", "name", "type", "length", "start_date"))
    made |= {
        "endDate": rotation.get("end_date") or None,
        "participants": [_picked(p, "type", "id") for p in rotation.get("participant") or []],
    }
    if restriction:
        made["timeRestriction"] = {
            "type": restriction.get("type"),
            "restriction": _camel(_one(restriction.get("restriction")) or {}) or None,
            "restrictions": [_camel(part) for part in restriction.get("restrictions") or []],
        }
    return made


def _opsgenie_team(team: Values, resources: Resources) -> Values:
    rules = [rule for rule in resources.get("opsgenie_team_routing_rule", []) if rule.get("team_id") == team["id"]]
    return {
        "team": _picked(team, "id", "name")
        | {
            "members": [
                {"user": {"id": member.get("id")}, "role": member.get("role")} for member in team.get("member") or []
            ]
        },
        "teamRoutingRules": [
            {
                "name": rule.get("name"),
                "isDefault": rule.get("is_default"),
                "criteria": _one(rule.get("criteria")),
                "timeRestriction": _one(rule.get("time_restriction")),
                "notify": _one(rule.get("notify")),
            }
            for rule in rules
        ],
    }


def _grafana_oncall(resources: Resources) -> dict[str, Any]:
    integrations = []
    for one in resources.get("grafana_oncall_integration", []):
        route = _one(one.get("default_route"))
        default = _picked(route, "escalation_chain_id") | {"slack": _one(route.get("slack"))} if route else None
        integrations.append(_picked(one, "id", "name") | {"default_route": default})
    groups = {
        "users": [_picked(one, "id", "username", "email", "name") for one in resources.get("grafana_oncall_user", [])],
        "on_call_shifts": [_set(one) for one in resources.get("grafana_oncall_on_call_shift", [])],
        "schedules": [_set(one) for one in resources.get("grafana_oncall_schedule", [])],
        "escalation_chains": [
            _picked(one, "id", "name") for one in resources.get("grafana_oncall_escalation_chain", [])
        ],
        "escalation_policies": [_set(one) for one in resources.get("grafana_oncall_escalation", [])],
        "integrations": integrations,
        "routes": [
            _picked(one, "id", "integration_id", "escalation_chain_id", "routing_regex", "position")
            for one in resources.get("grafana_oncall_route", [])
        ],
    }
    return {name: {"results": bodies} for name, bodies in groups.items()}


_SOURCES: Mapping[str, Callable[[Resources], dict[str, Any]]] = {
    "pagerduty": _pagerduty,
    "opsgenie": _opsgenie,
    "grafana-oncall": _grafana_oncall,
}


def _one(block: Any) -> Values | None:
    """A block that can be there once is a list of one in the state."""
    return block[0] if isinstance(block, list) and block else None


def _picked(values: Values, *names: str) -> Values:
    return {name: values.get(name) for name in names}


def _set(values: Values) -> Values:
    """What is set: a state has every attribute, the API only those that its kind has."""
    return {
        name: _one(value) if name == "slack" else value for name, value in values.items() if value not in (None, "", [])
    }


def _camel(values: Values) -> Values:
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value for name, value in values.items()}
