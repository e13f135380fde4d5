"""Which AWS action a request asks for, and whether a role's policies allow it. moto itself does not look at policies."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.iam.aws_managed_policies import aws_managed_policies_data

Statement = Mapping[str, Any]

# The name that a request is signed for, where it is not the prefix of the actions.
_PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@functools.cache
def _pattern(wildcards: str, *, ignore_case: bool) -> re.Pattern[str]:
    escaped = re.escape(wildcards).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.IGNORECASE if ignore_case else 0)


def _matches(patterns: Any, value: str, *, ignore_case: bool = False) -> bool:
    return any(_pattern(pattern, ignore_case=ignore_case).fullmatch(value) for pattern in _listed(patterns))


def _applies(statement: Statement, action: str, resource: str, leading_keys: Iterable[str]) -> bool:
    if "Action" in statement and not _matches(statement["Action"], action, ignore_case=True):
        return False
    if "NotAction" in statement and _matches(statement["NotAction"], action, ignore_case=True):
        return False
    if "Resource" in statement and not _matches(statement["Resource"], resource):
        return False
    if "NotResource" in statement and _matches(statement["NotResource"], resource):
        return False
    for operator, wanted in statement.get("Condition", {}).items():
        allowed = wanted.get("dynamodb:LeadingKeys")
        if allowed is not None and operator.startswith("ForAllValues:"):
            return all(_matches(allowed, key) for key in leading_keys)
    return True


def is_allowed(statements: Iterable[Statement], action: str, resource: str, leading_keys: Iterable[str] = ()) -> bool:
    """Whether the statements allow it: one does and none denies it. Of conditions only dynamodb:LeadingKeys is looked at."""
    applying = [statement for statement in statements if _applies(statement, action, resource, list(leading_keys))]
    effects = {statement["Effect"] for statement in applying}
    return "Allow" in effects and "Deny" not in effects


@functools.cache
def _managed_policies() -> dict[str, Any]:
    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def statements_of(document: Mapping[str, Any]) -> list[Statement]:
    """The statements of a policy document."""
    statements: list[Statement] = _listed(document["Statement"])
    return statements


def managed_statements(arn: str) -> list[Statement]:
    """The statements of one of AWS's managed policies. Raises KeyError for an unknown one."""
    return statements_of(_managed_policies()[arn.rsplit("/", 1)[-1]]["Document"])


def operation(environ: Mapping[str, Any], service: str, body: bytes) -> str:
    """The operation that a signed request asks for, such as PutItem. Empty where it can not be told."""
    path: str = environ.get("PATH_INFO", "")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    if found := re.search(r"/operation/(\w+)$", path):  # Smithy's RPC protocol
        return found.group(1)
    if service == "lambda" and path.endswith("/invocations"):
        return "InvokeFunction"
    if service == "s3":
        has_key = path.strip("/").count("/") > 0
        verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "POST": "Put", "DELETE": "Delete"}[environ["REQUEST_METHOD"]]
        return f"{verb}{'Object' if has_key else 'Bucket'}"
    if service == "xray":
        return f"Put{path.strip('/')}"
    form = parse_qs(body.decode(errors="replace"))
    return form.get("Action", [""])[0]


def permissions(  # noqa: PLR0911 - one case for each service
    service: str, name: str, path: str, body: bytes, region: str, account: str
) -> list[tuple[str, str, tuple[str, ...]]]:
    """What a request needs to be allowed: action, resource's ARN, and DynamoDB's partition keys."""
    prefix = _PREFIXES.get(service, service)
    action = f"{prefix}:{name}"
    arn = f"arn:aws:{prefix}:{region}:{account}"
    if service == "lambda":
        function = unquote(path.split("/")[3])
        resource = function if function.startswith("arn:") else f"{arn}:function:{function}"
        return [(action, resource, ())]
    if service == "sns":
        form = parse_qs(body.decode())
        return [(action, form.get("TopicArn", form.get("TargetArn", ["*"]))[0], ())]
    if service == "s3":
        return [(action, f"arn:aws:s3:::{path.lstrip('/')}", ())]
    if (service, name) == ("monitoring", "DescribeAlarms"):
        return [(action, f"{arn}:alarm:*", ())]  # which names it has, its binary form does not tell here
    if service not in {"dynamodb", "ssm", "states", "secretsmanager", "kms", "logs"}:
        return [(action, "*", ())]
    parameters = json.loads(body or b"{}")
    if service == "dynamodb":
        return _dynamodb_permissions(name, parameters, arn)
    if service == "ssm":
        names = parameters.get("Names") or [parameters.get("Name", parameters.get("Path", ""))]
        return [(action, f"{arn}:parameter/{each.split(':')[0].lstrip('/')}", ()) for each in names]
    if service == "states":
        # SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat take no resource: the token alone says what they mean.
        return [(action, parameters.get("stateMachineArn", parameters.get("executionArn", "*")), ())]
    if service == "secretsmanager":
        secret = parameters.get("SecretId", "*")
        return [(action, secret if secret.startswith("arn:") else f"{arn}:secret:{secret}", ())]
    return [(action, parameters.get("KeyId", "*") if service == "kms" else f"{arn}:*", ())]


def _dynamodb_permissions(name: str, parameters: Mapping[str, Any], arn: str) -> list[tuple[str, str, tuple[str, ...]]]:
    def table(parameters: Mapping[str, Any]) -> str:
        given = str(parameters.get("TableName", "*"))
        resource = given if given.startswith("arn:") else f"{arn}:table/{given}"
        return f"{resource}/index/{parameters['IndexName']}" if "IndexName" in parameters else resource

    if name in {"TransactWriteItems", "TransactGetItems"}:
        single = {
            "Put": "PutItem",
            "Update": "UpdateItem",
            "Delete": "DeleteItem",
            "ConditionCheck": "ConditionCheckItem",
            "Get": "GetItem",
        }
        return [
            (f"dynamodb:{single[kind]}", table(item), _leading_keys(item))
            for entry in parameters["TransactItems"]
            for kind, item in entry.items()
        ]
    if name in {"BatchGetItem", "BatchWriteItem"}:
        return [(f"dynamodb:{name}", table({"TableName": each}), ()) for each in parameters["RequestItems"]]
    return [(f"dynamodb:{name}", table(parameters), _leading_keys(parameters))]


def _leading_keys(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The value of the attribute `pk`, by its name: requests do not say which attribute is the partition key."""
    key = (parameters.get("Key") or parameters.get("Item") or {}).get("pk")
    return tuple(key.values()) if key else ()
