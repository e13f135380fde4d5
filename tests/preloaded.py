"""What the process that a run's programs are copies of has read before: AWS's descriptions of services, which are megabytes.

Each of a system's programs, and each worker, reads them for every client that it makes; copies have them once.
"""

from functools import cache
from typing import Any

import boto3
import botocore.loaders

from devstack.aws import iam

SERVICES = (
    "cloudformation",
    "cloudwatch",
    "dynamodb",
    "events",
    "iam",
    "lambda",
    "logs",
    "s3",
    "sns",
    "sqs",
    "ssm",
    "stepfunctions",
    "sts",
)

_read = cache(botocore.loaders.JSONFileLoader().load_file)


def _load_file(_: botocore.loaders.JSONFileLoader, file_path: str) -> Any:
    return _read(file_path)


botocore.loaders.JSONFileLoader.load_file = _load_file  # type: ignore[method-assign,assignment]  # each has a cache of its own
_session = boto3.Session("none", "none", region_name="us-east-1")
for _service in SERVICES:
    _session.client(_service)  # type: ignore[call-overload]  # of many
iam.managed_statements("arn:aws:iam::aws:policy/ReadOnlyAccess")
