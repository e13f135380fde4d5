"""The endpoint is as strict as AWS where moto is not, keeps roles to their policies, and fails when told to."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from devstack.aws import iam
from devstack.aws.events import rate_seconds, target_input
from devstack.aws.template import TemplateError
from tests.devstack.conftest import Sample, start_aws, wait_until


def _start(sample: Sample, given: Any, name: str | None = None, key: str = "test") -> str:
    arn: str = sample.client("stepfunctions", key).start_execution(
        stateMachineArn=sample.outputs["MachineArn"], name=name or uuid4().hex, input=json.dumps(given)
    )["executionArn"]
    return arn


def _ended(sample: Sample, arn: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = sample.client("stepfunctions").describe_execution(executionArn=arn)
        return found if found["status"] != "RUNNING" else None

    return wait_until(ended)


def _token(sample: Sample, mark: str, other_than: str = "") -> str:
    def token() -> str | None:
        item = sample.item("token")
        found = str(item.get("token"))
        return found if item.get("input") == {"mark": mark} and found != other_than else None

    return wait_until(token)


# ---------------------------------------------------------------- Step Functions


def test_an_execution_waits_for_its_token_and_ends_with_what_it_brings(sample: Sample) -> None:
    ended = _ended(sample, _start(sample, {"at_once": True}))

    assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"answered": True})


def test_a_token_counts_once(sample: Sample) -> None:
    arn, client = _start(sample, {"mark": "once"}), sample.client("stepfunctions")
    token = _token(sample, "once")
    client.send_task_success(taskToken=token, output="{}")

    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=token, output="{}")
    assert _ended(sample, arn)["status"] == "SUCCEEDED"
    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_failure(taskToken=token, error="Late")


def test_of_many_answers_at_once_one_counts(sample: Sample) -> None:
    arn, client = _start(sample, {"mark": "many"}), sample.client("stepfunctions")
    token = _token(sample, "many")

    def answer(number: int) -> bool:
        try:
            client.send_task_success(taskToken=token, output=json.dumps(number))
        except client.exceptions.TaskTimedOut:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        counted = [number for number, took in enumerate(pool.map(answer, range(8))) if took]

    assert [json.loads(_ended(sample, arn)["output"])] == counted


def test_each_attempt_has_a_token_of_its_own(sample: Sample) -> None:
    arn, client = _start(sample, {"mark": "again"}), sample.client("stepfunctions")
    first = _token(sample, "again")
    client.send_task_failure(taskToken=first, error="Again")
    second = _token(sample, "again", other_than=first)

    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=first, output="{}")
    client.send_task_success(taskToken=second, output='{"attempt": 2}')
    assert json.loads(_ended(sample, arn)["output"]) == {"attempt": 2}


def test_a_stopped_execution_waits_for_no_token(sample: Sample) -> None:
    arn, client = _start(sample, {"mark": "stopped"}), sample.client("stepfunctions")
    token = _token(sample, "stopped")

    client.stop_execution(executionArn=arn)

    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=token, output="{}")
    ended = _ended(sample, arn)
    assert ended["status"] == "ABORTED"
    assert ended["stopDate"] - ended["startDate"] < timedelta(seconds=20)  # the token's time limit


def test_a_token_that_nobody_was_given_is_invalid(sample: Sample) -> None:
    client = sample.client("stepfunctions")
    with pytest.raises(client.exceptions.InvalidToken):
        client.send_task_success(taskToken="made up", output="{}")


@pytest.mark.parametrize("name", ["with space", "a" * 81, "semi;colon", "col:on"])
def test_a_bad_name_is_refused(sample: Sample, name: str) -> None:
    with pytest.raises(ClientError, match="InvalidName"):
        _start(sample, {}, name)


def test_an_input_over_the_limit_is_refused_and_one_at_it_is_not(sample: Sample) -> None:
    with pytest.raises(ClientError, match="262144"):
        _start(sample, "x" * 262_143)
    assert _start(sample, {"at_once": True, "pad": "x" * (262_144 - len('{"at_once": true, "pad": ""}'))})


def test_the_same_name_starts_one_execution_however_many_ask(sample: Sample) -> None:
    name = uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(lambda _: _start(sample, {"mark": name}, name), range(8)))

    assert len(arns) == 1
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        _start(sample, {"mark": "another"}, name)


# ---------------------------------------------------------------- EventBridge and SNS


def test_an_execution_that_fails_tells_the_topic_of_the_rule(sample: Sample) -> None:
    name = uuid4().hex
    _start(sample, {"mark": name}, name)
    sample.client("stepfunctions").send_task_failure(taskToken=_token(sample, name), error="Bad", cause="as asked")

    def told() -> dict[str, Any] | None:
        return next((each for each in sample.sim("GET", "sns") if name in each["message"]), None)

    message = wait_until(told)
    assert message["message"] == f'"{name} ended as FAILED"'
    assert message["topic"] == sample.outputs["TopicArn"]


def test_a_schedule_runs_again_and_again(tmp_path: Path, runtime: Path, built: Path) -> None:
    process, endpoint = start_aws(tmp_path, runtime, "--schedule-speed", "120")
    sample = Sample(endpoint, tmp_path, process, built)
    assert sample.deploy("--capabilities", "CAPABILITY_IAM").returncode == 0

    wait_until(lambda: sample.item("ticks").get("n", 0) >= 3)
    process.terminate()
    process.wait(10)


def test_rates() -> None:
    assert rate_seconds("rate(1 minute)") == 60
    assert rate_seconds("rate(2 hours)") == 7200
    for wrong in ("rate(1 minutes)", "rate(5 minute)", "cron(0 * * * ? *)", "rate(0.5 days)"):
        with pytest.raises(TemplateError):
            rate_seconds(wrong)


def test_what_a_target_gets() -> None:
    event = {"detail": {"name": 'a "b"', "n": 3}, "source": "x"}
    transformer = {"InputPathsMap": {"name": "$.detail.name", "n": "$.detail.n"}}

    def transformed(template: str) -> str:
        return target_input({"InputTransformer": {**transformer, "InputTemplate": template}}, event)

    assert json.loads(transformed('{"who": <name>, "text": "<name> <n>"}')) == {"who": 'a "b"', "text": 'a "b" 3'}
    assert target_input({"Input": "{}"}, event) == "{}"
    assert json.loads(target_input({"InputPath": "$.detail"}, event)) == event["detail"]
    assert json.loads(target_input({}, event)) == event


# ---------------------------------------------------------------- DynamoDB


def test_of_many_conditional_writes_at_once_one_wins(sample: Sample) -> None:
    client, table, key = sample.client("dynamodb"), sample.outputs["TableName"], uuid4().hex

    def put(writer: int) -> bool:
        try:
            client.put_item(
                TableName=table,
                Item={"pk": {"S": key}, "writer": {"N": str(writer)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(put, range(48))) == 1


def test_counting_at_once_loses_nothing(sample: Sample) -> None:
    client, table, key = sample.client("dynamodb"), sample.outputs["TableName"], uuid4().hex

    def add(_: int) -> None:
        client.update_item(
            TableName=table,
            Key={"pk": {"S": key}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(64)))

    assert sample.item(key)["n"] == 64


def test_a_transaction_is_all_or_nothing_and_says_why(sample: Sample) -> None:
    client, table, key = sample.client("dynamodb"), sample.outputs["TableName"], uuid4().hex
    client.put_item(TableName=table, Item={"pk": {"S": key}, "owner": {"S": "first"}})

    with pytest.raises(client.exceptions.TransactionCanceledException) as refused:
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": {"pk": {"S": f"{key} other"}}}},
                {
                    "Put": {
                        "TableName": table,
                        "Item": {"pk": {"S": key}},
                        "ConditionExpression": "attribute_not_exists(pk)",
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
            ]
        )

    reasons = refused.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"]["owner"] == {"S": "first"}
    assert not sample.item(f"{key} other")


def test_a_failed_condition_shows_the_item_that_is_there(sample: Sample) -> None:
    client, table, key = sample.client("dynamodb"), sample.outputs["TableName"], uuid4().hex
    client.put_item(TableName=table, Item={"pk": {"S": key}, "owner": {"S": "first"}})

    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
        client.update_item(
            TableName=table,
            Key={"pk": {"S": key}},
            UpdateExpression="SET #owner = :me",
            ConditionExpression="#owner = :me",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":me": {"S": "second"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    assert refused.value.response["Item"]["owner"] == {"S": "first"}


def test_an_item_over_the_limit_is_refused(sample: Sample) -> None:
    client, table = sample.client("dynamodb"), sample.outputs["TableName"]
    large = {":large": {"S": "x" * 410_000}}
    with pytest.raises(ClientError, match="maximum allowed size"):
        client.update_item(
            TableName=table,
            Key={"pk": {"S": "large"}},
            UpdateExpression="SET a = :large",
            ExpressionAttributeValues=large,
        )


# ---------------------------------------------------------------- roles


def test_a_function_may_do_what_its_role_allows_and_nothing_else(sample: Sample) -> None:
    sample.client("ssm").put_parameter(Name="/sample/secret", Value="s", Type="SecureString", Overwrite=True)

    assert sample.invoke({"do": "secret", "name": "/sample/secret"}).payload == ["s"]
    assert sample.invoke({"do": "secret", "name": "/sample/other"}).payload["errorType"] == "AccessDeniedException"
    assert "dynamodb:GetItem" in sample.invoke({"do": "read"}).payload["errorMessage"]


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client("sns").publish(TopicArn="arn:aws:sns:us-east-1:123456789012:topic", Message="m"),
        lambda client: client("lambda").invoke(FunctionName="another"),
        lambda client: client("s3").list_objects_v2(Bucket="bucket"),
        lambda client: client("cloudwatch").put_metric_data(
            Namespace="n", MetricData=[{"MetricName": "m", "Value": 1.0}]
        ),
        lambda client: client("stepfunctions").start_execution(
            stateMachineArn="arn:aws:states:us-east-1:123456789012:stateMachine:m"
        ),
    ],
)
def test_every_service_refuses_a_role_without_the_permission(sample: Sample, forbidden: Callable[[Any], Any]) -> None:
    with pytest.raises(ClientError) as refused:
        forbidden(lambda service: sample.client(service, key=sample.role))

    assert refused.value.response["Error"]["Code"] in {"AccessDeniedException", "AuthorizationError", "AccessDenied"}


def test_policies() -> None:
    table = "arn:aws:dynamodb:us-east-1:1:table/t"
    read = {"Effect": "Allow", "Action": ["dynamodb:Get*", "dynamodb:Query"], "Resource": [table, f"{table}/index/*"]}
    own = {**read, "Condition": {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["mine"]}}}
    never = {"Effect": "Deny", "Action": "*", "Resource": f"{table}/index/secret"}

    assert iam.is_allowed([read], "dynamodb:GetItem", table)
    assert iam.is_allowed([read], "dynamodb:query", f"{table}/index/due")
    assert not iam.is_allowed([read], "dynamodb:PutItem", table)
    assert not iam.is_allowed([read], "dynamodb:GetItem", f"{table}2")
    assert not iam.is_allowed([read, never], "dynamodb:Query", f"{table}/index/secret")
    assert iam.is_allowed([own], "dynamodb:GetItem", table, ["mine"])
    assert not iam.is_allowed([own], "dynamodb:GetItem", table, ["mine", "yours"])
    assert not iam.is_allowed([], "dynamodb:GetItem", table)


def test_a_transaction_needs_the_permission_of_each_of_its_writes() -> None:
    body = {
        "TransactItems": [
            {"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}}}},
            {"ConditionCheck": {"TableName": "t", "Key": {"pk": {"S": "b"}}}},
        ]
    }
    needed = iam.permissions("dynamodb", "TransactWriteItems", "/", json.dumps(body).encode(), "us-east-1", "1")

    table = "arn:aws:dynamodb:us-east-1:1:table/t"
    assert needed == [("dynamodb:PutItem", table, ("a",)), ("dynamodb:ConditionCheckItem", table, ("b",))]


# ---------------------------------------------------------------- faults


def test_a_fault_meets_the_stack_as_often_as_told_and_not_the_test(sample: Sample) -> None:
    sample.sim(
        "PUT", "faults", {"dynamodb": {"status": 400, "type": "ProvisionedThroughputExceededException", "times": 1}}
    )
    table, ours = sample.outputs["TableName"], sample.client("dynamodb", key=sample.role)
    ours.meta.events.register("needs-retry", lambda **_: None)

    assert sample.item("nothing") == {}
    ours.put_item(TableName=table, Item={"pk": {"S": "after a fault"}})  # boto3 retries
    seen = [each for each in sample.sim("GET", "requests") if each["action"] == "dynamodb:PutItem"][-2:]
    assert [each["status"] for each in seen] == [400, 200]


def test_an_item_can_be_in_somebodys_transaction_and_boto3_does_not_try_again(sample: Sample) -> None:
    conflict = {"status": 400, "type": "TransactionConflictException", "times": 1}
    sample.sim("PUT", "faults", {"dynamodb:UpdateItem": conflict})
    ours = sample.client("dynamodb", key=sample.role)
    asked: dict[str, Any] = {
        "TableName": sample.outputs["TableName"],
        "Key": {"pk": {"S": "in a transaction"}},
        "UpdateExpression": "SET done = :done",
        "ExpressionAttributeValues": {":done": {"BOOL": True}},
    }

    with pytest.raises(ours.exceptions.TransactionConflictException) as refused:
        ours.update_item(**asked)
    assert refused.value.response["ResponseMetadata"]["RetryAttempts"] == 0
    ours.update_item(**asked)
    assert sample.item("in a transaction")["done"]


def test_a_service_is_away_for_a_while(sample: Sample) -> None:
    sample.sim("PUT", "faults", {"ssm:GetParameters": {"seconds": 1}})
    began = time.monotonic()

    def back() -> bool:
        return sample.invoke({"do": "secret", "name": "/sample/secret"}).error is None

    wait_until(back)
    assert time.monotonic() - began >= 1


def test_the_gateway_meets_throttling(sample: Sample) -> None:
    sample.sim("PUT", "faults", {"states:StartExecution": {"status": 400, "type": "ThrottlingException"}})

    with pytest.raises(ClientError, match="ThrottlingException"):
        _start(sample, {}, key="devstack")
    sample.sim("PUT", "faults", {})
    _start(sample, {"at_once": True}, key="devstack")


@pytest.mark.parametrize("wrong", [{"lambda:Nobody": {"kill": "before"}}, {"dynamodb": {"sometimes": True}}, [1]])
def test_faults_that_make_no_sense_are_refused(sample: Sample, wrong: Any) -> None:
    with pytest.raises(Exception, match="400"):
        sample.sim("PUT", "faults", wrong)
