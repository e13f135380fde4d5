"""The table, looked at again and again: its reads without botocore, which takes longer to ask than the table to answer."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from tests.devstack_fixture import Devstack, session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class _Looking:
    """A client whose reads of the table are quick; everything else is botocore's."""

    def __init__(self, system: Devstack) -> None:
        self._botocore = system.dynamodb
        self._url = system.endpoints["aws"]
        scope = (
            f"test/20260101/{system.endpoints['region']}/dynamodb/aws4_request"  # whose, and where; nobody checks more
        )
        self._headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none",
            "Content-Type": "application/x-amz-json-1.0",
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._botocore, name)

    def get_item(self, **request: Any) -> Any:
        return self._ask("GetItem", request)

    def batch_get_item(self, **request: Any) -> Any:
        return self._ask("BatchGetItem", request)

    def query(self, **request: Any) -> Any:
        return self._ask("Query", request)

    def get_paginator(self, operation: str) -> Any:
        ours: Any = self._botocore
        return self if operation == "query" else ours.get_paginator(operation)

    def paginate(self, **request: Any) -> Iterator[Any]:
        page = self.query(**request)
        yield page
        while last := page.get("LastEvaluatedKey"):
            page = self.query(**request, ExclusiveStartKey=last)
            yield page

    def _ask(self, operation: str, request: Any) -> Any:
        headers = {**self._headers, "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        answer = session().post(self._url, data=json.dumps(request), headers=headers, timeout=30)
        assert answer.ok, f"{operation}: {answer.status_code} {answer.text}"
        return answer.json()


def looking(system: Devstack) -> "DynamoDBClient":
    """A client of the system's table for whoever looks at it often."""
    return cast("DynamoDBClient", _Looking(system))
