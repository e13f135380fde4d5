"""CloudFormation's API, as far as `sam deploy`, `sam delete` and readers of a stack's outputs use it.

Stacks change while the request that asks for it is answered, so that nobody waits; the events tell the story as usual.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlparse
from uuid import uuid4
from xml.sax.saxutils import escape

from botocore.exceptions import BotoCoreError, ClientError

from devstack.aws.resources import Resource, Resources
from devstack.aws.template import (
    Scope,
    TemplateError,
    creation_order,
    needed_capabilities,
    parameter_values,
    parse,
    translate,
)

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."


class _RefusedError(Exception):
    """An error answer of the API: its code and message."""

    def __init__(self, message: str, code: str = "ValidationError"):
        super().__init__(message)
        self.code = code


@dataclass
class _Deployment:
    """What a stack is to be: a template and its parameters."""

    text: str
    template: dict[str, Any]
    processed: dict[str, Any]
    parameters: dict[str, str]
    tags: list[dict[str, str]]
    capabilities: list[str]


@dataclass
class _ChangeSet:
    name: str
    arn: str
    kind: str  # CREATE or UPDATE
    deployment: _Deployment
    description: str
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    execution_status: str = "AVAILABLE"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Stack:
    """One stack as it is deployed."""

    name: str
    arn: str
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    deployment: _Deployment | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    change_sets: list[_ChangeSet] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime | None = None


class CloudFormation:
    """The stacks of one region. `deployed` is called with each stack after it has changed."""

    def __init__(self, resources: Resources, deployed: Callable[[Stack], None]):
        self._resources = resources
        self._deployed = deployed
        self.stacks: list[Stack] = []

    # The API.

    def answer(self, form: Mapping[str, str]) -> tuple[int, str]:
        """Status and XML body for a request of the query protocol."""
        action = form.get("Action", "")
        handler = getattr(self, f"_api_{re.sub(r'(?<!^)(?=[A-Z])', '_', action).lower()}", None)
        request_id = str(uuid4())
        if handler is None:
            return 400, _error("InvalidAction", f"The devstack's CloudFormation does not know {action}", request_id)
        try:
            result = handler(form)
        except TemplateError as error:
            return 400, _error("ValidationError", str(error), request_id)
        except _RefusedError as error:
            return 400, _error(error.code, str(error), request_id)
        body = "" if result is None else f"<{action}Result>{_xml(result)}</{action}Result>"
        return 200, (
            f'<{action}Response xmlns="{_NAMESPACE}">{body}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
        )

    def _api_create_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        kind = form.get("ChangeSetType", "UPDATE")
        stack = self._find(form["StackName"])
        if kind == "CREATE" and stack and stack.status != "REVIEW_IN_PROGRESS":
            raise _RefusedError(f"Stack [{stack.name}] already exists and cannot be created again")
        if kind == "UPDATE" and stack is None:
            raise _RefusedError(f"Stack [{form['StackName']}] does not exist")
        if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", form["StackName"]) and stack is None:
            raise _RefusedError(f"Stack name {form['StackName']} must begin with a letter and have letters, digits, -")
        deployment = self._read(form, stack)
        if stack is None:
            arn = self._resources.arn("cloudformation", f"stack/{form['StackName']}/{uuid4()}")
            stack = Stack(form["StackName"], arn)
            self.stacks.append(stack)
            self._event(stack, "REVIEW_IN_PROGRESS", reason="User Initiated")
        arn = self._resources.arn("cloudformation", f"changeSet/{form['ChangeSetName']}/{uuid4()}")
        change_set = _ChangeSet(form["ChangeSetName"], arn, kind, deployment, form.get("Description", ""))
        before = stack.deployment
        if before and (before.processed, before.parameters, before.tags) == (
            deployment.processed,
            deployment.parameters,
            deployment.tags,
        ):
            change_set.status, change_set.reason, change_set.execution_status = "FAILED", _NO_CHANGES, "UNAVAILABLE"
        stack.change_sets.append(change_set)
        return {"Id": change_set.arn, "StackId": stack.arn}

    def _api_describe_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        stack, change_set = self._change_set(form)
        return {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.arn,
            "StackId": stack.arn,
            "StackName": stack.name,
            "Description": change_set.description,
            "Parameters": _parameters(change_set.deployment),
            "CreationTime": change_set.created,
            "ExecutionStatus": change_set.execution_status,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "Capabilities": change_set.deployment.capabilities,
            "Tags": change_set.deployment.tags,
            "Changes": [
                {"Type": "Resource", "ResourceChange": change} for change in _changes(stack, change_set.deployment)
            ],
        }

    def _api_execute_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        stack, change_set = self._change_set(form)
        if change_set.execution_status != "AVAILABLE":
            raise _RefusedError(
                f"ChangeSet [{change_set.arn}] cannot be executed in its current status of [{change_set.status}]",
                "InvalidChangeSetStatus",
            )
        change_set.execution_status = "EXECUTE_COMPLETE"
        self._deploy(stack, change_set.deployment, "CREATE" if stack.deployment is None else "UPDATE")
        return {}

    def _api_delete_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        stack, change_set = self._change_set(form)
        stack.change_sets.remove(change_set)
        return {}

    def _api_list_change_sets(self, form: Mapping[str, str]) -> dict[str, Any]:
        stack = self._existing(form["StackName"])
        return {
            "Summaries": [
                {"ChangeSetId": each.arn, "ChangeSetName": each.name, "Status": each.status, "StackName": stack.name}
                for each in stack.change_sets
            ]
        }

    def _api_describe_stacks(self, form: Mapping[str, str]) -> dict[str, Any]:
        wanted = [self._existing(form["StackName"])] if "StackName" in form else self.stacks
        return {"Stacks": [self._description(stack) for stack in wanted]}

    def _api_list_stacks(self, form: Mapping[str, str]) -> dict[str, Any]:
        del form
        return {"StackSummaries": [self._description(stack) for stack in self.stacks]}

    def _api_describe_stack_events(self, form: Mapping[str, str]) -> dict[str, Any]:
        return {"StackEvents": self._existing(form["StackName"]).events[::-1]}

    def _api_list_stack_resources(self, form: Mapping[str, str]) -> dict[str, Any]:
        return {"StackResourceSummaries": _resource_details(self._existing(form["StackName"]))}

    def _api_describe_stack_resources(self, form: Mapping[str, str]) -> dict[str, Any]:
        stack = self._existing(form["StackName"])
        wanted = form.get("LogicalResourceId")
        return {
            "StackResources": [
                {**detail, "StackName": stack.name, "StackId": stack.arn}
                for detail in _resource_details(stack)
                if wanted in {None, detail["LogicalResourceId"]}
            ]
        }

    def _api_describe_stack_resource(self, form: Mapping[str, str]) -> dict[str, Any]:
        found = self._api_describe_stack_resources(form)["StackResources"]
        if not found:
            raise _RefusedError(f"Resource {form['LogicalResourceId']} does not exist for stack {form['StackName']}")
        return {"StackResourceDetail": found[0]}

    def _api_get_template(self, form: Mapping[str, str]) -> dict[str, Any]:
        deployment = self._existing(form["StackName"]).deployment
        if deployment is None:
            raise _RefusedError(f"Stack {form['StackName']} has no template yet")
        processed = form.get("TemplateStage") == "Processed"
        return {
            "TemplateBody": json.dumps(deployment.processed) if processed else deployment.text,
            "StagesAvailable": ["Original", "Processed"],
        }

    def _api_get_template_summary(self, form: Mapping[str, str]) -> dict[str, Any]:
        if "StackName" in form:
            deployment = self._existing(form["StackName"]).deployment
            template = deployment.template if deployment else {"Resources": {}}
        else:
            template = parse(self._text(form))
        resources = template["Resources"]
        return {
            "Parameters": [
                {
                    "ParameterKey": name,
                    "DefaultValue": slot.get("Default"),
                    "ParameterType": slot["Type"],
                    "NoEcho": bool(slot.get("NoEcho")),
                    "Description": slot.get("Description"),
                }
                for name, slot in (template.get("Parameters") or {}).items()
            ],
            "ResourceTypes": sorted({resource["Type"] for resource in resources.values()}),
        }

    def _api_validate_template(self, form: Mapping[str, str]) -> dict[str, Any]:
        return {"Parameters": self._api_get_template_summary(form)["Parameters"]}

    def _api_delete_stack(self, form: Mapping[str, str]) -> None:
        stack = self._find(form["StackName"])
        if stack is None:
            return
        self._status(stack, "DELETE_IN_PROGRESS", "User Initiated")
        try:
            for resource in list(stack.resources.values())[::-1]:
                self._remove(stack, resource)
        except (TemplateError, ClientError, BotoCoreError) as error:
            self._status(stack, "DELETE_FAILED", str(error))
            return
        self._status(stack, "DELETE_COMPLETE")
        self.stacks.remove(stack)
        self._deployed(stack)

    # Reading a request.

    def _text(self, form: Mapping[str, str]) -> str:
        if "TemplateBody" in form:
            return form["TemplateBody"]
        url = urlparse(form["TemplateURL"])
        parts = url.path.lstrip("/").split("/", 1)
        body: bytes = self._resources.client("s3").get_object(Bucket=parts[0], Key=parts[1])["Body"].read()
        return body.decode()

    def _read(self, form: Mapping[str, str], stack: Stack | None) -> _Deployment:
        before = stack.deployment if stack else None
        text = before.text if form.get("UsePreviousTemplate") == "true" and before else self._text(form)
        template = parse(text)
        given = {
            each["ParameterKey"]: None if each.get("UsePreviousValue") == "true" else each.get("ParameterValue", "")
            for each in _structures(form, "Parameters")
        }
        parameters = parameter_values(template, given, before.parameters if before else {})
        processed = translate(template, parameters, self._resources.region)
        capabilities = [value for key, value in sorted(form.items()) if key.startswith("Capabilities.member.")]
        needed = needed_capabilities(processed["Resources"].values())
        accepted = set(capabilities) | ({"CAPABILITY_IAM"} if "CAPABILITY_NAMED_IAM" in capabilities else set())
        if missing := needed - accepted:
            raise _RefusedError(f"Requires capabilities : [{', '.join(missing)}]", "InsufficientCapabilitiesException")
        return _Deployment(text, template, processed, parameters, _structures(form, "Tags"), capabilities)

    def _find(self, name: str) -> Stack | None:
        return next((stack for stack in self.stacks if name in {stack.name, stack.arn}), None)

    def _existing(self, name: str) -> Stack:
        stack = self._find(name)
        if stack is None:
            raise _RefusedError(f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, form: Mapping[str, str]) -> tuple[Stack, _ChangeSet]:
        wanted = form["ChangeSetName"]
        for stack in self.stacks:
            if form.get("StackName") in {None, stack.name, stack.arn}:
                for change_set in stack.change_sets:
                    if wanted in {change_set.name, change_set.arn}:
                        return stack, change_set
        raise _RefusedError(f"ChangeSet [{wanted}] does not exist", "ChangeSetNotFound")

    def _description(self, stack: Stack) -> dict[str, Any]:
        return {
            "StackId": stack.arn,
            "StackName": stack.name,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "CreationTime": stack.created,
            "LastUpdatedTime": stack.updated,
            "Parameters": _parameters(stack.deployment),
            "Capabilities": stack.deployment.capabilities if stack.deployment else [],
            "Tags": stack.deployment.tags if stack.deployment else [],
            "Outputs": [{"OutputKey": key, **output} for key, output in stack.outputs.items()],
            "DisableRollback": False,
        }

    # Changing a stack.

    def _deploy(self, stack: Stack, deployment: _Deployment, kind: str) -> None:
        self._status(stack, f"{kind}_IN_PROGRESS", "User Initiated")
        before = dict(stack.resources)
        replaced: list[Resource] = []
        try:
            scope, wanted = self._scope(stack, deployment)
            for logical_id in creation_order(wanted):
                self._put(stack, logical_id, wanted[logical_id], scope, replaced)
            outputs = _outputs(deployment, scope)
        except (TemplateError, ClientError, BotoCoreError) as error:
            self._roll_back(stack, before, kind, str(error))
            return
        gone = [resource for logical_id, resource in stack.resources.items() if logical_id not in wanted]
        for resource in [*replaced, *gone[::-1]]:
            self._remove(stack, resource)
        stack.deployment, stack.outputs, stack.updated = deployment, outputs, datetime.now(UTC)
        # Functions and the gateway are there before anybody can read that the stack is complete.
        self._deployed(stack)
        self._status(stack, f"{kind}_COMPLETE")

    def _scope(self, stack: Stack, deployment: _Deployment) -> tuple[Scope, dict[str, Any]]:
        template = deployment.processed

        def attribute(logical_id: str, name: str) -> str:
            if logical_id not in template["Resources"]:
                raise TemplateError(
                    f"Template error: instance of Fn::GetAtt references undefined resource {logical_id}"
                )
            if logical_id not in stack.resources or name not in stack.resources[logical_id].attributes:
                raise TemplateError(f"Template error: resource {logical_id} does not support attribute type {name}")
            return stack.resources[logical_id].attributes[name]

        declared = template.get("Parameters") or {}
        parameters: dict[str, Any] = {
            name: value.split(",")
            if declared.get(name, {}).get("Type") in {"CommaDelimitedList", "List<Number>"}
            else value
            for name, value in deployment.parameters.items()
        }
        pseudo = {
            "AWS::AccountId": self._resources.account,
            "AWS::Region": self._resources.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack.name,
            "AWS::StackId": stack.arn,
            "AWS::NotificationARNs": [],
        }
        exports = {
            output["ExportName"]: output["OutputValue"]
            for each in self.stacks
            for output in each.outputs.values()
            if "ExportName" in output
        }
        scope = Scope(
            parameters | pseudo,
            attribute,
            template.get("Mappings") or {},
            template.get("Conditions") or {},
            exports,
        )
        wanted = {
            logical_id: resource
            for logical_id, resource in template["Resources"].items()
            if "Condition" not in resource or scope.condition(resource["Condition"])
        }
        return scope, wanted

    def _put(
        self, stack: Stack, logical_id: str, declared: Mapping[str, Any], scope: Scope, replaced: list[Resource]
    ) -> None:
        kind = declared["Type"]
        existing = stack.resources.get(logical_id)
        try:
            properties = scope.resolve(declared.get("Properties") or {})
        except TemplateError as error:
            raise TemplateError(f"{logical_id}: {error}") from error
        if existing and (existing.type, existing.properties) == (kind, properties):
            scope.refs[logical_id] = existing.physical_id
            return
        verb = "UPDATE" if existing else "CREATE"
        self._event(stack, f"{verb}_IN_PROGRESS", logical_id, kind, existing.physical_id if existing else "")
        try:
            if existing and existing.type == kind:
                resource = self._resources.update(stack.name, existing, properties)
            else:
                resource = self._resources.create(stack.name, logical_id, kind, properties)
        except KeyError as error:
            self._event(stack, f"{verb}_FAILED", logical_id, kind, "", f"the property {error} is missing")
            raise TemplateError(f"{logical_id}: the property {error} is missing") from error
        except (TemplateError, ClientError, BotoCoreError) as error:
            self._event(stack, f"{verb}_FAILED", logical_id, kind, "", str(error))
            raise
        resource.deletion_policy = declared.get("DeletionPolicy", "Delete")
        if existing and existing.physical_id != resource.physical_id:
            replaced.append(existing)
        stack.resources[logical_id] = resource
        scope.refs[logical_id] = resource.physical_id
        self._event(stack, f"{verb}_COMPLETE", logical_id, kind, resource.physical_id)

    def _roll_back(self, stack: Stack, before: dict[str, Resource], kind: str, reason: str) -> None:
        """Put everything back as it was. Its own failures end in ..._FAILED, as in CloudFormation."""
        prefix = "" if kind == "CREATE" else "UPDATE_"
        self._status(stack, f"{prefix}ROLLBACK_IN_PROGRESS", reason)
        try:
            for logical_id, resource in list(stack.resources.items())[::-1]:
                old = before.get(logical_id)
                if old is resource:
                    continue
                if old is None or old.physical_id != resource.physical_id:
                    if resource.deletion_policy != "Retain":  # RetainExceptOnCreate: what was made just now is deleted
                        self._resources.delete(resource)
                    del stack.resources[logical_id]
                else:
                    self._resources.update(stack.name, resource, old.properties)
                if old is not None:
                    stack.resources[logical_id] = old
        except (TemplateError, ClientError, BotoCoreError) as error:
            self._status(stack, f"{prefix}ROLLBACK_FAILED", f"{reason}; then, rolling back: {error}")
            return
        self._status(stack, f"{prefix}ROLLBACK_COMPLETE", reason)

    def _remove(self, stack: Stack, resource: Resource) -> None:
        if stack.resources.get(resource.logical_id) is resource:
            del stack.resources[resource.logical_id]
        if resource.deletion_policy != "Delete":
            self._event(stack, "DELETE_SKIPPED", resource.logical_id, resource.type, resource.physical_id)
            return
        self._resources.delete(resource)
        self._event(stack, "DELETE_COMPLETE", resource.logical_id, resource.type, resource.physical_id)

    def _status(self, stack: Stack, status: str, reason: str | None = None) -> None:
        stack.status, stack.reason = status, reason
        self._event(stack, status, reason=reason)

    def _event(
        self,
        stack: Stack,
        status: str,
        logical_id: str | None = None,
        kind: str = "AWS::CloudFormation::Stack",
        physical_id: str | None = None,
        reason: str | None = None,
    ) -> None:
        latest = stack.events[-1]["Timestamp"] if stack.events else None
        now = datetime.now(UTC)
        while latest is not None and now <= latest:  # SAM tells events apart by time
            time.sleep(0.001)
            now = datetime.now(UTC)
        stack.events.append(
            {
                "StackId": stack.arn,
                "EventId": str(uuid4()),
                "StackName": stack.name,
                "LogicalResourceId": logical_id or stack.name,
                "PhysicalResourceId": stack.arn if logical_id is None else physical_id,
                "ResourceType": kind,
                "Timestamp": now,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )


def _parameters(deployment: _Deployment | None) -> list[dict[str, str]]:
    if deployment is None:
        return []
    slots = deployment.template.get("Parameters") or {}
    return [
        {"ParameterKey": key, "ParameterValue": "****" if slots[key].get("NoEcho") else value}
        for key, value in deployment.parameters.items()
    ]


def _resource_details(stack: Stack) -> list[dict[str, Any]]:
    latest = {event["LogicalResourceId"]: event for event in stack.events}
    return [
        {
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.physical_id,
            "ResourceType": resource.type,
            "ResourceStatus": latest[resource.logical_id]["ResourceStatus"],
            "LastUpdatedTimestamp": latest[resource.logical_id]["Timestamp"],
            "Timestamp": latest[resource.logical_id]["Timestamp"],
        }
        for resource in stack.resources.values()
    ]


def _changes(stack: Stack, deployment: _Deployment) -> list[dict[str, Any]]:
    old = stack.deployment.processed["Resources"] if stack.deployment else {}
    new = deployment.processed["Resources"]
    changes = [
        ("Add" if name not in old else "Modify", name, resource["Type"])
        for name, resource in new.items()
        if old.get(name) != resource or (stack.deployment and stack.deployment.parameters != deployment.parameters)
    ]
    changes += [("Remove", name, resource["Type"]) for name, resource in old.items() if name not in new]
    return [
        {
            "Action": action,
            "LogicalResourceId": name,
            "ResourceType": kind,
            **({"Replacement": "Conditional"} if action == "Modify" else {}),
        }
        for action, name, kind in changes
    ]


def _outputs(deployment: _Deployment, scope: Scope) -> dict[str, dict[str, str]]:
    outputs: dict[str, dict[str, str]] = {}
    for key, declared in (deployment.processed.get("Outputs") or {}).items():
        if "Condition" in declared and not scope.condition(declared["Condition"]):
            continue
        outputs[key] = {"OutputValue": str(scope.resolve(declared["Value"]))}
        if "Description" in declared:
            outputs[key]["Description"] = declared["Description"]
        if "Export" in declared:
            outputs[key]["ExportName"] = str(scope.resolve(declared["Export"]["Name"]))
    return outputs


def _structures(form: Mapping[str, str], name: str) -> list[dict[str, str]]:
    """A list of structures in the query protocol: Name.member.1.Key=value."""
    found: dict[int, dict[str, str]] = {}
    for key, value in form.items():
        if match := re.fullmatch(rf"{name}\.member\.(\d+)\.(\w+)", key):
            found.setdefault(int(match.group(1)), {})[match.group(2)] = value
    return [found[index] for index in sorted(found)]


def form_of(body: bytes) -> dict[str, str]:
    """The fields of a request of the query protocol."""
    return {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(item)}</{key}>" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_xml(item)}</member>" for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return escape(str(value))


def _error(code: str, message: str, request_id: str) -> str:
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
