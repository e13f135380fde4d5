"""A stand-in of an Amazon API Gateway REST API: serves on one machine what an OpenAPI body with AWS's extensions declares.

It refuses what API Gateway refuses, with its statuses, messages and headers. Lambda functions and AWS services are
called at one endpoint. What Step Functions checks and moto does not is checked here.

Limits: header names arrive in Title-Case (WSGI has no others); policy conditions are not evaluated.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode

import requests
from werkzeug import Request, Response

from devstack.aws.gateway_definition import (
    GATEWAY_RESPONSES,
    Authorizer,
    Definition,
    GatewayResponse,
    Integration,
    IntegrationResponse,
    Method,
    read_definition,
)
from devstack.aws.gateway_reports import Reports
from devstack.aws.mapping_templates import BodyIsNotJsonError, Template, TemplateError, json_problem, parse_json
from devstack.aws.throttles import Throttles
from devstack.shared.serve import serve
from devstack.shared.simulator import LostAnswer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MAX_BODY = 10 * 1024 * 1024  # bytes; "Payload size 10 MB", API Gateway's quotas
MAX_HEADERS = 10240  # bytes of all header values
MAX_URL = 10240  # characters, regional API
MAX_METHOD_ARN = 1600  # bytes, of a method with authorization
MAX_INPUT = 262_144  # bytes of UTF-8; Step Functions' StartExecution
API_ID = "devstack00"

# The x-amzn-ErrorType header of each gateway response's type, where it is not made of the type's name.
_ERROR_TYPES = {
    "API_CONFIGURATION_ERROR": "ApiConfigurationException",
    "AUTHORIZER_CONFIGURATION_ERROR": "AuthorizerConfigurationException",
    "BAD_REQUEST_BODY": "BadRequestException",
    "BAD_REQUEST_PARAMETERS": "BadRequestException",
    "DEFAULT_4XX": "BadRequestException",
    "DEFAULT_5XX": "InternalServerErrorException",
    "INTEGRATION_FAILURE": "InternalServerErrorException",
    "INTEGRATION_TIMEOUT": "InternalServerErrorException",
    "INVALID_SIGNATURE": "IncompleteSignatureException",
    "QUOTA_EXCEEDED": "LimitExceededException",
    "REQUEST_TOO_LARGE": "RequestTooLargeException",
    "THROTTLED": "TooManyRequestsException",
    "UNSUPPORTED_MEDIA_TYPE": "BadRequestException",
}

# Headers of the client that no integration gets to see.
_DROPPED_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "te",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "www-authenticate",
    }
)

# Null without IAM or Cognito.
_UNKNOWN_IDENTITY = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)


class _FailureError(Exception):
    """A request that the gateway answers itself, with a gateway response."""

    def __init__(self, kind: str, message: str | None, *, status: int | None = None, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message
        self.status = status or GATEWAY_RESPONSES[kind] or 500
        self.detail = detail  # $context.error.validationErrorString


def _internal(status: int = 500) -> _FailureError:
    return _FailureError("DEFAULT_5XX", "Internal server error", status=status)


@dataclass
class _Call:
    """One request on its way through the gateway."""

    request: Request
    id: str
    path: str  # below the stage, as sent
    body: bytes = b""
    context: dict[str, Any] = field(default_factory=dict)
    path_parameters: dict[str, str] = field(default_factory=dict)

    def headers(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.request.headers if name.lower() not in _DROPPED_HEADERS]

    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.request.query_string.decode("latin-1"), keep_blank_values=True)

    def parameters(self) -> dict[str, dict[str, str]]:
        return {"path": self.path_parameters, "querystring": dict(self.query()), "header": dict(self.headers())}

    def media_type(self) -> str:
        return (self.request.headers.get("Content-Type") or "application/json").partition(";")[0].strip().lower()


# Faults.


class Faults:
    """What the next requests meet, set with PUT /_sim/faults."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, dict[str, Any]] = {}

    def set(self, wanted: Any) -> None:
        """Replace all faults. Raises ValueError for anything but the documented shape."""
        faults: dict[str, dict[str, Any]] = {}
        if not isinstance(wanted, dict):
            raise ValueError("faults are a JSON object")  # noqa: TRY004 (to the caller, JSON of a wrong shape)
        for name, value in wanted.items():
            match name, value:
                case "down", bool():
                    faults |= {"down": {"times": 1}} if value else {}
                    continue
                case "start_execution", {"type": str(), "status": int()}:
                    allowed = {"type", "status", "times"}
                case "integration", {"error": "timeout" | "failure"}:
                    allowed = {"error", "times"}
                case "throttle", int():
                    faults[name] = {"times": value}
                    continue
                case _:
                    raise ValueError(
                        'expected {"start_execution": {"type": "ThrottlingException", "status": 400, "times": 1}, '
                        '"throttle": 1, "integration": {"error": "timeout" | "failure", "times": 1}, "down": true}'
                    )
            if value.keys() - allowed or not isinstance(value.get("times", 1), int):
                raise ValueError(f"{name} takes {', '.join(sorted(allowed))}; times is a number")
            faults[name] = {"times": 1, **value}
        with self._lock:
            self._faults = faults

    def get(self) -> dict[str, dict[str, Any]]:
        """What is left."""
        with self._lock:
            return {name: dict(fault) for name, fault in self._faults.items() if fault["times"] > 0}

    def is_down(self) -> bool:
        """Whether nothing is answered."""
        with self._lock:
            return "down" in self._faults

    def take(self, name: str) -> dict[str, Any] | None:
        """Use the fault up once, if it is set."""
        with self._lock:
            fault = self._faults.get(name)
            if fault is None or fault["times"] < 1:
                return None
            fault["times"] -= 1
            return fault


# Routes.


class _Routes:
    """Finds the method for a path: of the resources that have it, fixed segments win over {one}, {one} over {all+}."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._resources: dict[str, dict[str, Method]] = {}
        for method in methods:
            self._resources.setdefault(method.resource, {})[method.http_method] = method
        self._patterns = sorted(
            ((self._rank(path), re.compile(self._pattern(path), re.DOTALL), path) for path in self._resources),
            key=lambda item: item[0],
        )

    @staticmethod
    def _rank(path: str) -> list[int]:
        return [2 if part.endswith("+}") else 1 if part.startswith("{") else 0 for part in path.split("/")]

    @staticmethod
    def _pattern(path: str) -> str:
        parts = []
        for part in path.strip("/").split("/"):
            name = part.strip("{}+")
            if part.endswith("+}"):
                parts.append(f"(?P<p_{name.encode().hex()}>.+)")
            elif part.startswith("{"):
                parts.append(f"(?P<p_{name.encode().hex()}>[^/]+)")
            else:
                parts.append(re.escape(part))
        return "/" + "/".join(parts)

    def find(self, http_method: str, path: str, authorization: str | None) -> tuple[Method, dict[str, str]]:
        """The method and its path parameters.

        Where there is none, API Gateway asks for a signature of AWS's: it misses the header Authorization, or cannot read
        what is in it. Raises that failure.
        """
        for _, pattern, resource in self._patterns:
            match = pattern.fullmatch(path.rstrip("/") or "/")
            methods = self._resources[resource]
            method = methods.get(http_method) or methods.get("ANY")
            if match is None or method is None:
                continue
            names = ((bytes.fromhex(name[2:]).decode(), value) for name, value in match.groupdict().items())
            return method, {name: unquote(value) for name, value in names}
        if authorization:
            told = f"'{authorization}' not a valid key=value pair (missing equal-sign) in Authorization header."
            raise _FailureError("INVALID_SIGNATURE", told)
        raise _FailureError("MISSING_AUTHENTICATION_TOKEN", "Missing Authentication Token")


# Authorizers.


def _matches(pattern: str, value: str) -> bool:
    """IAM's wildcards: * for any run of characters, ? for one."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(item, str) for item in values):
        raise ValueError("expected a string or a list of strings")
    return values


def evaluate_policy(policy: Any, method_arn: str) -> str:
    """`Allow`, `Deny` or `ImplicitDeny` for execute-api:Invoke on the ARN. Raises ValueError for a malformed policy."""
    if not isinstance(policy, dict) or policy.get("Version") not in {"2012-10-17", "2008-10-17"}:
        raise ValueError("the policy has no Version")
    statements = policy.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise ValueError("the policy has no Statement")
    result = "ImplicitDeny"
    for statement in statements:
        if not isinstance(statement, dict) or statement.keys() - {"Sid", "Effect", "Action", "Resource"}:
            raise ValueError("a statement has Effect, Action and Resource")
        effect = statement.get("Effect")
        if effect not in {"Allow", "Deny"}:
            raise ValueError("Effect is Allow or Deny")
        actions = any(_matches(action.lower(), "execute-api:invoke") for action in _strings(statement.get("Action")))
        resources = any(_matches(resource, method_arn) for resource in _strings(statement.get("Resource")))
        if actions and resources:
            if effect == "Deny":
                return "Deny"
            result = "Allow"
    return result


@dataclass(frozen=True)
class _Authorization:
    policy: Mapping[str, Any]
    context: Mapping[str, str]  # principalId and the function's context, as texts
    expires: float


class _Authorizers:
    """Asks the authorizer's function, and keeps its answer per token for the time to live."""

    def __init__(self, invoke: Callable[[str, bytes, float], bytes], clock: Callable[[], float]) -> None:
        self._invoke = invoke
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str], _Authorization] = {}

    def authorize(self, authorizer: Authorizer, token: str | None, method_arn: str) -> Mapping[str, str]:
        """The $context.authorizer of an allowed request; raises the failure of any other."""
        if not token or (authorizer.expression and not re.fullmatch(authorizer.expression, token)):
            raise _FailureError("UNAUTHORIZED", "Unauthorized")
        key = (authorizer.name, token)
        with self._lock:
            authorization = self._cache.get(key)
        if authorization is None or authorization.expires <= self._clock():
            authorization = self._ask(authorizer, token, method_arn)
        try:
            decision = evaluate_policy(authorization.policy, method_arn)
        except ValueError as error:
            _log(f"authorizer {authorizer.name}: {error}")
            raise _FailureError("AUTHORIZER_CONFIGURATION_ERROR", None) from error
        with self._lock:
            self._cache[key] = authorization
        if decision != "Allow":
            explicit = " with an explicit deny" if decision == "Deny" else ""
            raise _FailureError("ACCESS_DENIED", f"User is not authorized to access this resource{explicit}")
        return authorization.context

    def _ask(self, authorizer: Authorizer, token: str, method_arn: str) -> _Authorization:
        event = {"type": "TOKEN", "methodArn": method_arn, "authorizationToken": token}
        try:
            answer = json.loads(self._invoke(authorizer.function, json.dumps(event).encode(), 29))
        except (requests.RequestException, ValueError) as error:
            _log(f"authorizer {authorizer.name}: {type(error).__name__}")
            raise _FailureError("AUTHORIZER_CONFIGURATION_ERROR", None) from error
        if isinstance(answer, dict) and ("errorType" in answer or "errorMessage" in answer):
            if answer.get("errorMessage") == "Unauthorized":
                raise _FailureError("UNAUTHORIZED", "Unauthorized")
            _log(f"authorizer {authorizer.name}: the function failed with {answer.get('errorType')}")
            raise _FailureError("AUTHORIZER_FAILURE", None)
        context = answer.get("context") or {} if isinstance(answer, dict) else None
        if (
            not isinstance(context, dict)
            or not isinstance(answer.get("principalId"), str)
            or not isinstance(answer.get("policyDocument"), dict)
            or not all(isinstance(value, str | int | float | bool) for value in context.values())
        ):
            _log(f"authorizer {authorizer.name}: expected principalId, policyDocument and a flat context")
            raise _FailureError("AUTHORIZER_CONFIGURATION_ERROR", None)
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in context.items()}
        return _Authorization(
            policy=answer["policyDocument"],
            context={**texts, "principalId": answer["principalId"]},
            expires=self._clock() + authorizer.ttl,
        )


# Step Functions.


class StepFunctionsError(Exception):
    """A refusal of Step Functions, HTTP 400: `kind` is its __type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def body(self) -> bytes:
        return json.dumps({"__type": self.kind, "message": str(self)}).encode()


_NOT_SERIAL = "com.amazon.coral.service#SerializationException"
_NOT_VALID = "com.amazon.coral.validate#ValidationException"
_STATES_MODEL = "com.amazonaws.swf.service.v2.model#"


def check_start_execution(text: str) -> None:
    """Raise the StepFunctionsError that a StartExecution request meets before the service looks at the state machine.

    StartExecution, AWS Step Functions API Reference: name 1-80, input at most 262,144, which has to be JSON.
    Stricter than the service: unknown fields are refused, and names hold only what CloudWatch Logs can take.
    """
    try:
        request = parse_json(text)
    except ValueError as error:
        raise StepFunctionsError(_NOT_SERIAL, "The request is not JSON") from error
    if not isinstance(request, dict) or request.keys() - {"stateMachineArn", "name", "input", "traceHeader"}:
        raise StepFunctionsError(_NOT_SERIAL, "Unexpected fields")
    if not all(isinstance(value, str) for value in request.values()):
        raise StepFunctionsError(_NOT_SERIAL, "Expected texts")
    if not request.get("stateMachineArn"):
        raise StepFunctionsError(_NOT_VALID, _constraint("stateMachineArn", "Member must not be null"))
    if "name" in request:
        _check_name(request["name"])
    _check_input(request.get("input", "{}"))


def _constraint(member: str, constraint: str) -> str:
    return f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"


def _check_name(name: str) -> None:
    if not name:
        raise StepFunctionsError(_NOT_VALID, _constraint("name", "Member must have length greater than or equal to 1"))
    if len(name) > 80:
        raise StepFunctionsError(_NOT_VALID, _constraint("name", "Member must have length less than or equal to 80"))
    if not re.fullmatch(r"[0-9A-Za-z_-]+", name):
        raise StepFunctionsError(_STATES_MODEL + "InvalidName", "Invalid Name")


def _check_input(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_INPUT:
        raise StepFunctionsError(
            _NOT_VALID, _constraint("input", f"Member must have length less than or equal to {MAX_INPUT}")
        )
    try:
        parse_json(text)
    except ValueError as error:
        message = f"Invalid State Machine Execution Input: '{json_problem(error)}'"
        raise StepFunctionsError(_STATES_MODEL + "InvalidExecutionInput", message) from error


# The gateway.

_LOG_LOCK = threading.Lock()


def _log(line: str) -> None:
    with _LOG_LOCK:
        print(line, flush=True)


class Gateway:
    """The WSGI application."""

    def __init__(
        self,
        definition: Definition,
        *,
        stage: str,
        stage_properties: Mapping[str, Any],
        aws_endpoint: str,
        region: str,
        name: str,
        clock: Callable[[], float],
    ) -> None:
        self._definition = definition
        self._stage = stage
        self._stage_variables: dict[str, str] = dict(stage_properties.get("Variables") or {})
        self._throttles = Throttles(stage_properties.get("MethodSettings") or (), clock)
        log = stage_properties.get("AccessLogSetting") or {}
        self._log_format = str(log.get("Format", ""))
        group = str(log.get("DestinationArn", "")).partition(":log-group:")[2].removesuffix(":*")
        self._reports = Reports(aws_endpoint.rstrip("/"), api=name, stage=stage, log_group=group, failed=_log)
        self._aws_endpoint = aws_endpoint.rstrip("/")
        self._region = region
        self._routes = _Routes(definition.methods)
        self._faults = Faults()
        self._authorizers = _Authorizers(self._invoke, clock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        raw_path = str(environ.get("RAW_URI") or request.path).partition("?")[0]
        if raw_path == "/_sim/faults":
            return self._control(request)(environ, start_response)
        if self._faults.is_down():
            return LostAnswer()(environ, start_response)
        started = time.monotonic()
        # A client may choose the request's ID; the extended one is the gateway's own.
        request_id = request.headers.get("X-Amzn-RequestId") or str(uuid.uuid4())
        call = _Call(request=request, id=request_id, path=self._below_stage(raw_path))
        self._describe(call, raw_path)
        try:
            response = self._answer(call)
        except _FailureError as failure:
            call.context["error"] = _error(failure)
            response = self._gateway_response(call, failure)
        response.headers["x-amzn-RequestId"] = call.id
        response.headers["x-amz-apigw-id"] = call.context["extendedRequestId"]
        resource = call.context.get("resourcePath")
        path = f"/{self._stage}{resource}" if resource else "(no such resource)"
        milliseconds = round((time.monotonic() - started) * 1000)
        _log(f"{request.method} {path} {response.status_code} {milliseconds}ms {call.id}")
        call.context["status"] = str(response.status_code)
        call.context["responseLatency"] = str(milliseconds)
        line = _substitute(self._log_format, call.context, absent="-")
        self._reports.add(request.method, resource or "", response.status_code, line)
        return response(environ, start_response)

    def _below_stage(self, raw_path: str) -> str:
        prefix = f"/{self._stage}"
        if raw_path == prefix or raw_path.startswith(prefix + "/"):
            return raw_path.removeprefix(prefix) or "/"
        return ""

    def _control(self, request: Request) -> Response:
        if request.method == "PUT":
            try:
                self._faults.set(json.loads(request.get_data()))
            except ValueError as error:
                return _json_response(400, {"message": str(error)})
        elif request.method != "GET":
            return _json_response(405, {"message": "GET or PUT"})
        return _json_response(200, self._faults.get())

    def _describe(self, call: _Call, raw_path: str) -> None:
        """$context, which is also a proxied function's requestContext."""
        request = call.request
        now = datetime.now(UTC)
        host = request.headers.get("Host", "")
        call.context = {
            "accountId": self._definition.account,
            "apiId": API_ID,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": base64.b64encode(uuid.uuid4().bytes[:11]).decode(),
            "httpMethod": request.method,
            "identity": {
                **dict.fromkeys(_UNKNOWN_IDENTITY),
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent"),
            },
            "path": raw_path,
            "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "requestId": call.id,
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now.timestamp() * 1000),
            "stage": self._stage,
        }

    def _answer(self, call: _Call) -> Response:
        request = call.request
        if len(str(request.environ.get("RAW_URI", request.path))) > MAX_URL:
            return _json_response(414, {"message": "Request URI too long"})
        if sum(len(value) for _, value in request.headers) > MAX_HEADERS:
            return _json_response(431, {"message": "Request Header Fields Too Large"})
        body = self._read(request)
        if not call.path:
            return _json_response(403, {"message": "Forbidden"}, {"x-amzn-ErrorType": "ForbiddenException"})
        method, call.path_parameters = self._routes.find(
            request.method, call.path, request.headers.get("Authorization")
        )
        call.context["resourcePath"] = method.resource
        call.context["resourceId"] = method.resource.encode().hex()[-6:]
        if self._faults.take("throttle") or not self._throttles.lets_through(request.method, method.resource):
            raise _FailureError("THROTTLED", "Too Many Requests")
        if body is None:
            raise _FailureError("REQUEST_TOO_LARGE", "Request Too Long")
        call.body = body
        if method.authorizer:
            self._authorize(call, method.authorizer)
        self._validate(call, method)
        if method.integration.kind == "aws_proxy":
            return self._proxy(call, method)
        return self._integrate(call, method.integration)

    @staticmethod
    def _read(request: Request) -> bytes | None:
        """The body; None when it is too large (read to its end all the same: a client may not listen while it sends)."""
        body = request.stream.read(MAX_BODY + 1)
        if len(body) <= MAX_BODY:
            return body
        while request.stream.read(1 << 16):
            pass
        return None

    def _authorize(self, call: _Call, authorizer: Authorizer) -> None:
        arn = (
            f"arn:aws:execute-api:{self._region}:{self._definition.account}:{API_ID}"
            f"/{self._stage}/{call.request.method}{call.path}"
        )
        if len(arn.encode()) > MAX_METHOD_ARN:
            raise _FailureError("DEFAULT_4XX", "Request URI too long", status=414)
        token = call.request.headers.get(authorizer.header)
        call.context["authorizer"] = dict(self._authorizers.authorize(authorizer, token, arn))

    def _validate(self, call: _Call, method: Method) -> None:
        parameters = call.parameters()
        missing = [name for place, name in method.required if name not in parameters[place]]
        if missing:
            raise _FailureError(
                "BAD_REQUEST_PARAMETERS", f"Missing required request parameters: [{', '.join(missing)}]"
            )
        model = method.models.get(call.media_type())
        if model is None:
            return
        try:
            body = parse_json(call.body.decode() or "{}")
        except ValueError as error:
            raise _not_json(json_problem(error)) from error
        problems = [f"{problem.json_path}: {problem.validator}" for problem in model.iter_errors(body)]
        if problems:
            raise _FailureError("BAD_REQUEST_BODY", "Invalid request body", detail=f"[{', '.join(problems[:10])}]")

    # Gateway responses.

    def _gateway_response(self, call: _Call, failure: _FailureError) -> Response:
        declared = self._definition.gateway_responses
        fallback = declared.get("DEFAULT_4XX" if failure.status < 500 else "DEFAULT_5XX", GatewayResponse())
        response = declared.get(failure.kind, fallback)
        media_type, template = next(iter(response.templates.items()), ("application/json", None))
        if template is None:
            key = "Message" if failure.kind == "ACCESS_DENIED" else "message"
            template = f'{{"{key}":$context.error.messageString}}'
        answer = Response(
            _substitute(template, call.context),
            status=response.status or failure.status,
            content_type=media_type,
        )
        answer.headers["x-amzn-ErrorType"] = _ERROR_TYPES.get(
            failure.kind, "".join(word.title() for word in failure.kind.split("_")) + "Exception"
        )
        for name, source in response.headers.items():
            answer.headers[name] = self._mapped(source, call, {})
        return answer

    def _mapped(self, source: str, call: _Call, answered: Mapping[str, str]) -> str:
        """The value of a parameter mapping's source."""
        if source.startswith("'"):
            return source.strip("'")
        place, _, name = source.partition(".")
        if place == "context":
            return _text(_lookup(call.context, name))
        if place == "stageVariables":
            return self._stage_variables.get(name, "")
        kind, _, key = name.partition(".")[2].partition(".")
        if place == "integration":
            return answered.get(key.lower(), "")
        return call.parameters()[kind].get(key, "")

    # Integrations.

    def _invoke(self, function: str, event: bytes, timeout: float) -> bytes:
        """A function's result. Raises requests.RequestException, and ValueError when Lambda itself refuses."""
        response = requests.post(
            f"{self._aws_endpoint}/2015-03-31/functions/{function}/invocations",
            data=event,
            headers={"Content-Type": "application/json", **self._signature("lambda", "devstack")},
            timeout=timeout,
        )
        if response.status_code != 200:
            raise ValueError(f"Lambda answered {response.status_code}")
        if "X-Amz-Function-Error" in response.headers and b'"error' not in response.content:
            return b'{"errorType": "Unhandled"}'
        return response.content

    def _signature(self, service: str, key: str) -> dict[str, str]:
        """Just enough of Signature Version 4 to tell region, service and who asks."""
        scope = f"{key}/{datetime.now(UTC):%Y%m%d}/{self._region}/{service}/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}

    def _fault(self) -> None:
        fault = self._faults.take("integration")
        if fault and fault["error"] == "timeout":
            raise _FailureError("INTEGRATION_TIMEOUT", "Endpoint request timed out")
        if fault:
            raise _FailureError("INTEGRATION_FAILURE", "Network error communicating with endpoint")

    def _proxy(self, call: _Call, method: Method) -> Response:
        self._fault()
        event = json.dumps(self._proxy_event(call, method)).encode()
        try:
            answer = self._invoke(method.integration.function, event, method.integration.timeout)
        except requests.Timeout as error:
            raise _FailureError("INTEGRATION_TIMEOUT", "Endpoint request timed out") from error
        except (requests.RequestException, ValueError) as error:
            _log(f"{call.id} function {method.integration.function}: {type(error).__name__}")
            raise _internal(502) from error
        try:
            return self._proxy_response(call, answer)
        except ValueError as error:
            _log(f"{call.id} function {method.integration.function}: {error}")
            raise _internal(502) from error

    def _proxy_event(self, call: _Call, method: Method) -> dict[str, Any]:
        """The event of payload format 1.0."""
        request = call.request
        headers = call.headers()
        query = call.query()
        forwarded = request.headers.get("X-Forwarded-For")
        for name, value in (
            ("X-Forwarded-For", f"{forwarded}, {request.remote_addr}" if forwarded else str(request.remote_addr)),
            ("X-Forwarded-Port", str(request.environ["SERVER_PORT"])),
            ("X-Forwarded-Proto", request.scheme),
        ):
            headers = [(key, old) for key, old in headers if key != name] + [(name, value)]
        binary = self._is_binary(call.media_type())
        body = base64.b64encode(call.body).decode() if binary else call.body.decode("utf-8", "replace")
        return {
            "resource": method.resource,
            "path": unquote(call.path),
            "httpMethod": request.method,
            "headers": dict(headers) or None,
            "multiValueHeaders": _multiple(headers) or None,
            "queryStringParameters": dict(query) or None,
            "multiValueQueryStringParameters": _multiple(query) or None,
            "pathParameters": call.path_parameters or None,
            "stageVariables": self._stage_variables or None,
            "requestContext": call.context,
            "body": body or None,
            "isBase64Encoded": binary and bool(body),
        }

    def _is_binary(self, media_type: str) -> bool:
        return bool(self._definition.binary_media_types & {media_type, "*/*", media_type.partition("/")[0] + "/*"})

    def _proxy_response(self, call: _Call, answer: bytes) -> Response:
        """The method's response from a function's result. Raises ValueError unless it has exactly the documented form."""
        result = _proxy_result(json.loads(answer))
        body, encoded = result.get("body"), result.get("isBase64Encoded", False)
        content = (body or "").encode("utf-8", "replace")
        # Decoded for clients that accept a binary media type only; others get the base64.
        if encoded and self._is_binary(call.request.headers.get("Accept", "*/*").partition(",")[0].strip().lower()):
            try:
                content = base64.b64decode(content, validate=True)
            except binascii.Error as error:
                raise ValueError("malformed proxy response: not base64") from error
        response = Response(content, status=result["statusCode"], content_type="application/json")
        for name, value in (result.get("headers") or {}).items():
            response.headers.set(name, value)
        for name, values in (result.get("multiValueHeaders") or {}).items():
            response.headers.setlist(name, values)
        return response

    def _integrate(self, call: _Call, integration: Integration) -> Response:
        call.context["requestOverride"] = {"header": {}, "querystring": {}, "path": {}}
        call.context["responseOverride"] = {"header": {}}
        text = self._request_text(call, integration)
        if integration.kind == "mock":
            status, body, headers = self._mock(text)
        else:
            self._fault()
            status, body, headers = self._act(call, integration, text)
        response = next(
            (r for r in integration.responses if r.pattern and re.fullmatch(r.pattern, str(status))),
            next((r for r in integration.responses if r.pattern is None), None),
        )
        if response is None:
            _log(f"{call.id} no integration response for status {status}, and no default")
            raise _FailureError("API_CONFIGURATION_ERROR", "Internal server error")
        return self._method_response(call, response, body, headers)

    def _request_text(self, call: _Call, integration: Integration) -> str:
        templates = integration.templates
        template = templates.get(call.media_type()) or templates.get("$default")
        if template is None:
            if integration.passthrough == "never" or (integration.passthrough == "when_no_templates" and templates):
                raise _FailureError("UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type")
            return call.body.decode("utf-8", "replace")
        try:
            return self._render(call, template, call.body)
        except BodyIsNotJsonError as error:
            raise _not_json(str(error)) from error

    def _render(self, call: _Call, template: Template, body: bytes) -> str:
        """Raises BodyIsNotJsonError, which means one thing of a request and another of an answer."""
        try:
            rendering = template.render(
                body=body.decode("utf-8", "replace"),
                parameters=call.parameters(),
                context=call.context,
                stage_variables=self._stage_variables,
            )
        except TemplateError as error:
            _log(f"{call.id} mapping template: {error}")
            raise _internal() from error
        call.context = rendering.context
        return rendering.text

    @staticmethod
    def _mock(text: str) -> tuple[int, bytes, Mapping[str, str]]:
        try:
            status = json.loads(text)["statusCode"]
        except (ValueError, TypeError, KeyError) as error:
            raise _internal() from error
        return int(status), b"", {}

    def _act(self, call: _Call, integration: Integration, text: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Call the AWS service's action: status, body, headers (lower-case names)."""
        service, action = integration.action
        headers = {"Content-Type": call.request.headers.get("Content-Type") or "application/json"}
        headers.update({name: self._mapped(source, call, {}) for name, source in integration.headers.items()})
        headers.update(call.context["requestOverride"]["header"])
        query = {name: self._mapped(source, call, {}) for name, source in integration.querystring.items()}
        if (service, action) == ("states", "StartExecution"):
            fault = self._faults.take("start_execution")
            if fault:
                error = StepFunctionsError(_STATES_MODEL + fault["type"], "A simulated fault")
                return fault["status"], error.body(), {}
            try:
                check_start_execution(text)
            except StepFunctionsError as error:
                return 400, error.body(), {}
            headers |= {"X-Amz-Target": "AWSStepFunctions.StartExecution", "Content-Type": "application/x-amz-json-1.0"}
        else:
            query["Action"] = action
            if "version" not in {name.lower() for name, _ in [*query.items(), *parse_qsl(text)]}:
                return 400, b"<ErrorResponse><Error><Code>MissingAction</Code></Error></ErrorResponse>", {}
        url = f"{self._aws_endpoint}/" + (f"?{urlencode(query)}" if query else "")
        try:
            response = requests.post(
                url,
                data=text.encode("utf-8", "replace"),
                headers={**headers, **self._signature(service, integration.role)},
                timeout=integration.timeout,
            )
        except requests.Timeout as error:
            raise _FailureError("INTEGRATION_TIMEOUT", "Endpoint request timed out") from error
        except requests.RequestException as error:
            raise _FailureError("INTEGRATION_FAILURE", "Network error communicating with endpoint") from error
        return response.status_code, response.content, {k.lower(): v for k, v in response.headers.items()}

    def _method_response(
        self, call: _Call, response: IntegrationResponse, body: bytes, answered: Mapping[str, str]
    ) -> Response:
        media_type = answered.get("content-type", "application/json")
        if response.templates:
            accepted = call.request.headers.get("Accept", "").partition(",")[0].partition(";")[0].strip().lower()
            media_type = next(
                (kind for kind in (accepted, "application/json") if kind in response.templates),
                next(iter(response.templates)),
            )
            try:
                body = self._render(call, response.templates[media_type], body).encode()
            except BodyIsNotJsonError as error:
                _log(f"{call.id} the integration's answer is not JSON: {error}")
                raise _internal() from error
        override = call.context["responseOverride"]
        status = override.get("status")
        # "AWS ignores the status if the override isn't an integer between 100 and 599": so a text does nothing.
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
            status = response.status
        answer = Response(body, status=status, content_type=media_type)
        for name, source in response.headers.items():
            answer.headers[name] = self._mapped(source, call, answered)
        for name, value in override.get("header", {}).items():
            answer.headers[name] = _text(value)
        return answer


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _proxy_result(result: Any) -> dict[str, Any]:
    """A proxied function's result. Raises ValueError unless it has exactly the documented form."""
    if not isinstance(result, dict) or "errorType" in result or "errorMessage" in result:
        raise ValueError("the function failed")
    if result.keys() - {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}:
        raise ValueError("malformed proxy response: unknown keys")
    status, headers, multiple = (result.get(name) for name in ("statusCode", "headers", "multiValueHeaders"))
    parts = {
        "statusCode": isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599,
        "headers": headers is None
        or (isinstance(headers, dict) and all(isinstance(value, str) for value in headers.values())),
        "multiValueHeaders": multiple is None
        or (isinstance(multiple, dict) and all(map(_is_list_of_texts, multiple.values()))),
        "body": isinstance(result.get("body"), str | None),
        "isBase64Encoded": isinstance(result.get("isBase64Encoded", False), bool),
    }
    wrong = [name for name, right in parts.items() if not right]
    if wrong:
        raise ValueError(f"malformed proxy response: {', '.join(wrong)}")
    return result


def _not_json(reason: str) -> _FailureError:
    return _FailureError("BAD_REQUEST_BODY", f"Could not parse request body into json: {reason}")


def _error(failure: _FailureError) -> dict[str, Any]:
    """$context.error."""
    return {
        "message": failure.message,
        "messageString": json.dumps(failure.message),
        "responseType": failure.kind,
        "validationErrorString": failure.detail,
    }


def _substitute(template: str, context: Mapping[str, Any], absent: str = "") -> str:
    """A gateway response's body, or a line of the access log, with its $context variables put in."""
    pattern = r"\$context((?:\.[A-Za-z_][\w-]*)+)"
    return re.sub(pattern, lambda match: _text(_lookup(context, match[1][1:])) or absent, template)


def _lookup(context: Mapping[str, Any], path: str) -> Any:
    value: Any = context
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _multiple(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _json_response(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json", headers=headers)


def create_app(
    *,
    body: dict[str, Any],
    stage: str,
    stage_properties: dict[str, Any],
    aws_endpoint: str,
    region: str,
    name: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> WSGIApplication:
    """The API under /{stage}.

    `body` is the OpenAPI body with every intrinsic resolved, `stage_properties` those of AWS::ApiGateway::Stage (its
    Variables, MethodSettings and AccessLogSetting count). `aws_endpoint` answers Lambda invocations and the AWS services'
    actions, and is told of errors and of the access log when the API has a `name`. `clock`, in seconds, ages the authorizers'
    results and fills the throttles. Raises DefinitionError, ThrottleError.
    """
    return Gateway(
        read_definition(body),
        stage=stage,
        stage_properties=stage_properties,
        aws_endpoint=aws_endpoint,
        region=region,
        name=name,
        clock=clock,
    )


def main() -> None:
    """Serve a definition: a JSON file with body, stage, stage_properties and name."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--definition", type=Path, required=True)
    parser.add_argument("--aws-endpoint", required=True, help="URL")
    parser.add_argument("--region", required=True)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    arguments = parser.parse_args()
    definition = json.loads(arguments.definition.read_text())
    app = create_app(**definition, aws_endpoint=arguments.aws_endpoint, region=arguments.region)
    serve(app, arguments.port)


if __name__ == "__main__":
    main()
