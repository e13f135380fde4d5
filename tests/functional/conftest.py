"""A world for each test: the domain on moto's DynamoDB, with a clock, a telephone and a Slack of its own."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from moto import mock_aws

from devstack.aws.dynamodb import bear_storms
from tests.builders import REGION, World
from tests.functional.handlers import moto_clients, stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


__all__ = ["moto_clients", "stack"]  # fixtures


@pytest.fixture(scope="module")
def dynamodb() -> Iterator["DynamoDBClient"]:
    """One moto for a file's tests; each has a table of its own."""
    bear_storms()  # most of a test's seconds are moto's
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        with mock_aws():
            unsigned = Config(signature_version=UNSIGNED)  # nobody checks it, and it takes time
            yield boto3.client("dynamodb", config=unsigned)


@pytest.fixture
def world(dynamodb: "DynamoDBClient") -> World:
    return World(dynamodb)
