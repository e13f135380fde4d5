"""Step Functions with stand-ins for the functions: they answer by script, everything else is moto's."""

import io
import json
import re
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from tests.devstack.application import wait_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_stepfunctions import SFNClient

RECEIVE, CALL, SLACK = "ReceiveAlertsFunction", "PhoneCallFunction", "SlackNotificationFunction"
TOPIC = "arn:aws:sns:us-east-1:123456789012:fallback"
ROLE = "arn:aws:iam::123456789012:role/on-call"


class FunctionError(Exception):
    """The function fails: with an exception of this class name."""


class ServiceError(Exception):
    """Lambda or SNS themselves refuse: `status` and error's type."""

    def __init__(self, status: int, kind: str) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind


type Answer = Callable[[dict[str, Any]], Any]


@dataclass
class StandIn:
    """The WSGI app. Each function gives its scripted answers in turn, the last one again and again."""

    moto: "WSGIApplication"
    refusal: Callable[[str, dict[str, Any]], tuple[str, str] | None]  # where moto takes what Step Functions does not
    invocations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    published: list[dict[str, str]] = field(default_factory=list)
    _scripts: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, function: str, *answers: Answer) -> None:
        """Has `function` (or "sns") give these answers from now on."""
        with self._lock:
            self._scripts[function] = deque(answers)

    def forget(self) -> None:
        """Forgets what was and what is to come."""
        with self._lock:
            self.invocations.clear()
            self.published.clear()
            self._scripts.clear()

    def events(self, function: str) -> list[dict[str, Any]]:
        """What the function has been invoked with."""
        with self._lock:
            return [event for name, event in self.invocations if name == function]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        if found := re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", environ["PATH_INFO"]):
            body = Request(environ).get_data()
            return self._invoke(unquote(found[1]).rsplit(":", 1)[-1], json.loads(body))(environ, start_response)
        if "/sns/" in environ.get("HTTP_AUTHORIZATION", ""):
            return self._publish(Request(environ).get_data(as_text=True))(environ, start_response)
        request = Request(environ)
        body = request.get_data()
        refused = self.refusal(request.headers["X-Amz-Target"].rsplit(".", 1)[-1], json.loads(body))
        if refused:
            text = json.dumps({"__type": refused[0], "message": refused[1]})
            return Response(text, 400, content_type="application/x-amz-json-1.0")(environ, start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        return self.moto(environ, start_response)

    def _next(self, function: str) -> Answer:
        waiting = self._scripts[function]
        if not waiting:
            raise ServiceError(404, "ResourceNotFoundException")
        return waiting.popleft() if len(waiting) > 1 else waiting[0]

    def _invoke(self, function: str, event: dict[str, Any]) -> Response:
        with self._lock:
            self.invocations.append((function, event))
        try:
            with self._lock:
                answer = self._next(function)
            return Response(json.dumps(answer(event)), content_type="application/json")
        except FunctionError as error:
            body = {"errorType": str(error), "errorMessage": "as the script says", "stackTrace": []}
            return Response(json.dumps(body), headers={"X-Amz-Function-Error": "Unhandled"})
        except ServiceError as error:
            headers = {"x-amzn-ErrorType": error.kind, "x-amzn-RequestId": str(uuid4())}
            return Response(json.dumps({"Message": "as the script says"}), error.status, headers)

    def _publish(self, body: str) -> Response:
        message = {name: values[0] for name, values in parse_qs(body).items()}
        try:
            with self._lock:
                answer = self._next("sns") if self._scripts["sns"] else None
                self.published.append(message)
            if answer:
                answer(message)
        except ServiceError as error:
            text = f"<Error><Code>{error.kind}</Code><Message>as the script says</Message></Error>"
            text = f"<ErrorResponse>{text}<RequestId>{uuid4()}</RequestId></ErrorResponse>"
            return Response(text, error.status, content_type="text/xml")
        text = f"<PublishResult><MessageId>{uuid4()}</MessageId></PublishResult>"
        text += f"<ResponseMetadata><RequestId>{uuid4()}</RequestId></ResponseMetadata>"
        return Response(f"<PublishResponse>{text}</PublishResponse>", content_type="text/xml")


def gives(payload: Any) -> Answer:
    """The function returns this."""
    return lambda _event: payload


def fails(kind: str) -> Answer:
    """The function raises an exception of this class."""

    def answer(_event: dict[str, Any]) -> Any:
        raise FunctionError(kind)

    return answer


def refuses(status: int, kind: str) -> Answer:
    """The service refuses."""

    def answer(_event: dict[str, Any]) -> Any:
        raise ServiceError(status, kind)

    return answer


def after(moment: threading.Event, then: Answer) -> Answer:
    """The function takes until something has happened."""

    def answer(event: dict[str, Any]) -> Any:
        if not moment.wait(30):
            raise ServiceError(500, "TheTestWaitsInVain")
        return then(event)

    return answer


@dataclass
class Ran:
    """An execution."""

    client: "SFNClient"
    arn: str

    @property
    def status(self) -> str:
        """How it stands."""
        return self.client.describe_execution(executionArn=self.arn)["status"]

    @property
    def states(self) -> list[str]:
        """The states entered so far; those of parallel branches in any order among each other."""
        pages = self.client.get_paginator("get_execution_history").paginate(executionArn=self.arn)
        return [
            event["stateEnteredEventDetails"]["name"]
            for page in pages
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]

    def ended(self) -> str:
        """Its status when it has ended."""
        wait_for(lambda: self.status != "RUNNING", f"the end of {self.arn}, which went {self.states}", seconds=60)
        return self.status


@dataclass
class Machine:
    """The state machine, with its functions' stand-ins."""

    client: "SFNClient"
    arn: str
    stand_in: StandIn

    def start(self, given: dict[str, Any]) -> Ran:
        """Starts an execution."""
        started = self.client.start_execution(stateMachineArn=self.arn, name=str(uuid4()), input=json.dumps(given))
        return Ran(self.client, started["executionArn"])

    def run(self, given: dict[str, Any]) -> Ran:
        """An execution that has ended."""
        ran = self.start(given)
        ran.ended()
        return ran

    def releases(self, answer: dict[str, Any]) -> Answer:
        """PhoneCall, or a reply to it, releases the waiting step with this."""

        def release(event: dict[str, Any]) -> None:
            self.client.send_task_success(taskToken=event["token"], output=json.dumps(answer))

        return release
