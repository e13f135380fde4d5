"""A function that does what its event says, for the tests of the devstack."""

import importlib
import os
import time
from pathlib import Path
from typing import Any

import boto3

STARTED = time.time()


def handler(event: dict[str, Any], context: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 - one branch for each deed
    """Do what the event's `do` says."""
    deed = event.get("do")
    if deed == "answer":
        table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
        table.put_item(Item={"pk": "token", "token": event["token"], "input": event["input"]})
        if event["input"].get("at_once"):
            client = boto3.client("stepfunctions")
            client.send_task_success(taskToken=event["token"], output='{"answered": true}')
        return None
    if deed == "tick":
        boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"]).update_item(
            Key={"pk": "ticks"}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": 1}
        )
        return None
    if deed == "environment":
        return dict(os.environ)
    if deed == "sleep":
        time.sleep(event["seconds"])
        return STARTED
    if deed == "meet":
        Path(event["directory"], event["name"]).touch()
        while len(list(Path(event["directory"]).iterdir())) < event["others"]:
            time.sleep(0.01)
        return os.getpid()
    if deed == "raise":
        raise ValueError("as asked")
    if deed == "exit":
        os._exit(3)
    if deed == "read":
        boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"]).get_item(Key={"pk": "token"})
    if deed == "secret":
        found = boto3.client("ssm").get_parameters(Names=[event["name"]], WithDecryption=True)
        return [parameter["Value"] for parameter in found["Parameters"]]
    if deed == "import":
        importlib.import_module(event["name"])
    if deed == "large":
        return "x" * event["bytes"]
    if deed == "pid":
        return os.getpid()
    if deed == "print":
        print(event["text"])  # noqa: T201 - what it is asked for
    if deed == "put":
        boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"]).put_item(Item={"pk": event["key"]})
    return {
        "request_id": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "started": STARTED,
    }
