"""Stacks are created, updated, rolled back and deleted as CloudFormation does, by SAM's own commands."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.aws.template import (
    Scope,
    TemplateError,
    creation_order,
    needed_capabilities,
    parameter_values,
    references,
)
from tests.devstack.conftest import Sample


def _status(sample: Sample, stack: str) -> str:
    status: str = sample.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    return status


# ---------------------------------------------------------------- deploying


def test_the_outputs_are_those_of_the_resources(sample: Sample) -> None:
    outputs = sample.outputs

    assert outputs["MachineArn"] == "arn:aws:states:us-east-1:123456789012:stateMachine:sample-machine"
    assert outputs["Url"].endswith(".execute-api.us-east-1.amazonaws.com/test/start")
    assert outputs["TableName"].startswith("sample-Table-")
    assert "Polite" not in outputs  # its condition does not hold


def test_the_state_machine_has_its_substitutions(sample: Sample) -> None:
    machine = sample.client("stepfunctions").describe_state_machine(stateMachineArn=sample.outputs["MachineArn"])
    task = json.loads(machine["definition"])["States"]["Work"]

    assert task["Resource"] == "arn:aws:states:::lambda:invoke.waitForTaskToken"
    assert task["Parameters"]["FunctionName"].endswith(sample.outputs["FunctionName"])
    assert task["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"


def test_the_gateway_is_told_its_definition_with_nothing_left_to_resolve(sample: Sample) -> None:
    definition = json.loads((sample.directory / "gateway.json").read_text())
    integration = definition["body"]["paths"]["/start"]["post"]["x-amazon-apigateway-integration"]

    assert definition["stage"] == "test"
    assert integration["uri"] == "arn:aws:apigateway:us-east-1:states:action/StartExecution"
    assert integration["credentials"].startswith("arn:aws:iam::123456789012:role/sample-MachineRole-")
    template = integration["requestTemplates"]["application/json"]
    assert sample.outputs["MachineArn"] in template
    assert "$util.escapeJavaScript($input.body)" in template
    assert '"$$"' in template
    authorizer = definition["body"]["components"]["securitySchemes"]["Token"]["x-amazon-apigateway-authorizer"]
    assert sample.outputs["FunctionName"] in authorizer["authorizerUri"]
    assert "Fn::" not in json.dumps(definition)
    assert '{"Ref"' not in json.dumps(definition)


def test_the_table_is_as_declared(sample: Sample) -> None:
    client, name = sample.client("dynamodb"), sample.outputs["TableName"]

    assert client.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at")
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_second_deployment_changes_what_has_changed_and_nothing_else(sample: Sample) -> None:
    before = sample.outputs
    deployed = sample.deploy("--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "Greeting=good-day")

    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert _status(sample, "sample") == "UPDATE_COMPLETE"
    environment = sample.invoke({"do": "environment"}).payload
    assert (environment["GREETING"], environment["POLITE"]) == ("good-day", "yes")
    assert {key: sample.outputs[key] for key in before} == before
    assert sample.outputs["Polite"] == "yes"

    assert (
        "No changes to deploy"
        in (
            again := sample.deploy("--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "Greeting=good-day")
        ).stderr
        + again.stdout
    )
    assert sample.deploy("--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "Greeting=hello").returncode == 0
    assert "POLITE" not in sample.invoke({"do": "environment"}).payload


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("StageName=UPPER", "must match pattern"),
        ("Size=6", "not greater than 5"),
        ("Size=many", "must be a number"),
    ],
)
def test_a_parameter_that_its_constraints_refuse_fails_the_deployment(
    sample: Sample, override: str, complaint: str
) -> None:
    deployed = sample.deploy("--capabilities", "CAPABILITY_IAM", "--parameter-overrides", override, stack="refused")

    assert deployed.returncode != 0
    assert complaint in deployed.stdout + deployed.stderr


def test_roles_need_the_capability(sample: Sample) -> None:
    deployed = sample.deploy("--capabilities", "CAPABILITY_AUTO_EXPAND", stack="refused")

    assert deployed.returncode != 0
    assert "CAPABILITY_IAM" in deployed.stdout + deployed.stderr


def _create(sample: Sample, stack: str, resources: dict[str, Any]) -> str:
    client = sample.client("cloudformation")
    kind = "UPDATE" if any(each["StackName"] == stack for each in client.list_stacks()["StackSummaries"]) else "CREATE"
    client.create_change_set(
        StackName=stack, ChangeSetName="change", ChangeSetType=kind, TemplateBody=json.dumps({"Resources": resources})
    )
    client.execute_change_set(StackName=stack, ChangeSetName="change")
    status = _status(sample, stack)
    client.delete_change_set(StackName=stack, ChangeSetName="change")
    return status


_TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "rolled-back"}}
_BROKEN = {"Type": "AWS::SSM::Parameter", "DependsOn": "Topic", "Properties": {"Name": "/broken", "Type": "String"}}


def test_a_stack_that_can_not_be_created_is_rolled_back(sample: Sample) -> None:
    assert _create(sample, "broken", {"Topic": _TOPIC, "Broken": _BROKEN}) == "ROLLBACK_COMPLETE"

    client = sample.client("cloudformation")
    events = client.describe_stack_events(StackName="broken")["StackEvents"]
    failed = next(event for event in events if event["ResourceStatus"] == "CREATE_FAILED")
    assert failed["LogicalResourceId"] == "Broken"
    assert "Value" in failed["ResourceStatusReason"]
    topics = sample.client("sns").list_topics()["Topics"]
    assert not [topic for topic in topics if topic["TopicArn"].endswith(":rolled-back")]


@pytest.mark.parametrize(
    ("policy", "status"), [("RetainExceptOnCreate", "ROLLBACK_FAILED"), ("Retain", "ROLLBACK_COMPLETE")]
)
def test_a_protected_table_may_not_be_deleted_by_the_roll_back(sample: Sample, policy: str, status: str) -> None:
    """So a first deployment that fails can only be repeated where its table is kept."""
    table = {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": policy,
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "DeletionProtectionEnabled": True,
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        },
    }
    name = f"first-{policy}"
    broken = {**_BROKEN, "DependsOn": "Table"}
    assert _create(sample, name, {"Table": table, "Broken": broken}) == status
    if status == "ROLLBACK_COMPLETE":
        sample.client("cloudformation").delete_stack(StackName=name)
        assert _create(sample, name, {"Table": table}) == "CREATE_COMPLETE"


def test_an_update_that_fails_leaves_what_was_there(sample: Sample) -> None:
    def group(days: int) -> dict[str, Any]:
        return {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "kept", "RetentionInDays": days}}

    assert _create(sample, "kept", {"Group": group(7)}) == "CREATE_COMPLETE"
    assert (
        _create(sample, "kept", {"Group": group(30), "Topic": _TOPIC, "Broken": _BROKEN}) == "UPDATE_ROLLBACK_COMPLETE"
    )

    groups = sample.client("logs").describe_log_groups(logGroupNamePrefix="kept")["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [7]


def test_a_resource_that_leaves_the_template_is_deleted_and_a_retained_one_is_kept(sample: Sample) -> None:
    kept = {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain", "Properties": {"LogGroupName": "stays"}}
    gone = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "goes"}}
    assert (
        _create(sample, "leaving", {"Kept": kept, "Gone": gone, "Topic": {"Type": "AWS::SNS::Topic"}})
        == "CREATE_COMPLETE"
    )
    assert _create(sample, "leaving", {"Topic": {"Type": "AWS::SNS::Topic"}}) == "UPDATE_COMPLETE"

    client = sample.client("logs")
    assert client.describe_log_groups(logGroupNamePrefix="stays")["logGroups"]
    assert not client.describe_log_groups(logGroupNamePrefix="goes")["logGroups"]
    sample.client("cloudformation").delete_stack(StackName="leaving")
    with pytest.raises(ClientError, match="Stack with id leaving does not exist"):
        _status(sample, "leaving")


def test_a_type_that_is_not_known_is_refused(sample: Sample) -> None:
    assert _create(sample, "unknown", {"Queue": {"Type": "AWS::Nothing::Known"}}) == "ROLLBACK_COMPLETE"


def test_a_sam_template_with_mistakes_is_refused_in_sams_words(sample: Sample) -> None:
    broken = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "h"}}},
    }
    with pytest.raises(ClientError, match="Invalid Serverless Application Specification document"):
        sample.client("cloudformation").create_change_set(
            StackName="mistakes", ChangeSetName="c", ChangeSetType="CREATE", TemplateBody=json.dumps(broken)
        )


# ---------------------------------------------------------------- the template language


def _scope(**definitions: Any) -> Scope:
    def attribute(logical_id: str, name: str) -> str:
        return f"<{logical_id} {name}>"

    return Scope({"Name": "n", "List": ["a", "b"], "Table": "table-1"}, attribute, **definitions)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"Ref": "Name"}, "n"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "<Table Arn>"),
        ({"Fn::GetAtt": "Nested.Outputs.Url"}, "<Nested Outputs.Url>"),
        ({"Fn::Sub": "${Name} ${Table.Arn} ${!Literal} $$ $input ${ Name }"}, "n <Table Arn> ${Literal} $$ $input n"),
        ({"Fn::Sub": ["${Name} ${Own}", {"Own": {"Ref": "Table"}}]}, "n table-1"),
        ({"Fn::Join": ["-", [{"Ref": "Name"}, 1]]}, "n-1"),
        ({"Fn::Select": ["1", {"Ref": "List"}]}, "b"),
        ({"Fn::Select": [0, {"Fn::Split": ["/", "x/y"]}]}, "x"),
        ({"Fn::FindInMap": ["Map", {"Ref": "Name"}, "key"]}, "found"),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}], "other": 1}, {"Fn::If": ["No", 1], "other": 1}),
        ([{"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, 2], [2]),
        ({"kept": 1, "left out": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
        ({"Fn::Base64": "x"}, "eA=="),
        ({"Fn::ToJsonString": {"a": {"Ref": "Name"}}}, '{"a":"n"}'),
        ({"Fn::ImportValue": "shared"}, "from elsewhere"),
    ],
)
def test_functions(value: Any, result: Any) -> None:
    scope = _scope(
        mappings={"Map": {"n": {"key": "found"}}},
        condition_definitions={
            "Yes": {"Fn::And": [{"Fn::Equals": [{"Ref": "Name"}, "n"]}, {"Fn::Not": [{"Condition": "No"}]}]},
            "No": {"Fn::Or": [{"Fn::Equals": [{"Ref": "Name"}, "m"]}]},
        },
        exports={"shared": "from elsewhere"},
    )

    assert scope.resolve(value) == result


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Nobody"},
        {"Fn::Sub": "${Nobody}"},
        {"Fn::If": ["Nothing", 1, 2]},
        {"Fn::FindInMap": ["No", "such", "map"]},
        {"Fn::ImportValue": "nothing"},
        {"Fn::Unknown": 1},
        "{{resolve:ssm:name}}",
    ],
)
def test_what_can_not_be_resolved_is_an_error(value: Any) -> None:
    with pytest.raises(TemplateError):
        _scope().resolve(value)


def test_resources_are_created_after_those_they_refer_to() -> None:
    resources: dict[str, Any] = {
        "C": {"Properties": {"X": {"Fn::Sub": "${B.Arn}"}}},
        "B": {"Properties": {"X": [{"Fn::GetAtt": ["A", "Arn"]}]}},
        "D": {"DependsOn": ["C"]},
        "A": {"Properties": {"X": {"Ref": "Parameter"}}},
    }

    assert creation_order(resources) == ["A", "B", "C", "D"]
    resources["A"] = {"DependsOn": "D"}
    with pytest.raises(TemplateError, match="Circular dependency"):
        creation_order(resources)
    assert references({"Fn::Sub": ["${!No} ${A}", {"Own": {"Ref": "B"}}]}) == {"A", "B"}


def test_parameters() -> None:
    template = {
        "Parameters": {"A": {"Type": "String", "Default": "d", "AllowedValues": ["d", "e"]}, "B": {"Type": "String"}}
    }

    assert parameter_values(template, {"B": "x"}, {}) == {"A": "d", "B": "x"}
    assert parameter_values(template, {"B": None}, {"B": "before"}) == {"A": "d", "B": "before"}
    for given, complaint in [
        ({}, "must have values"),
        ({"B": "x", "C": "y"}, "do not exist"),
        ({"A": "f", "B": "x"}, "AllowedValues"),
    ]:
        with pytest.raises(TemplateError, match=complaint):
            parameter_values(template, given, {})


def test_capabilities() -> None:
    assert needed_capabilities([{"Type": "AWS::SNS::Topic"}]) == set()
    assert needed_capabilities([{"Type": "AWS::IAM::Role", "Properties": {}}]) == {"CAPABILITY_IAM"}
    assert needed_capabilities([{"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}]) == {
        "CAPABILITY_NAMED_IAM"
    }
