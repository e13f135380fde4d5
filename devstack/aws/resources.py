"""Creates, updates and deletes the resources of a stack, each as its service's API does, by their CloudFormation types."""

import hashlib
import io
import json
import re
import secrets
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from devstack.aws import iam
from devstack.aws.lambda_runtime import Function, LambdaRuntime
from devstack.aws.template import TemplateError

Properties = Mapping[str, Any]

# Neither called nor looked at by anything here: their ids are all that a template needs. API Gateway's are served by the gateway.
_RECORDED = (
    "AWS::ApiGateway::",
    "AWS::CloudWatch::Dashboard",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Logs::ResourcePolicy",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
)


@dataclass
class Resource:
    """One resource as it is deployed."""

    logical_id: str
    type: str
    properties: dict[str, Any]  # resolved
    physical_id: str  # what Ref gives
    attributes: dict[str, str] = field(default_factory=dict)  # what GetAtt gives
    deletion_policy: str = "Delete"


@dataclass(frozen=True)
class _Kind:
    create: Callable[["Resources", Resource, str], None]
    delete: Callable[["Resources", Resource], None]
    update: Callable[["Resources", Resource, Properties], None] | None = None  # None: it is replaced
    fixed: frozenset[str] = frozenset()  # properties whose change replaces it


class Resources:
    """The services that a stack's resources live in."""

    def __init__(self, *, endpoint: str, region: str, account: str, runtime: LambdaRuntime):
        session = boto3.Session("test", "test", region_name=region)
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=4)
        self._clients = {
            name: session.client(name, endpoint_url=endpoint, config=config)
            for name in ("dynamodb", "iam", "sns", "logs", "cloudwatch", "events", "ssm", "s3", "sqs", "stepfunctions")
        }
        self.region = region
        self.account = account
        self.runtime = runtime
        self.roles: dict[str, list[iam.Statement]] = {}  # what each role allows
        self.rules: dict[str, Properties] = {}  # EventBridge's rules and schedules, by physical id
        self.alarms: dict[str, Properties] = {}  # by name
        self.metric_filters: dict[str, Properties] = {}  # by name

    def client(self, name: str) -> Any:
        """A boto3 client of the endpoint."""
        return self._clients[name]

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """An ARN of this account."""
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def create(self, stack: str, logical_id: str, kind: str, properties: dict[str, Any]) -> Resource:
        """Create a resource. Raises TemplateError or botocore's ClientError and ParamValidationError."""
        resource = Resource(logical_id, kind, properties, "")
        _kind(kind).create(self, resource, _physical_name(stack, logical_id))
        return resource

    def update(self, stack: str, resource: Resource, properties: dict[str, Any]) -> Resource:
        """Change a resource, or replace it where that can not be done in place. The one it replaces has to be deleted."""
        kind = _kind(resource.type)
        changed = {
            name
            for name in {*properties, *resource.properties}
            if properties.get(name) != resource.properties.get(name)
        }
        if kind.update is None or changed & kind.fixed:
            return self.create(stack, resource.logical_id, resource.type, properties)
        before = resource.properties
        updated = Resource(
            resource.logical_id, resource.type, properties, resource.physical_id, dict(resource.attributes)
        )
        kind.update(self, updated, before)
        return updated

    def delete(self, resource: Resource) -> None:
        """Delete a resource."""
        _kind(resource.type).delete(self, resource)


def _kind(kind: str) -> _Kind:
    if kind.startswith(_RECORDED):
        return _RECORDED_KIND
    if kind not in _KINDS:
        raise TemplateError(f"Template format error: Unrecognized resource types: [{kind}]")
    return _KINDS[kind]


def _physical_name(stack: str, logical_id: str) -> str:
    """Such a name as CloudFormation gives, at most 64 characters."""
    suffix = "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(12))
    return f"{stack[:24]}-{logical_id[:25]}-{suffix}"


def _tags(properties: Properties) -> list[dict[str, str]]:
    return [{"Key": tag["Key"], "Value": str(tag["Value"])} for tag in properties.get("Tags", [])]


def _lower_first(value: Any) -> Any:
    """CloudFormation's property names as the API of Step Functions spells them."""
    if isinstance(value, list):
        return [_lower_first(item) for item in value]
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower_first(item) for key, item in value.items()}
    return value


def _without(properties: Properties, *names: str) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key not in names}


def _truth(value: Any) -> Any:
    """CloudFormation takes true and numbers as text too; the APIs do not."""
    if isinstance(value, list):
        return [_truth(item) for item in value]
    if isinstance(value, dict):
        return {key: _truth(item) for key, item in value.items()}
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


# ---------------------------------------------------------------- recorded only


def _record(services: Resources, resource: Resource, name: str) -> None:
    properties = resource.properties
    letters = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(10))
    resource.physical_id = {
        "AWS::ApiGateway::RestApi": letters,
        "AWS::ApiGateway::Deployment": letters[:6],
        "AWS::ApiGateway::Stage": properties.get("StageName", ""),
        "AWS::ApiGateway::DomainName": properties.get("DomainName", ""),
    }.get(resource.type, name)
    resource.attributes = {"RootResourceId": letters[::-1], "RestApiId": letters, "DeploymentId": letters[:6]}
    del services


def _forget(services: Resources, resource: Resource) -> None:
    del services, resource


def _keep(services: Resources, resource: Resource, before: Properties) -> None:
    del services, resource, before


_RECORDED_KIND = _Kind(_record, _forget, _keep, frozenset({"StageName", "DomainName"}))


# ---------------------------------------------------------------- IAM


def _put_role(services: Resources, resource: Resource, before: Properties) -> None:
    client, name, properties = services.client("iam"), resource.physical_id, resource.properties
    kept = {policy["PolicyName"] for policy in properties.get("Policies", [])}
    for policy in before.get("Policies", []):
        if policy["PolicyName"] not in kept:
            client.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
    statements: list[iam.Statement] = []
    for policy in properties.get("Policies", []):
        client.put_role_policy(
            RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=json.dumps(policy["PolicyDocument"])
        )
        statements += iam.statements_of(policy["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns", []):
        try:
            statements += iam.managed_statements(arn)
        except KeyError:
            raise TemplateError(f"Policy {arn} does not exist or is not attachable.") from None
    services.roles[name] = statements


def _create_role(services: Resources, resource: Resource, name: str) -> None:
    properties = resource.properties
    resource.physical_id = properties.get("RoleName", name)
    role = services.client("iam").create_role(
        RoleName=resource.physical_id,
        AssumeRolePolicyDocument=json.dumps(properties["AssumeRolePolicyDocument"]),
        Tags=_tags(properties),
    )["Role"]
    resource.attributes = {"Arn": role["Arn"], "RoleId": role["RoleId"]}
    _put_role(services, resource, {})


def _delete_role(services: Resources, resource: Resource) -> None:
    client = services.client("iam")
    for policy in resource.properties.get("Policies", []):
        client.delete_role_policy(RoleName=resource.physical_id, PolicyName=policy["PolicyName"])
    client.delete_role(RoleName=resource.physical_id)
    services.roles.pop(resource.physical_id, None)


def _create_policy(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = name
    _update_policy(services, resource, {})


def _update_policy(services: Resources, resource: Resource, before: Properties) -> None:
    for role in before.get("Roles", []):
        services.client("iam").delete_role_policy(RoleName=role, PolicyName=before["PolicyName"])
        for statement in iam.statements_of(before["PolicyDocument"]):
            services.roles[role].remove(statement)
    properties = resource.properties
    for role in properties.get("Roles", []):
        services.client("iam").put_role_policy(
            RoleName=role, PolicyName=properties["PolicyName"], PolicyDocument=json.dumps(properties["PolicyDocument"])
        )
        services.roles[role] += iam.statements_of(properties["PolicyDocument"])


# ---------------------------------------------------------------- Lambda


def _deploy_function(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    properties, name = resource.properties, resource.physical_id
    if properties.get("PackageType", "Zip") != "Zip" or "S3Key" not in properties["Code"]:
        raise TemplateError(f"{resource.logical_id}: only code in S3 can be run")
    if not 1 <= int(properties.get("Timeout", 3)) <= 900:
        raise TemplateError(f"{resource.logical_id}: Timeout must be 1 to 900 seconds")
    if not properties.get("Runtime", "").startswith("python3.13"):
        raise TemplateError(f"{resource.logical_id}: only python3.13 can be run")
    variables = properties.get("Environment", {}).get("Variables", {})
    reserved = {"_HANDLER", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    if taken := sorted(reserved & set(variables)):
        raise TemplateError(f"Lambda was unable to configure your environment variables: reserved keys {taken}")
    if sum(len(str(key)) + len(str(value)) for key, value in variables.items()) > 4096:
        raise TemplateError(f"{resource.logical_id}: environment variables exceed 4,096 bytes")
    code = services.client("s3").get_object(Bucket=properties["Code"]["S3Bucket"], Key=properties["Code"]["S3Key"])
    content = code["Body"].read()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 262_144_000:
            raise TemplateError("Unzipped size must be smaller than 262144000 bytes")
    logging = properties.get("LoggingConfig", {})
    services.runtime.deploy(
        Function(
            name=name,
            logical_id=resource.logical_id,
            handler=properties["Handler"],
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            environment=tuple(sorted((str(key), _text(value)) for key, value in variables.items())),
            role=properties["Role"].rsplit("/", 1)[-1],
            log_group=logging.get("LogGroup", f"/aws/lambda/{name}"),
            log_format=logging.get("LogFormat", "Text").upper(),
        ),
        content,
        hashlib.sha256(content).hexdigest(),
    )
    resource.attributes = {"Arn": services.arn("lambda", f"function:{name}")}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _create_function(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("FunctionName", name)
    _deploy_function(services, resource, {})


def _delete_function(services: Resources, resource: Resource) -> None:
    services.runtime.remove(resource.physical_id)


# ---------------------------------------------------------------- Step Functions


def _definition(services: Resources, properties: Properties) -> str:
    if location := properties.get("DefinitionS3Location"):
        body = services.client("s3").get_object(Bucket=location["Bucket"], Key=location["Key"])["Body"]
        definition: str = body.read().decode()
    else:
        definition = properties.get("DefinitionString") or json.dumps(properties["Definition"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + name + "}", _text(value))
    if left := sorted(set(re.findall(r"\$\{[^}]*\}", definition))):
        raise TemplateError(f"Invalid State Machine Definition: nothing is substituted for {', '.join(left)}")
    return definition


def _create_state_machine(services: Resources, resource: Resource, name: str) -> None:
    properties = resource.properties
    name = properties.get("StateMachineName", name)
    resource.physical_id = services.client("stepfunctions").create_state_machine(
        name=name,
        definition=_definition(services, properties),
        roleArn=properties["RoleArn"],
        type=properties.get("StateMachineType", "STANDARD"),
        loggingConfiguration=_lower_first(_truth(properties.get("LoggingConfiguration", {}))),
        tracingConfiguration=_lower_first(_truth(properties.get("TracingConfiguration", {}))),
        tags=_lower_first(_tags(properties)),
    )["stateMachineArn"]
    resource.attributes = {"Arn": resource.physical_id, "Name": name}


def _update_state_machine(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    services.client("stepfunctions").update_state_machine(
        stateMachineArn=resource.physical_id,
        definition=_definition(services, resource.properties),
        roleArn=resource.properties["RoleArn"],
    )


def _delete_state_machine(services: Resources, resource: Resource) -> None:
    services.client("stepfunctions").delete_state_machine(stateMachineArn=resource.physical_id)


# ---------------------------------------------------------------- DynamoDB

_TABLE_EXTRAS = ("TimeToLiveSpecification", "PointInTimeRecoverySpecification", "TableName", "Tags")


def _create_table(services: Resources, resource: Resource, name: str) -> None:
    properties = _truth(resource.properties)
    resource.physical_id = properties.get("TableName", name)
    sse = properties.get("SSESpecification", {})
    table = services.client("dynamodb").create_table(
        **_without(properties, *_TABLE_EXTRAS, "SSESpecification"),
        **({"SSESpecification": {"Enabled": sse["SSEEnabled"]}} if sse else {}),
        TableName=resource.physical_id,
        Tags=_tags(properties),
    )["TableDescription"]
    resource.attributes = {"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")}
    _set_table(services, resource, {})


def _set_table(services: Resources, resource: Resource, before: Properties) -> None:
    client, properties, before = services.client("dynamodb"), _truth(resource.properties), _truth(before)
    extra = "TimeToLiveSpecification"
    if extra in properties and properties[extra] != before.get(extra):
        client.update_time_to_live(TableName=resource.physical_id, TimeToLiveSpecification=properties[extra])
    extra = "PointInTimeRecoverySpecification"
    if extra in properties and properties[extra] != before.get(extra):
        client.update_continuous_backups(
            TableName=resource.physical_id, PointInTimeRecoverySpecification=properties[extra]
        )
    protection = properties.get("DeletionProtectionEnabled", False)
    if before and protection != before.get("DeletionProtectionEnabled", False):
        client.update_table(TableName=resource.physical_id, DeletionProtectionEnabled=protection)


def _delete_table(services: Resources, resource: Resource) -> None:
    services.client("dynamodb").delete_table(TableName=resource.physical_id)


# ---------------------------------------------------------------- SNS, SQS, logs, alarms, parameters, buckets


def _create_topic(services: Resources, resource: Resource, name: str) -> None:
    properties = resource.properties
    name = properties.get("TopicName", name)
    attributes = {key: _text(properties[key]) for key in ("DisplayName", "KmsMasterKeyId") if key in properties}
    resource.physical_id = services.client("sns").create_topic(
        Name=name, Attributes=attributes, Tags=_tags(properties)
    )["TopicArn"]
    resource.attributes = {"TopicArn": resource.physical_id, "TopicName": name}
    for subscription in properties.get("Subscription", []):
        services.client("sns").subscribe(TopicArn=resource.physical_id, **subscription)


def _delete_topic(services: Resources, resource: Resource) -> None:
    services.client("sns").delete_topic(TopicArn=resource.physical_id)


def _create_subscription(services: Resources, resource: Resource, name: str) -> None:
    del name
    properties = resource.properties
    resource.physical_id = services.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]


def _delete_subscription(services: Resources, resource: Resource) -> None:
    services.client("sns").unsubscribe(SubscriptionArn=resource.physical_id)


def _create_queue(services: Resources, resource: Resource, name: str) -> None:
    properties = resource.properties
    attributes = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in _without(properties, "QueueName", "Tags").items()
    }
    name = properties.get("QueueName", name)
    url = services.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    resource.physical_id = url
    resource.attributes = {"Arn": services.arn("sqs", name), "QueueName": name, "QueueUrl": url}


def _delete_queue(services: Resources, resource: Resource) -> None:
    services.client("sqs").delete_queue(QueueUrl=resource.physical_id)


def _create_log_group(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("LogGroupName", name)
    services.client("logs").create_log_group(logGroupName=resource.physical_id)
    resource.attributes = {"Arn": services.arn("logs", f"log-group:{resource.physical_id}:*")}
    _set_retention(services, resource, {})


def _set_retention(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    if days := resource.properties.get("RetentionInDays"):
        services.client("logs").put_retention_policy(logGroupName=resource.physical_id, retentionInDays=int(days))


def _delete_log_group(services: Resources, resource: Resource) -> None:
    services.client("logs").delete_log_group(logGroupName=resource.physical_id)


def _create_metric_filter(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("FilterName", name)
    _put_metric_filter(services, resource, {})


def _put_metric_filter(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    properties = resource.properties
    services.client("logs").put_metric_filter(
        logGroupName=properties["LogGroupName"],
        filterName=resource.physical_id,
        filterPattern=properties["FilterPattern"],
        metricTransformations=[_metric_transformation(each) for each in properties["MetricTransformations"]],
    )
    services.metric_filters[resource.physical_id] = properties


def _metric_transformation(given: Properties) -> dict[str, Any]:
    """CloudFormation has a list of dimensions with Key and Value, the API a map."""
    transformation: dict[str, Any] = _lower_first(_without(given, "Dimensions"))
    transformation["metricValue"] = str(given["MetricValue"])
    if "DefaultValue" in given:
        transformation["defaultValue"] = float(given["DefaultValue"])
    if "Dimensions" in given:
        transformation["dimensions"] = {each["Key"]: each["Value"] for each in given["Dimensions"]}
    return transformation


def _delete_metric_filter(services: Resources, resource: Resource) -> None:
    services.metric_filters.pop(resource.physical_id, None)
    services.client("logs").delete_metric_filter(
        logGroupName=resource.properties["LogGroupName"], filterName=resource.physical_id
    )


def _create_alarm(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("AlarmName", name)
    resource.attributes = {"Arn": services.arn("cloudwatch", f"alarm:{resource.physical_id}")}
    _put_alarm(services, resource, {})


def _put_alarm(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    properties = _truth(resource.properties)
    numbers: dict[str, float] = {
        key: int(properties[key]) for key in ("Period", "EvaluationPeriods", "DatapointsToAlarm") if key in properties
    }
    if "Threshold" in properties:
        numbers["Threshold"] = float(properties["Threshold"])
    services.client("cloudwatch").put_metric_alarm(**{**properties, **numbers, "AlarmName": resource.physical_id})
    services.alarms[resource.physical_id] = properties


def _delete_alarm(services: Resources, resource: Resource) -> None:
    services.client("cloudwatch").delete_alarms(AlarmNames=[resource.physical_id])
    services.alarms.pop(resource.physical_id, None)


def _create_rule(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("Name", name)
    resource.attributes = {"Arn": services.arn("events", f"rule/{resource.physical_id}")}
    _put_rule(services, resource, {})


def _put_rule(services: Resources, resource: Resource, before: Properties) -> None:
    client, properties, name = services.client("events"), resource.properties, resource.physical_id
    rule = _without(properties, "Targets", "Name", "EventPattern")
    if "EventPattern" in properties:
        rule["EventPattern"] = json.dumps(properties["EventPattern"])
    client.put_rule(Name=name, **rule)
    if old := [target["Id"] for target in before.get("Targets", [])]:
        client.remove_targets(Rule=name, Ids=old)
    if properties.get("Targets"):
        client.put_targets(Rule=name, Targets=_truth(properties["Targets"]))
    services.rules[name] = properties


def _delete_rule(services: Resources, resource: Resource) -> None:
    client, name = services.client("events"), resource.physical_id
    if old := [target["Id"] for target in resource.properties.get("Targets", [])]:
        client.remove_targets(Rule=name, Ids=old)
    client.delete_rule(Name=name)
    services.rules.pop(name, None)


def _create_schedule(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("Name", name)
    resource.attributes = {"Arn": services.arn("scheduler", f"schedule/default/{resource.physical_id}")}
    _put_schedule(services, resource, {})


def _put_schedule(services: Resources, resource: Resource, before: Properties) -> None:
    """EventBridge Scheduler's one target is kept as a rule with one target."""
    del before
    properties = resource.properties
    services.rules[resource.physical_id] = {
        "ScheduleExpression": properties["ScheduleExpression"],
        "State": properties.get("State", "ENABLED"),
        "Targets": [{"Id": "target", **properties["Target"]}],
        "Scheduler": True,
    }


def _delete_schedule(services: Resources, resource: Resource) -> None:
    services.rules.pop(resource.physical_id, None)


def _create_parameter(services: Resources, resource: Resource, name: str) -> None:
    resource.physical_id = resource.properties.get("Name", name)
    _put_parameter(services, resource, {})


def _put_parameter(services: Resources, resource: Resource, before: Properties) -> None:
    del before
    properties = _without(resource.properties, "Name", "Tags")
    services.client("ssm").put_parameter(Name=resource.physical_id, **properties, Overwrite=True)
    resource.attributes = {"Type": properties["Type"], "Value": properties["Value"]}


def _delete_parameter(services: Resources, resource: Resource) -> None:
    services.client("ssm").delete_parameter(Name=resource.physical_id)


def _create_bucket(services: Resources, resource: Resource, name: str) -> None:
    name = resource.properties.get("BucketName", name.lower()[:63])
    resource.physical_id = name
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": services.region}}
    services.client("s3").create_bucket(Bucket=name, **(elsewhere if services.region != "us-east-1" else {}))
    resource.attributes = {"Arn": f"arn:aws:s3:::{name}", "DomainName": f"{name}.s3.amazonaws.com"}


def _delete_bucket(services: Resources, resource: Resource) -> None:
    services.client("s3").delete_bucket(Bucket=resource.physical_id)


_KINDS = {
    "AWS::CloudWatch::Alarm": _Kind(_create_alarm, _delete_alarm, _put_alarm, frozenset({"AlarmName"})),
    "AWS::DynamoDB::Table": _Kind(
        _create_table,
        _delete_table,
        _set_table,
        frozenset(
            {"TableName", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"}
        ),
    ),
    "AWS::Events::Rule": _Kind(_create_rule, _delete_rule, _put_rule, frozenset({"Name"})),
    "AWS::IAM::Policy": _Kind(_create_policy, _forget, _update_policy),
    "AWS::IAM::Role": _Kind(_create_role, _delete_role, _put_role, frozenset({"RoleName"})),
    "AWS::Lambda::Function": _Kind(_create_function, _delete_function, _deploy_function, frozenset({"FunctionName"})),
    "AWS::Logs::LogGroup": _Kind(_create_log_group, _delete_log_group, _set_retention, frozenset({"LogGroupName"})),
    "AWS::Logs::MetricFilter": _Kind(
        _create_metric_filter, _delete_metric_filter, _put_metric_filter, frozenset({"FilterName", "LogGroupName"})
    ),
    "AWS::S3::Bucket": _Kind(_create_bucket, _delete_bucket, _keep, frozenset({"BucketName"})),
    "AWS::SNS::Subscription": _Kind(_create_subscription, _delete_subscription),
    "AWS::SNS::Topic": _Kind(_create_topic, _delete_topic, _keep, frozenset({"TopicName"})),
    "AWS::SQS::Queue": _Kind(_create_queue, _delete_queue),
    "AWS::SSM::Parameter": _Kind(_create_parameter, _delete_parameter, _put_parameter, frozenset({"Name"})),
    "AWS::Scheduler::Schedule": _Kind(_create_schedule, _delete_schedule, _put_schedule, frozenset({"Name"})),
    "AWS::StepFunctions::StateMachine": _Kind(
        _create_state_machine,
        _delete_state_machine,
        _update_state_machine,
        frozenset({"StateMachineName", "StateMachineType"}),
    ),
}
