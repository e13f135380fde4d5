"""What the gateway reports of its requests: CloudWatch's metrics, and the stage's access log.

Sent together a few times a second: a flood is answered no later for being counted.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import requests

_EVERY_SECONDS = 0.1


class Reports:
    """Collects points and lines, and sends them to the devstack's AWS."""

    def __init__(
        self, aws_endpoint: str, *, api: str, stage: str, log_group: str, failed: Callable[[str], None]
    ) -> None:
        """`api` is the API's name; without one nothing is reported. `log_group` is empty for no access log."""
        self._endpoint, self._api, self._stage, self._group = aws_endpoint, api, stage, log_group
        self._failed = failed
        self._lock = threading.Lock()
        self._errors: Counter[tuple[str, str, str]] = Counter()  # class of the status, method, resource
        self._lines: list[str] = []
        if api:
            threading.Thread(target=self._run, daemon=True).start()

    def add(self, http_method: str, resource: str, status: int, line: str) -> None:
        """A request that was answered; `resource` is empty if there is none, `line` is the access log's."""
        with self._lock:
            if self._api and status >= 400:
                self._errors[f"{status // 100}XXError", http_method, resource] += 1
            if self._api and self._group:
                self._lines.append(line)

    def _run(self) -> None:
        while True:
            time.sleep(_EVERY_SECONDS)
            with self._lock:
                errors, self._errors = self._errors, Counter()
                lines, self._lines = self._lines, []
            try:
                if errors:
                    self._post("points", self._points(errors))
                if lines:
                    self._post("log", {"group": self._group, "lines": lines})
            except requests.RequestException as error:  # whoever asked was answered all the same
                self._failed(f"{errors.total()} errors and {len(lines)} lines are not reported: {error}")

    def _post(self, what: str, body: Any) -> None:
        content = json.dumps(body)
        requests.post(f"{self._endpoint}/_sim/{what}", data=content, timeout=10).raise_for_status()

    def _points(self, errors: Mapping[tuple[str, str, str], int]) -> list[dict[str, Any]]:
        """Of the stage, and of the method as detailed metrics have it."""
        stage = {"ApiName": self._api, "Stage": self._stage}
        return [
            {"namespace": "AWS/ApiGateway", "name": name, "dimensions": dimensions, "value": count}
            for (name, http_method, resource), count in errors.items()
            for dimensions in (stage, stage | {"Method": http_method, "Resource": resource})
        ]
