"""The throttles of a REST API's stage: a token bucket for each method, as its MethodSettings declare.

API Gateway calls its throttles targets, applied as well as it can; here they are exact. Whether it counts requests that its
authorizer refuses is not said: here they count, so that nothing looks better than it may be there.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class ThrottleError(Exception):
    """The settings cannot be what API Gateway takes. The message says why."""


@dataclass
class _Bucket:
    rate: float  # requests a second
    burst: float  # requests that it holds
    left: float
    at: float  # when `left` was right, in seconds of the clock


class Throttles:
    """Says whether a request is let through, and takes it from its method's bucket."""

    def __init__(self, settings: Sequence[Mapping[str, Any]], clock: Callable[[], float]) -> None:
        """`settings` are a stage's MethodSettings; raises ThrottleError."""
        self._clock = clock
        self._lock = threading.Lock()
        self._limits = dict(_limit(setting) for setting in settings if "ThrottlingRateLimit" in setting)
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def lets_through(self, http_method: str, resource: str) -> bool:
        """Whether there is room for this request. `resource` is the path as the definition has it."""
        with self._lock:
            bucket = self._bucket(http_method, resource)
            if bucket is None:
                return True
            now = self._clock()
            bucket.left = min(bucket.burst, bucket.left + (now - bucket.at) * bucket.rate)
            bucket.at = now
            if bucket.left < 1:
                return False
            bucket.left -= 1
            return True

    def _bucket(self, http_method: str, resource: str) -> _Bucket | None:
        """Each method has its own, also where the stage's setting for all methods counts."""
        key = (http_method, resource)
        if key not in self._buckets:
            limit = self._limits.get(key) or self._limits.get(("*", resource)) or self._limits.get(("*", "/*"))
            if limit is None:
                return None
            rate, burst = limit
            self._buckets[key] = _Bucket(rate, burst, burst, self._clock())
        return self._buckets[key]


def _limit(setting: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[float, float]]:
    path = str(setting["ResourcePath"])
    # CloudFormation, MethodSetting: "forward slashes (/) are encoded as ~1 and the initial slash must include a forward slash"
    if not path.startswith("/") or "/" in path[1:]:
        raise ThrottleError(f"ResourcePath {path}: a slash first, and ~1 for each slash of the path, as in /~1a~1b")
    resource = path if path == "/*" else path[1:].replace("~1", "/")
    return (str(setting["HttpMethod"]).upper(), resource), (
        float(setting["ThrottlingRateLimit"]),
        float(setting["ThrottlingBurstLimit"]),
    )
