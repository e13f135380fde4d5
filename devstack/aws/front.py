"""AWS on one machine: moto behind a front that is as strict as AWS where moto is not.

Beside AWS's own APIs (https://docs.aws.amazon.com) it answers, for tests:
- `GET /_sim/sns`: what was published: `topic, subject, message, time` (epoch seconds).
- `GET /_sim/alarms`: CloudWatch's alarms: `name, state, changed_at`.
- `POST /_sim/points`: points of metrics that the gateway's requests have: a list of `namespace, name, dimensions, value`.
- `POST /_sim/log`: lines of the stage's access log, for metric filters: `{"group": a log group's name, "lines": [texts]}`.
- `GET /_sim/invocations`: the functions' invocations (devstack.lambda_runtime.Invocation); `?after=9` without the first nine.
- `GET /_sim/requests`: the requests of the stack itself: `principal, action, resource, status, time, ms`.
- `PUT /_sim/events`: an event of EventBridge (`source`, `detail-type`, `detail`, ...) for the deployed rules. Answers `rules`,
  the names of those that it matched.
- `PUT /_sim/faults`: `{"down": true}`: the whole region is away; no request of the stack is answered, no schedule comes and no
  event is delivered. Or `{"dynamodb": {...}, "states:StartExecution": {...}, "lambda:PhoneCallFunction": {...}}`; `{}` clears.
  By service, action, or function: `status` and `type` of the error (503 ServiceUnavailable), `delay` in seconds, for `times`
  requests or `seconds`; for a function also `kill`: `"before"` the handler has the event, `"after"` it worked, or `after_ms`,
  or at its `request`th (1) request of an action such as `"dynamodb:UpdateItem"`, before or after it is `done` (false);
  `"idle"` ends the environments, once; one at work ends after it. `GET /_sim/faults` shows what is left of them.
  `{"status": 400, "type": "TransactionConflictException", "times": 2}` for `"dynamodb:UpdateItem"` is an item in somebody's
  transaction: moto serves one request at a time, so it never refuses an update for that.
Faults meet the stack itself: functions, state machine and gateway. Who signs with another key, as tests do, is not touched by
them, and not held to any role's policies either.
"""

import argparse
import gc
import io
import json
import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from uuid import uuid4
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from devstack.aws import events, iam, step_functions
from devstack.aws.cloudformation import CloudFormation, Stack, form_of
from devstack.aws.cloudwatch import CloudWatch, metric
from devstack.aws.events import EventBridge
from devstack.aws.lambda_runtime import (
    IDLE_SECONDS,
    MAXIMUM_EVENT_PAYLOAD,
    MAXIMUM_PAYLOAD,
    ConcurrencyError,
    Function,
    Kill,
    LambdaRuntime,
    ThrottledError,
)
from devstack.aws.resources import Resources
from devstack.aws.topics import Topics
from devstack.shared.serve import free_port, serve
from devstack.shared.simulator import LostAnswer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ACCOUNT = "123456789012"
GATEWAY_KEY = "devstack"  # what the gateway signs with
_JSON_SERVICES = {
    "dynamodb",
    "states",
    "ssm",
    "logs",
    "events",
    "kms",
    "secretsmanager",
    "lambda",
    "xray",
    "monitoring",
}
# One request of these at a time: moto is not thread-safe, and a conditional write has to be one step.
_SERIAL_SERVICES = {"dynamodb", "ssm", "sns", "s3", "iam", "logs", "events", "monitoring", "sqs"}
_DYNAMODB_ITEM_BYTES = 400 * 1024
_NEW_ACCOUNTS_CONCURRENCY = 10  # what a new account's quota is; AWS raises it with use
_THROTTLED = {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}


@dataclass
class _Fault:
    status: int
    kind: str
    delay: float
    times: int | None
    until: float | None  # monotonic seconds

    def is_over(self) -> bool:
        """Whether it meets no more requests."""
        return self.times == 0 or (self.until is not None and time.monotonic() >= self.until)

    def applies(self) -> bool:
        """Whether it meets this request; counts it."""
        if self.is_over():
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Aws:
    """The WSGI app."""

    def __init__(
        self,
        *,
        port: int,
        region: str,
        directory: Path,
        python: Path,
        schedule_speed: float,
        idle_seconds: float,
        copies: bool,
        concurrency: int,
    ):
        # moto reads these when it is imported, and makes its own clients by them.
        from moto.core.request import Request  # noqa: PLC0415
        from moto.dynamodb.responses import DynamoHandler  # noqa: PLC0415
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
        from moto.stepfunctions.responses import StepFunctionResponse  # noqa: PLC0415

        from devstack.aws import dynamodb  # noqa: PLC0415

        dynamodb.bear_storms()

        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        # Of these we know who answers; to find it out takes moto longer than a read.
        self._answerers: Mapping[str, Any] = {"dynamodb": DynamoHandler, "states": StepFunctionResponse}
        self._moto_request: Any = Request
        endpoint = f"http://127.0.0.1:{port}"
        self._region = region
        self._directory = directory
        self._runtime = LambdaRuntime(
            directory,
            python,
            endpoint=endpoint,
            region=region,
            account=ACCOUNT,
            idle_seconds=idle_seconds,
            copies=copies,
            concurrency=concurrency,
        )
        self._resources = Resources(endpoint=endpoint, region=region, account=ACCOUNT, runtime=self._runtime)
        self._cloudformation = CloudFormation(self._resources, self._write_gateway)
        self._events = EventBridge(self._resources, speed=schedule_speed, failed=self._warn)
        self._topics = Topics(region=region, account=ACCOUNT, failed=self._warn)
        step_functions.on_end(self._put_event)
        self._cloudwatch = CloudWatch(
            self._resources, speed=schedule_speed, put_event=self._put_event, failed=self._warn
        )
        step_functions.on_end(self._count_execution)
        step_functions.on_log(lambda group, line: self._cloudwatch.read_log(group, line.encode()))
        self._runtime.on_line = lambda function, line: self._cloudwatch.read_log(function.log_group, line)
        self._runtime.on_invocation = self._count_invocation
        self._faults: dict[str, _Fault] = {}
        self._is_down = False
        self._kills: dict[str, Mapping[str, Any]] = {}  # the faults that are the runtime's, as they were asked for
        self._faults_lock = threading.Lock()
        self._published: deque[dict[str, Any]] = deque(maxlen=10_000)
        self._requests: deque[dict[str, Any]] = deque(maxlen=100_000)
        self._locks = {service: threading.RLock() for service in (*_SERIAL_SERVICES, "states")}

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if not length and environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        path = environ.get("PATH_INFO", "")
        if path.startswith("/_sim/"):
            response = self._simulation(environ["REQUEST_METHOD"], path, body, environ.get("QUERY_STRING", ""))
        else:
            response = self._unsigned(environ, path) or self._answer(environ, path, body)
        return response(environ, start_response)

    def _unsigned(self, environ: "WSGIEnvironment", path: str) -> Response | None:
        """What SNS has for everybody: its certificates, and where subscriptions are confirmed."""
        if environ["REQUEST_METHOD"] != "GET" or "HTTP_AUTHORIZATION" in environ:
            return None
        if certificate := self._topics.certificate(path.removeprefix("/")):
            return Response(certificate, content_type="application/x-pem-file")
        asked = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        if asked.get("Action") != "ConfirmSubscription":
            return None
        if self._topics.confirm(asked.get("TopicArn", ""), asked.get("Token", "")):
            return Response("<ConfirmSubscriptionResponse/>", content_type="text/xml")
        return _failure("sns", 400, "InvalidParameter", "Invalid parameter: Token")

    # Requests of AWS's APIs.

    def _answer(self, environ: "WSGIEnvironment", path: str, body: bytes) -> Response:
        key, service = _signed(environ)
        name = iam.operation(environ, service, body) if service else ""
        started = time.time()
        ours = key in self._resources.roles or key == GATEWAY_KEY
        session = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
        if ours and self._is_down:
            return LostAnswer()
        death = self._runtime.death_at(session, f"{service}:{name}") if ours and session else None
        if death and not death.done:
            death.come()
            return _failure(service, 500, "InternalServerError", "Whoever asked for this is dead")
        response = self._refusal(environ, service, name, body, key) if ours else None
        if response is None:
            response = self._serve(environ, path, service, name, body)
        if death:
            death.come()
        if ours:
            self._requests.append(
                {
                    "principal": key,
                    "action": f"{service}:{name}",
                    "status": response.status_code,
                    "time": started,
                    "ms": round((time.time() - started) * 1000, 1),
                }
            )
        return response

    def _refusal(self, environ: "WSGIEnvironment", service: str, name: str, body: bytes, key: str) -> Response | None:
        path = environ.get("PATH_INFO", "")
        fault = self._fault(f"{service}:{name}", service)
        if fault:
            time.sleep(fault.delay)
            if service == "dynamodb" and fault.kind in _THROTTLED:
                self._count_throttle(name, json.loads(body))
            if fault.status:
                return _failure(service, fault.status, fault.kind, "A simulated fault")
        if key == GATEWAY_KEY:
            return None
        for action, resource, keys in iam.permissions(service, name, path, body, self._region, ACCOUNT):
            if not iam.is_allowed(self._resources.roles[key], action, resource, keys):
                message = (
                    f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{key}/devstack is not authorized to perform: {action} "
                    f"on resource: {resource} because no identity-based policy allows the {action} action"
                )
                self._warn(message)
                status = 400 if service in _JSON_SERVICES - {"lambda", "xray"} else 403
                kinds = {"sns": "AuthorizationError", "s3": "AccessDenied", "sqs": "AccessDenied"}
                return _failure(service, status, kinds.get(service, "AccessDeniedException"), message)
        return None

    def _serve(self, environ: "WSGIEnvironment", path: str, service: str, name: str, body: bytes) -> Response:
        if service == "lambda" and (answered := self._lambda(environ, path, body)):
            return answered
        if service == "cloudformation":
            status, text = self._cloudformation.answer(form_of(body))
            return Response(text, status, content_type="text/xml")
        if service == "xray" and not path.strip("/").startswith("Get"):
            return Response("{}", 200, content_type="application/json")
        if service == "states":
            with self._locks["states"]:  # names are looked up and taken, tokens looked up and closed, in one step
                refused = step_functions.refusal(name, json.loads(body or b"{}"))
                return _failure(service, 400, *refused) if refused else self._ask_moto(service, environ, body)
        if service == "dynamodb" and (refused_item := _oversized_item(body)):
            return _failure(service, 400, "ValidationException", refused_item)
        if service not in _SERIAL_SERVICES:
            return self._ask_moto(service, environ, body)
        with self._locks[service]:
            response = self._ask_moto(service, environ, body)
        if response.status_code == 200:
            self._follow(f"{service}:{name}", body)
        return response

    def _follow(self, action: str, body: bytes) -> None:
        """What moto does not do by itself after a request that it has taken."""
        match action:
            case "monitoring:PutMetricData":
                self._cloudwatch.put_metric_data(form_of(body))
            case "events:DisableRule" | "events:EnableRule":
                rule = json.loads(body)["Name"]
                state = "ENABLED" if action == "events:EnableRule" else "DISABLED"
                self._resources.rules[rule] = {**self._resources.rules[rule], "State": state}
            case "sns:Subscribe" if form_of(body)["Protocol"] in ("http", "https"):
                self._topics.subscribed(form_of(body))
            case "sns:Publish":
                form = form_of(body)
                self._published.append(
                    {
                        "topic": form.get("TopicArn"),
                        "subject": form.get("Subject"),
                        "message": form["Message"],
                        "time": time.time(),
                    }
                )

    def _ask_moto(self, service: str, environ: "WSGIEnvironment", body: bytes) -> Response:
        environ["wsgi.input"] = io.BytesIO(body)
        if answerer := self._answerers.get(service):
            request = self._moto_request(environ)
            status, headers, text = answerer.dispatch(request, request.raw_url, dict(request.headers))
            return Response(text, status, headers)
        return Response.from_app(self._moto, environ, buffered=True)

    def _lambda(self, environ: "WSGIEnvironment", path: str, body: bytes) -> Response | None:
        """What moto does not answer as we need it."""
        if found := re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", path):
            return self._invoke(unquote(found.group(1)), environ, body)
        if path == "/2016-08-19/account-settings":
            limits = dict.fromkeys(
                ("ConcurrentExecutions", "UnreservedConcurrentExecutions"), _NEW_ACCOUNTS_CONCURRENCY
            )
            return _json({"AccountLimit": limits, "AccountUsage": {"FunctionCount": len(self._runtime.functions)}})
        return None

    def _count_lambda_throttle(self, function: Function) -> None:
        self._cloudwatch.put(metric("AWS/Lambda", "Throttles", {"FunctionName": function.name}), [1])

    def _invoke(self, name: str, environ: "WSGIEnvironment", body: bytes) -> Response:
        function = self._runtime.find(name)
        request_id = str(uuid4())
        if function is None:
            return _failure("lambda", 404, "ResourceNotFoundException", f"Function not found: {name}")
        event = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse") == "Event"
        limit = MAXIMUM_EVENT_PAYLOAD if event else MAXIMUM_PAYLOAD
        if len(body) > limit:
            kind = "Event" if event else "RequestResponse"
            message = f"{len(body)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
            return _failure("lambda", 413, "RequestTooLargeException", message)
        fault = self._fault(f"lambda:{function.logical_id}")
        if fault:
            time.sleep(fault.delay)
            if fault.kind == "TooManyRequestsException":
                self._count_lambda_throttle(function)
            if fault.status:
                return _failure("lambda", fault.status, fault.kind, "A simulated fault")
        if event:
            self._runtime.invoke_event(function, body or b"{}")
            return Response(b"", 202, {"x-amzn-RequestId": request_id})
        try:
            result = self._runtime.invoke(function, body or b"{}", request_id)
        except ConcurrencyError:
            self._count_lambda_throttle(function)
            return _failure("lambda", 429, "TooManyRequestsException", "Rate Exceeded.")
        except ThrottledError:  # no metric: it is this machine's limit, not the account's
            return _failure("lambda", 429, "TooManyRequestsException", "Rate Exceeded.")
        headers = {"x-amzn-RequestId": request_id, "X-Amz-Executed-Version": "$LATEST"}
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        return Response(result.payload, result.status, headers, content_type="application/json")

    # For tests.

    def _simulation(self, method: str, path: str, body: bytes, query: str) -> Response:
        after = int(parse_qs(query).get("after", ["0"])[0])
        readings: Mapping[str, Callable[[], Any]] = {
            "/_sim/sns": lambda: list(self._published),
            "/_sim/alarms": self._cloudwatch.states,
            "/_sim/invocations": lambda: self._runtime.measurements(after),
            "/_sim/requests": lambda: list(self._requests),
            "/_sim/faults": self._faults_left,
        }
        if method == "GET" and path in readings:
            return _json(readings[path]())
        match method, path:
            case "POST", "/_sim/points" | "/_sim/log":
                self._take_report(json.loads(body))
                return _json({})
            case "PUT", "/_sim/events":
                try:
                    matched = self._events.put(events.checked(json.loads(body)))
                except ValueError as error:
                    return _json({"message": f"This is no event: {error}"}, 400)
                return _json({"rules": matched})
            case "PUT", "/_sim/faults":
                try:
                    self._set_faults(json.loads(body))
                except (ValueError, TypeError, AttributeError, KeyError) as error:
                    return _json({"message": f"These are no faults: {error!r}"}, 400)
                return _json({})
        return _json({"message": f"There is no {method} {path}"}, 404)

    def _take_report(self, report: Any) -> None:
        """What the gateway's requests have made: points, or lines of a log."""
        if isinstance(report, list):
            for point in report:
                which = metric(point["namespace"], point["name"], point["dimensions"])
                self._cloudwatch.put(which, [float(point["value"])])
        else:
            for line in report["lines"]:
                self._cloudwatch.read_log(report["group"], line.encode())

    def _set_faults(self, wanted: Mapping[str, Any]) -> None:
        is_down = wanted.get("down", False)
        if not isinstance(is_down, bool):
            raise TypeError("down is true or false")
        wanted = {key: fault for key, fault in wanted.items() if key != "down"}
        faults: dict[str, _Fault] = {}
        kills: list[tuple[str, Kill, int]] = []
        idle: list[str] = []
        for key, fault in wanted.items():
            known = {"status", "type", "delay", "times", "seconds", "kill", "after_ms", "request", "done"}
            if unknown := set(fault) - known:
                raise ValueError(f"{key} has unknown fields {sorted(unknown)}")
            if "kill" in fault or "after_ms" in fault:
                logical_id = key.removeprefix("lambda:")
                if logical_id not in {function.logical_id for function in self._runtime.functions}:
                    raise ValueError(f"there is no function {logical_id}")
                if fault.get("kill") == "idle":
                    idle.append(logical_id)
                else:
                    kills.append((logical_id, _kill_of(fault), int(fault.get("times", 1))))
                continue
            only_slow = "delay" in fault and "status" not in fault and "type" not in fault
            faults[key] = _Fault(
                status=0 if only_slow else int(fault.get("status", 503)),
                kind=fault.get("type", "ServiceUnavailable"),
                delay=float(fault.get("delay", 0)),
                times=int(fault["times"]) if "times" in fault else None,
                until=time.monotonic() + float(fault["seconds"]) if "seconds" in fault else None,
            )
        with self._faults_lock:
            self._faults = faults
            self._is_down = self._events.is_away = is_down
            self._kills = {f"lambda:{logical_id}": wanted[f"lambda:{logical_id}"] for logical_id, _, _ in kills}
            self._runtime.clear_faults()
            for logical_id, kill, times in kills:
                self._runtime.fail_next(logical_id, kill, times)
        for logical_id in idle:
            self._runtime.end_idle(logical_id)

    def _faults_left(self) -> dict[str, dict[str, Any]]:
        with self._faults_lock:
            left: dict[str, dict[str, Any]] = {
                key: {"status": fault.status, "type": fault.kind, "delay": fault.delay, "left": fault.times}
                for key, fault in self._faults.items()
                if not fault.is_over()
            }
            for key, kill in self._kills.items():
                if count := self._runtime.deaths_to_come(key.removeprefix("lambda:")):
                    left[key] = {**kill, "left": count}
            if self._is_down:
                left["down"] = {"left": None}
        return left

    def _fault(self, *keys: str) -> _Fault | None:
        with self._faults_lock:
            for key in keys:
                fault = self._faults.get(key)
                if fault and fault.applies():
                    return fault
        return None

    # What others read.

    def _write_gateway(self, changed: Stack) -> None:
        """Tell the gateway what the stacks' API is now: .devstack/gateway.json, replaced in one step."""
        del changed
        apis = [
            (stack, resource)
            for stack in self._cloudformation.stacks
            for resource in stack.resources.values()
            if resource.type == "AWS::ApiGateway::RestApi"
        ]
        for stack, api in apis:
            stages = [
                resource
                for resource in stack.resources.values()
                if resource.type == "AWS::ApiGateway::Stage" and resource.properties["RestApiId"] == api.physical_id
            ]
            definition = {
                "body": api.properties["Body"],
                "stage": stages[0].properties["StageName"],
                "stage_properties": stages[0].properties,
                "name": api.properties.get("Name") or api.properties["Body"]["info"]["title"],
            }
            target = self._directory / "gateway.json"
            fresh = target.with_suffix(".new")
            fresh.write_text(json.dumps(definition, indent=1))
            fresh.replace(target)

    def _put_event(self, event: Mapping[str, Any]) -> None:
        self._events.put(event)

    def _count_execution(self, event: Mapping[str, Any]) -> None:
        detail = event["detail"]
        word = {"FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}.get(detail["status"], "Succeeded")
        dimensions = {"StateMachineArn": detail["stateMachineArn"]}
        self._cloudwatch.put(metric("AWS/States", f"Executions{word}", dimensions), [1])

    def _count_throttle(self, action: str, asked: Mapping[str, Any]) -> None:
        """DynamoDB's metrics of the tables that a refused request names."""
        parts = [asked] if "TableName" in asked else [part for item in asked["TransactItems"] for part in item.values()]
        reads = action in {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}
        for table in {part["TableName"] for part in parts}:
            which = metric("AWS/DynamoDB", f"{'Read' if reads else 'Write'}ThrottleEvents", {"TableName": table})
            self._cloudwatch.put(which, [1])

    def _count_invocation(self, name: str, failed: bool) -> None:
        dimensions = {"FunctionName": name}
        self._cloudwatch.put(metric("AWS/Lambda", "Invocations", dimensions), [1])
        self._cloudwatch.put(metric("AWS/Lambda", "Errors", dimensions), [int(failed)])

    def _warn(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def _kill_of(fault: Mapping[str, Any]) -> Kill:
    match fault.get("kill"):
        case None:
            return Kill(float(fault["after_ms"]))
        case "before" | "after" as when:
            return Kill(0.0 if when == "before" else None)
        case str(action) if ":" in action:
            return Kill(action=action, request=int(fault.get("request", 1)), done=bool(fault.get("done", False)))
        case unknown:
            raise ValueError(f"kill cannot be {unknown!r}")


def _signed(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The access key id and the service of a signed request, or empty texts."""
    found = re.search(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", ""))
    if found:
        return found.group(1), found.group(2).lower()
    credential = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0].split("/")
    return (credential[0], credential[3]) if len(credential) == 5 else ("", "")


def _failure(service: str, status: int, kind: str, message: str) -> Response:
    """An error in the form that the service's protocol gives it."""
    request_id = str(uuid4())
    if service in _JSON_SERVICES:
        prefix = {"dynamodb": "com.amazonaws.dynamodb.v20120810#"}.get(service, "")
        body = json.dumps({"__type": prefix + kind, "message": message, "Message": message})
        return Response(
            body, status, {"x-amzn-ErrorType": kind, "x-amzn-RequestId": request_id}, content_type="application/json"
        )
    text = f"<Error><Code>{kind}</Code><Message>{escape(message)}</Message></Error>"
    if service != "s3":
        text = f"<ErrorResponse>{text}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return Response(text, status, content_type="text/xml")


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _oversized_item(body: bytes) -> str | None:
    """DynamoDB: an item at most 400 KB. moto checks PutItem only."""
    if len(body) <= _DYNAMODB_ITEM_BYTES:
        return None
    parameters = json.loads(body)
    values = parameters.get("ExpressionAttributeValues") or parameters.get("Item") or {}
    size = len(json.dumps(values, ensure_ascii=False).encode())
    return "Item size to update has exceeded the maximum allowed size" if size > _DYNAMODB_ITEM_BYTES else None


def main() -> None:
    """Run it: `python -m devstack.aws.front --port 0 --directory .devstack --runtime .devstack/runtime/bin/python`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True, help="the interpreter of the Lambda runtime")
    parser.add_argument("--schedule-speed", type=float, default=1.0, help="times faster than the clock")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS, help="until an idle environment is ended")
    parser.add_argument("--whole-starts", action="store_true", help="an interpreter for each environment, no copies")
    parser.add_argument("--concurrency", type=int, default=1000, help="functions that may be at work at once")
    options = parser.parse_args()
    port = options.port or free_port()
    os.environ |= {
        "MOTO_PORT": str(port),
        "AWS_DEFAULT_REGION": options.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    # moto logs a failed state with all that it was given: telephone numbers and task tokens.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL + 1)
    options.directory.mkdir(parents=True, exist_ok=True)
    app = Aws(
        port=port,
        region=options.region,
        directory=options.directory.resolve(),
        python=options.runtime.absolute(),
        schedule_speed=options.schedule_speed,
        idle_seconds=options.idle_seconds,
        copies=not options.whole_starts,
        concurrency=options.concurrency,
    )
    # What moto keeps of everything, its parsers and models, is never garbage: looking for it took a third of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    serve(app, port)


if __name__ == "__main__":
    main()
