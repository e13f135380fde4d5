"""What the simulators share: checked control requests, faults that count down, answers that get lost."""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class ControlError(ValueError):
    """A request to the control API (`/_sim/...`) that makes no sense; answered with 400 and this message."""


Check = Callable[[Any], bool]


def number_from(low: float, high: float = float("inf")) -> Check:
    """Accept a number between `low` and `high`, both included; true and false are no numbers here."""
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_count(value: object) -> bool:
    """Accept an integer of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_text(value: object) -> bool:
    """Accept a string."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """Accept true or false."""
    return isinstance(value, bool)


def checked(value: object, checks: Mapping[str, Check], *, required: Iterable[str] = (), what: str) -> dict[str, Any]:
    """`value` as a dict whose every field passed its check.

    Raises ControlError naming the first field that is unknown, missing or wrong.
    """
    if not isinstance(value, dict):
        raise ControlError(f"{what}: a JSON object is needed, not {type(value).__name__}")
    for name, field in value.items():
        if name not in checks:
            raise ControlError(f"{what}: unknown field {name!r}; known are {', '.join(checks)}")
        if not checks[name](field):
            raise ControlError(f"{what}: {name} cannot be {field!r}")
    for name in required:
        if name not in value:
            raise ControlError(f"{what}: {name} is missing")
    return value


def control_body(request: Request) -> object:
    """The JSON body of a control request; an empty body counts as `{}`."""
    if not request.get_data():
        return {}
    body: object = request.get_json(force=True)
    return body


@dataclass
class Fault:
    """Something that goes wrong `left` times more (None: until cleared)."""

    spec: Mapping[str, Any]
    left: int | None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Fault":
        """A fault whose count is the field `times` of `spec`."""
        return cls(spec, spec.get("times"))


class Faults:
    """Faults by the name of what they hit. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, Fault] = {}

    def replace(self, faults: Mapping[str, Fault]) -> None:
        """Forget all faults and have these instead."""
        with self._lock:
            self._faults = dict(faults)

    def take(self, *names: str) -> Mapping[str, Any] | None:
        """The first fault with one of these names that is not used up, counted down by one."""
        with self._lock:
            for name in names:
                fault = self._faults.get(name)
                if fault is None or fault.left == 0:
                    continue
                if fault.left is not None:
                    fault.left -= 1
                return fault.spec
        return None

    def describe(self) -> dict[str, dict[str, Any]]:
        """What is left, for the control API."""
        with self._lock:
            return {name: {**fault.spec, "left": fault.left} for name, fault in self._faults.items()}


class LostAnswer(Response):
    """Closes the connection instead of answering: the request was carried out, its sender cannot know."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Cut the connection; whatever is written after that reaches nobody."""
        connection: socket.socket = environ["werkzeug.socket"]
        connection.shutdown(socket.SHUT_RDWR)
        return super().__call__(environ, start_response)


def control_error(message: str, status: int = 400) -> Response:
    """A refusal of the control API."""
    return json_response({"error": message}, status)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a JSON answer."""
    return Response(
        json.dumps(value, ensure_ascii=False), status, headers=dict(headers or {}), mimetype="application/json"
    )


def http_error(error: HTTPException) -> Response:
    """An HTTP error of the control API (no such path, wrong method, no JSON) as JSON."""
    return control_error(error.description or str(error), error.code or 500)
