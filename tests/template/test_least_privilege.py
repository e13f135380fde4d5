"""Each part of the stack may do what it does, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource

from tests.template.reach import FUNCTIONS, Reached, reached_from

# What each function's code asks AWS for.
ACTIONS = {
    "ReceiveAlertsFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "states:StartExecution",
        "ssm:GetParameters",
    },
    "PhoneCallFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "states:StartExecution",
        "sns:Publish",
        "lambda:InvokeFunction",
        "ssm:GetParameters",
    },
    "SlackNotificationFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        "sns:Publish",
        "ssm:GetParameters",
    },
    "PhoneReplyFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "lambda:InvokeFunction",
        "ssm:GetParameters",
    },
    "SlackReplyFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:DeleteItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "states:StartExecution",
        "lambda:InvokeFunction",
        "ssm:GetParameters",
    },
    "AuthorizeFunction": {"ssm:GetParameters"},
    "ShiftCalendarFunction": {"dynamodb:GetItem", "dynamodb:Query"},
    "ReceiveEventFunction": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem", "states:StartExecution"},
    "ProbeFunction": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "sns:Publish",
        "lambda:InvokeFunction",
        "ssm:GetParameters",
    },
    "PeerFunction": {
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "states:SendTaskSuccess",
        "sns:Publish",
        "lambda:InvokeFunction",
        "ssm:GetParameters",
    },
    "ReconcileFunction": {
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "states:SendTaskSuccess",
        "ssm:GetParameters",
        "lambda:InvokeFunction",
        "dynamodb:UpdateItem",
        "dynamodb:Query on the index",
        "states:StartExecution",
        "sns:Publish",
        "cloudwatch:DescribeAlarms",
    },
}

# Which functions a function calls, where that is not Slack's alone.
CALLED = {
    "PhoneReplyFunction": ("SlackNotificationFunction", "PhoneCallFunction"),
    "ReconcileFunction": (  # which keeps them warm
        *("AuthorizeFunction", "ReceiveAlertsFunction", "PhoneCallFunction", "PhoneReplyFunction"),
        *("SlackNotificationFunction", "SlackReplyFunction"),
    ),
}

# Actions on every resource, because AWS knows no resource for them.
EVERY_RESOURCE = {
    "cloudwatch:PutMetricData": "metrics have a namespace, which its condition names",
    "states:SendTaskSuccess": "the token says what it is about",
    "logs:CreateLogDelivery": "how Step Functions logs",
    "logs:GetLogDelivery": "how Step Functions logs",
    "logs:UpdateLogDelivery": "how Step Functions logs",
    "logs:DeleteLogDelivery": "how Step Functions logs",
    "logs:ListLogDeliveries": "how Step Functions logs",
    "logs:PutResourcePolicy": "how Step Functions logs",
    "logs:DescribeResourcePolicies": "how Step Functions logs",
    "logs:DescribeLogGroups": "how Step Functions logs",
    "xray:PutTraceSegments": "traces belong to the account",
    "xray:PutTelemetryRecords": "traces belong to the account",
    "xray:GetSamplingRules": "traces belong to the account",
    "xray:GetSamplingTargets": "traces belong to the account",
}

# What SAM adds for logging and tracing.
MANAGED = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
}

TABLE: Any = {"Fn::GetAtt": ["Table", "Arn"]}
INDEX: Any = {"Fn::Sub": "${Table.Arn}/index/due"}


def listed(value: Any) -> list[Any]:
    """A list of one or more."""
    return value if isinstance(value, list) else [value]


def statements(role: Any) -> list[Any]:
    """The statements of a role's own policies."""
    return [
        statement
        for policy in role["Properties"].get("Policies", [])
        for statement in listed(policy["PolicyDocument"]["Statement"])
    ]


def roles(translated: Any) -> Iterator[tuple[str, Any]]:
    """All roles."""
    yield from ((name, each) for name, each in translated["Resources"].items() if each["Type"] == "AWS::IAM::Role")


def documents(translated: Any) -> Iterator[tuple[str, Any]]:
    """Every statement of every policy of ours."""
    for name, role in roles(translated):
        yield from ((name, statement) for statement in statements(role))
    for name, resource in translated["Resources"].items():
        if resource["Type"] == "AWS::SNS::TopicPolicy":
            document = resource["Properties"]["PolicyDocument"]
            yield from ((name, statement) for statement in listed(document["Statement"]))


def reached(function: str, template: Any) -> Reached:
    """What a function's code reaches."""
    return reached_from(template["Resources"][function]["Properties"]["Handler"].split(".")[0])


def test_no_action_has_a_wildcard(translated: Any) -> None:
    actions = {action for _, statement in documents(translated) for action in listed(statement["Action"])}
    assert "dynamodb:UpdateItem" in actions
    assert not {action for action in actions if "*" in action or "?" in action}


def test_only_what_has_no_resource_is_allowed_on_every_resource(translated: Any) -> None:
    on_all = {
        action
        for _, statement in documents(translated)
        for resource in listed(statement["Resource"])
        if "*" in json.dumps(resource)
        for action in listed(statement["Action"])
    }
    # Alarms: of which resource a request with names has to be allowed, AWS does not say. It reads states, and changes nothing.
    assert on_all == {*EVERY_RESOURCE, "cloudwatch:DescribeAlarms"}


def test_aws_indeed_knows_no_resource_for_those() -> None:
    """By the list of AWS's actions that cfn-lint ships."""
    known = load_resource(AdditionalSpecs, "Policies.json")
    for each in EVERY_RESOURCE:
        service, action = each.split(":")
        resources = known[service]["Actions"][action.lower()].get("Resources", [])
        # CloudWatch's datasets are not its namespaces: for a metric it has only the condition.
        assert resources == (["dataset"] if each == "cloudwatch:PutMetricData" else []), each
    assert known["states"]["Actions"]["startexecution"]["Resources"] == ["statemachine"]


def test_no_policy_allows_by_exclusion(translated: Any) -> None:
    for name, statement in documents(translated):
        assert not {"NotAction", "NotResource", "NotPrincipal"} & statement.keys(), name
        assert statement["Effect"] == "Allow", name
        assert "*" not in json.dumps(statement.get("Principal", {})), name


def test_every_function_is_in_the_table(template: Any) -> None:
    functions = {name for name, each in template["Resources"].items() if each["Type"] == "AWS::Serverless::Function"}
    assert functions == ACTIONS.keys()
    handlers = {template["Resources"][name]["Properties"]["Handler"].split(".")[0] for name in functions}
    assert handlers == {path.stem for path in FUNCTIONS.glob("*.py")}


@pytest.mark.parametrize("function", ACTIONS)
def test_the_table_names_what_the_code_reaches(function: str, template: Any) -> None:
    assert reached(function, template).actions == ACTIONS[function]


@pytest.mark.parametrize("function", ACTIONS)
def test_a_function_may_do_what_its_code_does(function: str, translated: Any) -> None:
    allowed: list[str] = []
    for statement in statements(translated["Resources"][f"{function}Role"]):
        suffix = " on the index" if statement["Resource"] == INDEX else ""
        allowed += [action + suffix for action in listed(statement["Action"])]
    assert sorted(allowed) == sorted(ACTIONS[function]), "neither more nor less, and nothing twice"


@pytest.mark.parametrize("function", ACTIONS)
def test_a_function_has_no_other_managed_policies(function: str, translated: Any) -> None:
    assert set(translated["Resources"][f"{function}Role"]["Properties"]["ManagedPolicyArns"]) == MANAGED


@pytest.mark.parametrize("function", ACTIONS)
def test_a_function_reaches_only_our_own_resources(function: str, translated: Any, template: Any) -> None:
    machine = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-on-call"
    environment = translated["Resources"][function]["Properties"]["Environment"]["Variables"]
    secrets = [
        {"Fn::Sub": f"arn:${{AWS::Partition}}:ssm:${{AWS::Region}}:${{AWS::AccountId}}:parameter${{{value['Ref']}}}"}
        for name, value in environment.items()
        if name in reached(function, template).secrets
    ]
    expected = {
        "dynamodb": [TABLE],
        "dynamodb on the index": [INDEX],
        "states": [{"Fn::Sub": machine}],
        "sns": [{"Ref": "FallbackTopic"}],
        "cloudwatch": [{"Fn::Sub": "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*"}],
        "lambda": [{"Fn::GetAtt": [called, "Arn"]} for called in CALLED.get(function, ("SlackNotificationFunction",))],
        "ssm": secrets,
    }
    for statement in statements(translated["Resources"][f"{function}Role"]):
        resources = listed(statement["Resource"])
        for action in listed(statement["Action"]):
            if action in EVERY_RESOURCE:
                assert resources == ["*"]
            else:
                where = " on the index" if resources == [INDEX] else ""
                assert resources == expected[action.split(":")[0] + where], action


STARTS: Any = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": {"Ref": "StateMachine"}}


def test_the_gateway_may_start_our_state_machine_and_count_heartbeats_and_nothing_else(translated: Any) -> None:
    counts = {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "OnCall"}},
    }
    assert statements(translated["Resources"]["ApiRole"]) == [STARTS, counts]


def test_the_heartbeats_alarm_may_start_our_state_machine_and_nothing_else(translated: Any) -> None:
    assert statements(translated["Resources"]["HeartbeatRole"]) == [STARTS]


def test_the_state_machine_may_do_what_its_definition_does(translated: Any) -> None:
    own = [each for each in statements(translated["Resources"]["StateMachineRole"]) if each["Resource"] != "*"]
    functions = {"ReceiveAlertsFunction", "PhoneCallFunction", "SlackNotificationFunction"}
    machine = translated["Resources"]["StateMachine"]["Properties"]
    used = {value["Fn::GetAtt"][0] for value in machine["DefinitionSubstitutions"].values() if "Fn::GetAtt" in value}
    assert used == functions
    allowed = {each["Action"]: each["Resource"] for each in own}
    assert {each["Fn::GetAtt"][0] for each in allowed.pop("lambda:InvokeFunction")} == functions
    assert allowed == {"sns:Publish": {"Ref": "FallbackTopic"}}


def test_roles_are_assumed_by_one_service_each(translated: Any) -> None:
    services = {
        "ApiRole": "apigateway.amazonaws.com",
        "ApiLogsRole": "apigateway.amazonaws.com",
        "StateMachineRole": "states.amazonaws.com",
        "HeartbeatRole": "events.amazonaws.com",
    }
    for name, role in roles(translated):
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        service = statement["Principal"]["Service"]
        assert listed(service) == [services.get(name, "lambda.amazonaws.com")], name


def test_only_our_alarms_may_publish_to_the_topic_beside_our_own_roles(translated: Any) -> None:
    """Not EventBridge: its guide says that topic policies for it cannot have a Condition, so anybody's rule could."""
    (alarms,) = translated["Resources"]["FallbackTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "FallbackTopic"}}
    ours = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:${AWS::StackName}-*"
    assert alarms == {
        **publish,
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Condition": {"ArnLike": {"aws:SourceArn": {"Fn::Sub": ours}}},
    }


def test_whoever_invokes_a_function_is_named(translated: Any) -> None:
    permissions = [each for each in translated["Resources"].values() if each["Type"] == "AWS::Lambda::Permission"]
    assert len(permissions) == 22
    for permission in permissions:
        assert "SourceArn" in permission["Properties"]
