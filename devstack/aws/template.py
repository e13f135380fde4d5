"""CloudFormation's template language: parameters, SAM's transform, conditions and intrinsic functions."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]  # no type information is published
from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

SERVERLESS_TRANSFORM = "AWS::Serverless-2016-10-31"

_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")
_NO_VALUE = object()  # what {"Ref": "AWS::NoValue"} stands for: the property is left out


class TemplateError(Exception):
    """What CloudFormation answers with ValidationError; the message is meant for the one who deploys."""


class _ManagedPolicies:
    """The names of AWS's managed policies, from samtranslator's own list rather than from IAM."""

    def load(self) -> dict[str, str]:
        policies: dict[str, str] | None = get_bundled_managed_policy_map("aws")
        if policies is None:
            raise TemplateError("samtranslator has no list of managed policies for the partition aws")
        return policies


_MAPPING = yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG


def parse(text: str) -> dict[str, Any]:
    """A template's text, YAML with short or long tags or JSON, as plain data."""
    try:
        template = yaml_parse(text)
    finally:  # it makes PyYAML read every mapping as an OrderedDict, which PyYAML does not write
        yaml.SafeLoader.add_constructor(_MAPPING, yaml.SafeLoader.construct_yaml_map)  # type: ignore[type-var]  # its default
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    plain: dict[str, Any] = json.loads(json.dumps(template))
    return plain


def parameter_values(
    template: Mapping[str, Any], given: Mapping[str, str | None], previous: Mapping[str, str]
) -> dict[str, str]:
    """Every parameter's value: the given one, the previous one (given as None), or the default.

    Raises TemplateError where CloudFormation refuses a value.
    """
    declared: Mapping[str, Mapping[str, Any]] = template.get("Parameters") or {}
    if unknown := sorted(set(given) - set(declared)):
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values: dict[str, str] = {}
    for name, slot in declared.items():
        value = given.get(name)
        if value is None and name in given:
            value = previous.get(name)
        if value is None and "Default" in slot:
            value = str(slot["Default"])
        if value is not None:
            values[name] = value
    if missing := [name for name in declared if name not in values]:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in values.items():
        _check_parameter(name, value, declared[name])
    return values


def _check_parameter(name: str, value: str, slot: Mapping[str, Any]) -> None:
    explanation = slot.get("ConstraintDescription")
    parts = value.split(",") if slot["Type"] == "CommaDelimitedList" else [value]
    for part in parts:
        if "AllowedValues" in slot and part not in [str(allowed) for allowed in slot["AllowedValues"]]:
            allowed = ", ".join(str(allowed) for allowed in slot["AllowedValues"])
            raise TemplateError(explanation or f"Parameter '{name}' must be one of AllowedValues: {allowed}")
        failed = f"Parameter '{name}' failed to satisfy constraint: "
        if "AllowedPattern" in slot and not re.fullmatch(slot["AllowedPattern"], part):
            raise TemplateError(failed + (explanation or f"must match pattern {slot['AllowedPattern']}"))
        if not int(slot.get("MinLength", 0)) <= len(part) <= int(slot.get("MaxLength", 4096)):
            raise TemplateError(failed + (explanation or "length"))
    if slot["Type"] == "Number":
        try:
            number = float(value)
        except ValueError:
            raise TemplateError(f"Parameter '{name}' must be a number.") from None
        if number < float(slot.get("MinValue", number)):
            raise TemplateError(explanation or f"Parameter '{name}' must be number not less than {slot['MinValue']}")
        if number > float(slot.get("MaxValue", number)):
            raise TemplateError(explanation or f"Parameter '{name}' must be number not greater than {slot['MaxValue']}")


def translate(template: dict[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """The template after its transforms. Raises TemplateError with SAM's words for what SAM refuses."""
    transforms = template.get("Transform") or []
    transforms = [transforms] if isinstance(transforms, str) else transforms
    if unknown := [name for name in transforms if name != SERVERLESS_TRANSFORM]:
        raise TemplateError(f"No transform named {unknown[0]} found.")
    if not transforms:
        return template
    try:
        translated: dict[str, Any] = transform(
            json.loads(json.dumps(template)), {**parameters, "AWS::Region": region}, _ManagedPolicies()
        )
    except InvalidDocumentException as error:
        causes = " ".join(cause.message for cause in error.causes)
        raise TemplateError(
            f"Transform {SERVERLESS_TRANSFORM} failed with: Invalid Serverless Application Specification document. "
            f"Number of errors found: {len(error.causes)}. {causes}"
        ) from error
    plain: dict[str, Any] = json.loads(json.dumps(translated))
    return plain


@dataclass
class Scope:
    """What the intrinsic functions of one stack can see. `refs` grows as resources are created."""

    refs: dict[str, Any]
    attribute: Callable[[str, str], Any]  # logical id and attribute's name; raises TemplateError
    mappings: Mapping[str, Any] = field(default_factory=dict)
    condition_definitions: Mapping[str, Any] = field(default_factory=dict)
    exports: Mapping[str, str] = field(default_factory=dict)
    _conditions: dict[str, bool] = field(default_factory=dict)

    def condition(self, name: str) -> bool:
        """Whether the named condition holds."""
        if name not in self._conditions:
            if name not in self.condition_definitions:
                raise TemplateError(f"Template format error: Unresolved condition dependency {name}.")
            self._conditions[name] = bool(self.resolve(self.condition_definitions[name]))
        return self._conditions[name]

    def resolve(self, value: Any) -> Any:
        """`value` with every intrinsic function replaced by its result."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not _NO_VALUE]
        if not isinstance(value, dict):
            if isinstance(value, str) and "{{resolve:" in value:
                raise TemplateError(f"dynamic references are not supported: {value}")
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._call(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name not in self.refs:
            raise TemplateError(f"Unresolved resource dependencies [{name}] in the Resources block of the template")
        return self.refs[name]

    def _call(self, name: str, argument: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one line for each function
        if name == "Fn::If":
            condition, yes, no = argument
            return self.resolve(yes if self.condition(condition) else no)
        if name == "Fn::GetAtt":
            logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            return self.attribute(logical_id, self.resolve(attribute))
        if name == "Fn::Sub":
            return self._substitute(argument)
        argument = self.resolve(argument)
        match name:
            case "Fn::Join":
                return argument[0].join(str(part) for part in argument[1])
            case "Fn::Split":
                return argument[1].split(argument[0])
            case "Fn::Select":
                return argument[1][int(argument[0])]
            case "Fn::FindInMap":
                try:
                    return self.mappings[argument[0]][argument[1]][argument[2]]
                except KeyError:
                    raise TemplateError(
                        f"Template error: Unable to get mapping for {'::'.join(argument[:3])}"
                    ) from None
            case "Fn::Equals":
                return str(argument[0]) == str(argument[1])
            case "Fn::Not":
                return not argument[0]
            case "Fn::And":
                return all(argument)
            case "Fn::Or":
                return any(argument)
            case "Fn::Base64":
                return base64.b64encode(argument.encode()).decode()
            case "Fn::ImportValue":
                if argument not in self.exports:
                    raise TemplateError(f"No export named {argument} found.")
                return self.exports[argument]
            case "Fn::ToJsonString":
                return json.dumps(argument, separators=(",", ":"))
        raise TemplateError(f"Template error: the function {name} is not known")

    def _substitute(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument
        variables = {key: self.resolve(item) for key, item in variables.items()}

        def value(match: re.Match[str]) -> str:
            literal, name = match.group(1), match.group(2).strip()
            if literal:
                return "${" + match.group(2) + "}"
            if name in variables:
                return str(variables[name])
            return str(self.attribute(*name.split(".", 1)) if "." in name else self._ref(name))

        return _VARIABLE.sub(value, text)


def references(value: Any) -> set[str]:
    """The names that `value` refers to with Ref, GetAtt and Sub."""
    found: set[str] = set()
    if isinstance(value, list):
        for item in value:
            found |= references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                found.add(item)
            elif key == "Fn::GetAtt":
                found.add(item.split(".")[0] if isinstance(item, str) else item[0])
            else:
                if key == "Fn::Sub":
                    text = item if isinstance(item, str) else item[0]
                    found |= {name.split(".")[0].strip() for bang, name in _VARIABLE.findall(text) if not bang}
                found |= references(item)
    return found


def creation_order(resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The logical ids, each after those that it refers to or depends on. Raises TemplateError for a circle."""
    waiting: dict[str, set[str]] = {}
    for logical_id, resource in resources.items():
        depends = resource.get("DependsOn") or []
        needs = references(resource.get("Properties")) | set([depends] if isinstance(depends, str) else depends)
        waiting[logical_id] = needs & set(resources)
    order: list[str] = []
    while waiting:
        ready = [logical_id for logical_id, needs in waiting.items() if needs <= set(order)]
        if not ready:
            raise TemplateError(f"Circular dependency between resources: [{', '.join(sorted(waiting))}]")
        order += ready
        for logical_id in ready:
            del waiting[logical_id]
    return order


def needed_capabilities(resources: Iterable[Mapping[str, Any]]) -> set[str]:
    """The capabilities that CloudFormation wants to be told: whether there are IAM resources, and named ones."""
    names = {"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::IAM::Policy": ""}
    found = [resource for resource in resources if resource["Type"] in names]
    if any(names[resource["Type"]] in resource.get("Properties", {}) for resource in found):
        return {"CAPABILITY_NAMED_IAM"}
    return {"CAPABILITY_IAM"} if found else set()
