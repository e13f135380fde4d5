"""The stand-in of API Gateway serves what a definition declares, and refuses what API Gateway refuses."""

import base64
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer
from werkzeug import Request, Response
from werkzeug.serving import WSGIRequestHandler, make_server

from devstack.aws import template
from devstack.aws.gateway import MAX_BODY, StepFunctionsError, check_start_execution, create_app, evaluate_policy
from devstack.aws.gateway_definition import DefinitionError
from devstack.aws.throttles import ThrottleError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

REGION = "eu-west-1"
TEMPLATE = Path(__file__).parents[2] / "template.yaml"
LAMBDA = (
    f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/"
    f"arn:aws:lambda:{REGION}:123456789012:function:%s/invocations"
)
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:on-call"
ESCAPED = r"""$util.escapeJavaScript($input.json('$')).replaceAll("\\'","'")"""


def definition() -> dict[str, Any]:
    """An API with one of everything."""

    def proxy(function: str, **integration: Any) -> dict[str, Any]:
        integration |= {"type": "aws_proxy", "httpMethod": "POST", "uri": LAMBDA % function}
        return {"responses": {}, "x-amazon-apigateway-integration": integration}

    return {
        "openapi": "3.0.1",
        "info": {"title": "test", "version": "1"},
        "x-amazon-apigateway-request-validators": {
            "body": {"validateRequestBody": True, "validateRequestParameters": False},
            "parameters": {"validateRequestBody": False, "validateRequestParameters": True},
        },
        "x-amazon-apigateway-gateway-responses": {
            "THROTTLED": {
                "statusCode": "503",
                "responseParameters": {"gatewayresponse.header.Retry-After": "'1'"},
                "responseTemplates": {
                    "application/json": '{"message": "later", "reason": $context.error.messageString, '
                    '"kind": "$context.error.responseType", "request": "$context.requestId"}'
                },
            },
            "BAD_REQUEST_BODY": {
                "statusCode": 400,
                "responseTemplates": {
                    "application/json": '{"reason": $context.error.messageString, '
                    '"details": "$context.error.validationErrorString"}'
                },
            },
        },
        "components": {
            "schemas": {
                "Webhook": {
                    "type": "object",
                    "required": ["alerts"],
                    "properties": {"alerts": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
                }
            },
            "securitySchemes": {
                "Bearer": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "x-amazon-apigateway-authtype": "custom",
                    "x-amazon-apigateway-authorizer": {
                        "type": "token",
                        "authorizerUri": LAMBDA % "authorize",
                        "identityValidationExpression": "Bearer .+",
                        "authorizerResultTtlInSeconds": 60,
                    },
                }
            },
        },
        "paths": {
            "/alerts": {
                "post": {
                    "security": [{"Bearer": []}],
                    "x-amazon-apigateway-request-validator": "body",
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Webhook"}}}
                    },
                    "responses": {"202": {"headers": {"X-Execution": {}}}, "400": {}, "503": {}},
                    "x-amazon-apigateway-integration": {
                        "type": "aws",
                        "httpMethod": "POST",
                        "uri": f"arn:aws:apigateway:{REGION}:states:action/StartExecution",
                        "credentials": "arn:aws:iam::123456789012:role/gateway",
                        "passthroughBehavior": "never",
                        "requestTemplates": {
                            "application/json": f'{{"stateMachineArn": "{MACHINE}", "name": "$context.requestId", '
                            f'"input": "{{\\"webhook\\":{ESCAPED},'
                            '\\"who\\":\\"$context.authorizer.principalId\\"}"}'
                        },
                        "responses": {
                            "default": {
                                "statusCode": "202",
                                "responseParameters": {"method.response.header.X-Execution": "context.requestId"},
                                "responseTemplates": {"application/json": '{"execution": "$context.requestId"}'},
                            },
                            r"4\d{2}": {
                                "statusCode": "503",
                                "responseTemplates": {
                                    "application/json": "#set($type = $input.path('$.__type'))"
                                    '#if($type.endsWith("InvalidExecutionInput") || $type.endsWith("ValidationException"))'
                                    "#set($context.responseOverride.status = 400)#end"
                                    '#set($context.responseOverride.header.X-Reason = "$type")'.replace(
                                        "header.X-Reason", 'header["X-Reason"]'
                                    )
                                    + '{"type": "$type"}'
                                },
                            },
                            r"5\d{2}": {
                                "statusCode": "503",
                                "responseTemplates": {"application/json": '{"type": "theirs"}'},
                            },
                        },
                    },
                }
            },
            "/heartbeat": {
                "post": {
                    "responses": {"200": {}},
                    "x-amazon-apigateway-integration": {
                        "type": "aws",
                        "httpMethod": "POST",
                        "uri": f"arn:aws:apigateway:{REGION}:monitoring:action/PutMetricData",
                        "credentials": "arn:aws:iam::123456789012:role/gateway",
                        "requestParameters": {
                            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
                        },
                        "requestTemplates": {
                            "application/json": "Version=2010-08-01&Namespace=OnCall"
                            "&MetricData.member.1.MetricName=Heartbeat&MetricData.member.1.Value=1"
                        },
                        "responses": {
                            "default": {"statusCode": "200", "responseTemplates": {"application/json": "{}"}}
                        },
                    },
                }
            },
            "/health": {
                "get": {
                    "responses": {"204": {}},
                    "x-amazon-apigateway-integration": {
                        "type": "mock",
                        "requestTemplates": {"application/json": '{"statusCode": 204}'},
                        "responses": {"default": {"statusCode": "204"}},
                    },
                }
            },
            "/calls/{proxy+}": {"post": proxy("phone_reply"), "get": proxy("phone_reply")},
            "/calls/key": {"post": proxy("key")},
            "/calls/{name}": {"post": proxy("name")},
            "/needs": {
                "get": {
                    **proxy("name"),
                    "x-amazon-apigateway-request-validator": "parameters",
                    "parameters": [
                        {"name": "q", "in": "query", "required": True},
                        {"name": "X-Needed", "in": "header", "required": True},
                    ],
                }
            },
            "/impatient": {"post": proxy("name", timeoutInMillis=50)},
            "/any": {"x-amazon-apigateway-any-method": proxy("name")},
        },
    }


@dataclass
class Aws:
    """Lambda, Step Functions and CloudWatch at one endpoint, as the gateway sees them."""

    functions: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    actions: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answer: tuple[int, dict[str, Any]] = (200, {"executionArn": "arn", "startDate": 1.0})
    raw_answer: Response | None = None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        return self.respond(Request(environ))(environ, start_response)

    def respond(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts[0] == "2015-03-31":
            event = request.get_json()
            self.events.setdefault(parts[2], []).append(event)
            result = self.functions[parts[2]](event)
            return result if isinstance(result, Response) else Response(json.dumps(result))
        if request.headers.get("X-Amz-Target") == "AWSStepFunctions.StartExecution":
            assert request.content_type == "application/x-amz-json-1.0"
            self.started.append(json.loads(request.get_data()))
            return self.raw_answer or Response(json.dumps(self.answer[1]), status=self.answer[0])
        self.actions.append((request.args["Action"], request.form.to_dict()))
        return Response("<PutMetricDataResponse/>", content_type="text/xml")


def allow(event: dict[str, Any]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    return {
        "principalId": "alertmanager",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"number": 1, "yes": True},
    }


def failing(kind: str, message: str) -> Callable[[dict[str, Any]], Any]:
    """What the Lambda emulator answers for a function that raised."""
    return lambda _: {"errorType": kind, "errorMessage": message, "stackTrace": []}


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 (werkzeug's name)
        pass


@contextmanager
def serving(app: "WSGIApplication") -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Client:
    """Talks to a gateway."""

    root: str
    aws: Aws
    now: list[float]
    session: requests.Session

    def send(self, method: str, path: str, **keywords: Any) -> requests.Response:
        return self.session.request(method, f"{self.root}/prod{path}", timeout=20, **keywords)

    def alerts(self, payload: Any = None, **keywords: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {'good' * 9}", **keywords.pop("headers", {})}
        if "data" not in keywords:
            keywords["json"] = {"alerts": [{}]} if payload is None else payload
        return self.send("POST", "/alerts", headers=headers, **keywords)

    def faults(self, wanted: Any) -> requests.Response:
        return self.session.put(f"{self.root}/_sim/faults", json=wanted, timeout=20)


@pytest.fixture
def aws() -> Aws:
    reply = {"statusCode": 200, "body": "{}"}
    return Aws(
        functions={"authorize": allow, "phone_reply": lambda _: reply, "key": lambda _: reply, "name": lambda _: reply}
    )


@contextmanager
def gateway(body: dict[str, Any], aws: Aws, **stage: Any) -> Iterator[Client]:
    now = [1000.0]
    with serving(aws) as endpoint, requests.Session() as session:
        app = create_app(
            body=body, stage="prod", stage_properties=stage, aws_endpoint=endpoint, region=REGION, clock=lambda: now[0]
        )
        with serving(app) as root:
            yield Client(root, aws, now, session)


@pytest.fixture
def client(aws: Aws) -> Iterator[Client]:
    with gateway(definition(), aws) as found:
        yield found


# The AWS integration: StartExecution.


def test_an_accepted_webhook_starts_an_execution_named_for_the_request(client: Client) -> None:
    payload = {"alerts": [{"labels": {"a": "it's \"quoted\" \\' \n\u2028漢😀 $x #set($y=1)"}}]}
    response = client.alerts(payload)
    assert (response.status_code, response.json()) == (202, {"execution": response.headers["x-amzn-RequestId"]})
    assert response.headers["X-Execution"] == response.headers["x-amzn-RequestId"]
    (started,) = client.aws.started
    assert started["stateMachineArn"] == MACHINE
    assert started["name"] == response.headers["x-amzn-RequestId"]
    assert json.loads(started["input"]) == {"webhook": payload, "who": "alertmanager"}


@pytest.mark.parametrize(
    ("answer", "status", "type_"),
    [
        ((400, {"__type": "com.amazonaws.swf.service.v2.model#ExecutionLimitExceeded"}), 503, "ExecutionLimitExceeded"),
        ((400, {"__type": "com.amazon.coral.validate#ValidationException"}), 400, "ValidationException"),
        ((500, {"__type": "InternalFailure"}), 503, "theirs"),
    ],
)
def test_errors_of_step_functions_are_mapped_by_status_then_by_template(
    client: Client, answer: tuple[int, dict[str, Any]], status: int, type_: str
) -> None:
    client.aws.answer = answer
    response = client.alerts()
    assert response.status_code == status
    assert response.json()["type"].endswith(type_)
    assert response.headers.get("X-Reason", type_).endswith(type_)


def test_an_answer_that_the_template_cannot_read_is_an_internal_error_not_the_clients(client: Client) -> None:
    client.aws.raw_answer = Response("<html>", status=400)
    response = client.alerts()
    assert (response.status_code, response.json()) == (500, {"message": "Internal server error"})


def test_an_input_too_large_for_step_functions_is_refused_as_it_refuses_it(client: Client) -> None:
    response = client.alerts({"alerts": [{"text": "x" * 262_144}]})
    assert (response.status_code, response.json()["type"]) == (400, "com.amazon.coral.validate#ValidationException")
    assert client.aws.started == []


def test_a_service_that_does_not_answer_in_time_is_an_integration_timeout(client: Client, aws: Aws) -> None:
    released = threading.Event()

    def slow(_: dict[str, Any]) -> dict[str, Any]:
        released.wait(20)
        return {"statusCode": 200}

    aws.functions["name"] = slow
    response = client.send("POST", "/impatient")
    released.set()
    assert (response.status_code, response.json()) == (504, {"message": "Endpoint request timed out"})


def test_a_service_that_cannot_be_reached_is_an_integration_failure(aws: Aws) -> None:
    body = definition()
    del body["paths"]["/alerts"]["post"]["security"]
    with serving(aws) as endpoint:
        pass  # nobody listens there any more
    app = create_app(body=body, stage="prod", stage_properties={}, aws_endpoint=endpoint, region=REGION)
    with serving(app) as root:
        response = requests.post(f"{root}/prod/alerts", json={"alerts": [{}]}, timeout=20)
        assert (response.status_code, response.json()) == (
            504,
            {"message": "Network error communicating with endpoint"},
        )
        assert requests.post(f"{root}/prod/calls/key", timeout=20).status_code == 502


def test_put_metric_data_is_sent_in_the_query_protocol(client: Client) -> None:
    assert client.send("POST", "/heartbeat", json={}).status_code == 200
    assert client.aws.actions == [
        (
            "PutMetricData",
            {
                "Version": "2010-08-01",
                "Namespace": "OnCall",
                "MetricData.member.1.MetricName": "Heartbeat",
                "MetricData.member.1.Value": "1",
            },
        )
    ]


def test_the_actions_are_understood_by_moto() -> None:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        endpoint = "http://{}:{}".format(*moto.get_host_and_port())
        boto = partial(
            boto3.client,
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        states = boto("stepfunctions")
        machine = states.create_state_machine(
            name="on-call",
            definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
            roleArn="arn:aws:iam::123456789012:role/machine",
        )["stateMachineArn"]
        assert machine == MACHINE
        body = definition()
        del body["paths"]["/alerts"]["post"]["security"]
        app = create_app(body=body, stage="prod", stage_properties={}, aws_endpoint=endpoint, region=REGION)
        with serving(app) as root:
            accepted = requests.post(f"{root}/prod/alerts", json={"alerts": [{"a": "it's"}]}, timeout=20)
            assert requests.post(f"{root}/prod/heartbeat", json={}, timeout=20).status_code == 200
        execution = states.describe_execution(
            executionArn=f"{machine.replace(':stateMachine:', ':execution:')}:{accepted.json()['execution']}"
        )
        assert json.loads(execution["input"])["webhook"] == {"alerts": [{"a": "it's"}]}
        assert [m["MetricName"] for m in boto("cloudwatch").list_metrics(Namespace="OnCall")["Metrics"]] == [
            "Heartbeat"
        ]
    finally:
        moto.stop()


def test_a_mock_integration_answers_with_its_own_status(client: Client) -> None:
    response = client.send("GET", "/health")
    assert (response.status_code, response.content) == (204, b"")


def test_a_template_that_fails_is_an_internal_error_and_is_logged_without_data(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    body = definition()
    integration = body["paths"]["/alerts"]["post"]["x-amazon-apigateway-integration"]
    integration["requestTemplates"]["application/json"] = "$input.body.substring(100000)"
    with gateway(body, aws) as client:
        response = client.alerts({"alerts": [{"secret": "s3cret"}]})
    assert (response.status_code, response.json()) == (500, {"message": "Internal server error"})
    printed = capsys.readouterr().out
    assert "mapping template: line 1: substring" in printed
    assert "s3cret" not in printed


# What StartExecution checks.


def start(**changes: Any) -> str:
    request = {"stateMachineArn": MACHINE, "name": "a-name_1", "input": "{}"} | changes
    return json.dumps({name: value for name, value in request.items() if value is not None})


@pytest.mark.parametrize(
    "text",
    [start(), start(name=None), start(input=None), start(name="x" * 80), start(input='"' + "x" * 262_142 + '"')],
)
def test_start_execution_takes_what_is_right(text: str) -> None:
    check_start_execution(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("{", "SerializationException"),
        ('{"input": "it\\\'s"}', "SerializationException"),
        ("[]", "SerializationException"),
        (start(input={}), "SerializationException"),
        (start(other="x"), "SerializationException"),
        (start(stateMachineArn=None), "ValidationException"),
        (start(name=""), "ValidationException"),
        (start(name="x" * 81), "ValidationException"),
        (start(name="a b"), "InvalidName"),
        (start(name="a.b"), "InvalidName"),
        (start(name="é"), "InvalidName"),
        (start(input='"' + "x" * 262_143 + '"'), "ValidationException"),
        (start(input='"' + "é" * 131_072 + '"'), "ValidationException"),
        (start(input="{"), "InvalidExecutionInput"),
        (start(input=""), "InvalidExecutionInput"),
        (start(input="NaN"), "InvalidExecutionInput"),
    ],
)
def test_start_execution_refuses_what_step_functions_refuses(text: str, kind: str) -> None:
    with pytest.raises(StepFunctionsError) as caught:
        check_start_execution(text)
    assert caught.value.kind.endswith("#" + kind)
    assert json.loads(caught.value.body()) == {"__type": caught.value.kind, "message": str(caught.value)}


# Requests that the gateway answers itself.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/nothing"),
        ("GET", "/alerts"),
        ("POST", "/"),
        ("POST", ""),
        ("POST", "/alerts/more"),
        ("PUT", "/calls/a/b"),
    ],
)
def test_an_unknown_path_or_method_is_a_missing_authentication_token(client: Client, method: str, path: str) -> None:
    response = client.send(method, path)
    assert (response.status_code, response.json()) == (403, {"message": "Missing Authentication Token"})
    assert response.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"


def test_an_unknown_path_with_an_authorization_is_a_signature_that_cannot_be_read(client: Client) -> None:
    response = client.send("POST", "/nothing", headers={"Authorization": "Bearer token"})
    assert response.status_code == 403
    assert "not a valid key=value pair (missing equal-sign)" in response.json()["message"]
    assert response.headers["x-amzn-ErrorType"] == "IncompleteSignatureException"


def test_a_client_may_choose_the_requests_id_but_not_the_extended_one(client: Client) -> None:
    headers = {"X-Amzn-RequestId": "of the client"}
    answers = [client.send("POST", "/nothing", headers=headers).headers for _ in range(2)]
    assert [answer["x-amzn-RequestId"] for answer in answers] == ["of the client"] * 2
    assert answers[0]["x-amz-apigw-id"] != answers[1]["x-amz-apigw-id"]


def test_another_stage_is_forbidden(client: Client) -> None:
    response = client.session.post(f"{client.root}/production/alerts", timeout=20)
    assert (response.status_code, response.json()) == (403, {"message": "Forbidden"})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_content_type_without_a_template_is_unsupported(client: Client, content_type: str) -> None:
    response = client.alerts(data="{}", headers={"Content-Type": content_type})
    assert (response.status_code, response.json()) == (415, {"message": "Unsupported Media Type"})


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_json_with_parameters_in_capitals_or_undeclared_is_json(client: Client, content_type: str | None) -> None:
    response = client.alerts(data=b'{"alerts": [{}]}', headers={"Content-Type": content_type})
    assert response.status_code == 202


@pytest.mark.parametrize("data", [b"", b"{}", b'{"alerts": {}}', b"[]", b'"text"', b"null"])
def test_a_body_that_the_model_refuses_is_a_bad_request_body(client: Client, data: bytes) -> None:
    response = client.alerts(data=data, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["reason"]) == (400, "Invalid request body")
    assert response.json()["details"].startswith("[$")
    assert client.aws.started == []


def test_the_length_of_a_list_is_not_looked_at(client: Client) -> None:
    """API Gateway's known issues: minItems and maxItems are no part of its validation."""
    assert client.alerts({"alerts": []}).status_code == 202


@pytest.mark.parametrize("data", [b"{", b"not json", b"\xff\xfe", b'{"alerts": [NaN]}', b"[" * 100_000])
def test_a_body_that_is_not_json_says_so(client: Client, data: bytes) -> None:
    response = client.alerts(data=data, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["reason"].startswith("Could not parse request body into json: ")


def test_missing_parameters_are_named(client: Client) -> None:
    response = client.send("GET", "/needs")
    assert (response.status_code, response.json()) == (
        400,
        {"message": "Missing required request parameters: [q, X-Needed]"},
    )
    assert client.send("GET", "/needs?q=", headers={"X-Needed": "1"}).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_pass_and_one_byte_more_is_too_large(client: Client, chunked: bool) -> None:
    def send(size: int) -> requests.Response:
        data = b"x" * size
        return client.send("POST", "/calls/key", data=iter([data[: size // 2], data[size // 2 :]]) if chunked else data)

    assert send(MAX_BODY).status_code == 200
    response = send(MAX_BODY + 1)
    assert (response.status_code, response.json()) == (413, {"message": "Request Too Long"})
    assert len(client.aws.events["key"]) == 1


def test_headers_and_addresses_have_limits(client: Client) -> None:
    assert client.send("POST", "/calls/key", headers={"X-Long": "x" * 10_240}).status_code == 431
    assert client.send("POST", "/calls/key?" + "x" * 10_240).status_code == 414


def test_undeclared_gateway_responses_fall_back_on_the_defaults_of_their_class(aws: Aws) -> None:
    body = definition()
    body["x-amazon-apigateway-gateway-responses"] = {
        "DEFAULT_4XX": {"responseTemplates": {"application/json": '{"m": $context.error.messageString}'}},
        "DEFAULT_5XX": {
            "statusCode": 503,
            "responseParameters": {
                "gatewayresponse.header.X-Path": "context.path",
                "gatewayresponse.header.X-Sent": "method.request.header.X-Mine",
            },
        },
    }
    aws.functions["key"] = lambda _: "nonsense"
    with gateway(body, aws) as client:
        missing = client.send("GET", "/nothing")
        broken = client.send("POST", "/calls/key", headers={"X-Mine": "1"})
    assert (missing.status_code, missing.json()) == (403, {"m": "Missing Authentication Token"})
    assert (broken.status_code, broken.json()) == (503, {"message": "Internal server error"})
    assert (broken.headers["X-Path"], broken.headers["X-Sent"]) == ("/prod/calls/key", "1")


# The authorizer.


def test_the_authorizer_gets_the_token_and_the_methods_arn(client: Client) -> None:
    assert client.alerts().status_code == 202
    assert client.aws.events["authorize"] == [
        {
            "type": "TOKEN",
            "authorizationToken": f"Bearer {'good' * 9}",
            "methodArn": f"arn:aws:execute-api:{REGION}:123456789012:devstack00/prod/POST/alerts",
        }
    ]


@pytest.mark.parametrize("token", [None, "", "Basic abc", "Bearer "])
def test_a_missing_or_misshapen_token_is_unauthorized_without_asking(client: Client, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    response = client.send("POST", "/alerts", json={}, headers=headers)
    assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
    assert response.headers["x-amzn-ErrorType"] == "UnauthorizedException"
    assert "authorize" not in client.aws.events


def test_a_policy_is_kept_for_its_time_and_for_its_token(client: Client) -> None:
    for token in ("one", "two", "one"):
        client.alerts(headers={"Authorization": f"Bearer {token}"})
    assert [event["authorizationToken"] for event in client.aws.events["authorize"]] == ["Bearer one", "Bearer two"]
    client.now[0] += 59.9
    client.alerts(headers={"Authorization": "Bearer one"})
    assert len(client.aws.events["authorize"]) == 2
    client.now[0] += 0.1
    client.alerts(headers={"Authorization": "Bearer one"})
    assert len(client.aws.events["authorize"]) == 3


def test_the_function_raising_unauthorized_is_a_401_that_is_not_kept(client: Client, aws: Aws) -> None:
    aws.functions["authorize"] = failing("Exception", "Unauthorized")
    assert client.alerts().status_code == 401
    aws.functions["authorize"] = allow
    assert client.alerts().status_code == 202


def test_any_other_error_of_the_function_is_an_authorizer_failure(client: Client, aws: Aws) -> None:
    aws.functions["authorize"] = failing("KeyError", "'token'")
    response = client.alerts()
    assert (response.status_code, response.json()) == (500, {"message": None})
    assert response.headers["x-amzn-ErrorType"] == "AuthorizerFailureException"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"principalId": "p"},
        {"principalId": 1, "policyDocument": {}},
        {"principalId": "p", "policyDocument": {"Statement": []}},
        policy(),
        policy({"Effect": "Perhaps", "Action": "*", "Resource": "*"}),
        policy({"Effect": "Allow", "Action": "*"}),
        {**policy({"Effect": "Allow", "Action": "*", "Resource": "*"}), "context": {"nested": {}}},
        Response(status=404),
    ],
)
def test_a_malformed_policy_is_an_authorizer_configuration_error(client: Client, aws: Aws, answer: Any) -> None:
    aws.functions["authorize"] = lambda _: answer
    response = client.alerts()
    assert (response.status_code, response.json()) == (500, {"message": None})
    assert response.headers["x-amzn-ErrorType"] == "AuthorizerConfigurationException"


@pytest.mark.parametrize(
    ("effect", "resource", "message"),
    [
        ("Deny", "*", "User is not authorized to access this resource with an explicit deny"),
        ("Allow", "arn:aws:execute-api:*/GET/*", "User is not authorized to access this resource"),
    ],
)
def test_a_policy_that_does_not_allow_is_access_denied(
    client: Client, aws: Aws, effect: str, resource: str, message: str
) -> None:
    aws.functions["authorize"] = lambda _: policy(
        {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    )
    response = client.alerts()
    assert (response.status_code, response.json()) == (403, {"Message": message})
    assert response.headers["x-amzn-ErrorType"] == "AccessDeniedException"


ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc/prod/POST/alerts"


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([("Allow", "execute-api:Invoke", ARN)], "Allow"),
        ([("Allow", "Execute-API:*", "arn:aws:execute-api:*:*:abc/prod/*")], "Allow"),
        ([("Allow", ["x:y", "execute-api:Invoke"], ["no", "arn:aws:execute-api:*/POST/alert?"])], "Allow"),
        ([("Allow", "*", "*"), ("Deny", "*", "*/alerts")], "Deny"),
        ([("Deny", "*", "*/calls"), ("Allow", "*", "*")], "Allow"),
        ([("Allow", "execute-api:InvalidateCache", "*")], "ImplicitDeny"),
        ([("Allow", "*", ARN + "/")], "ImplicitDeny"),
    ],
)
def test_policies_are_evaluated_as_iam_does(statements: list[tuple[str, Any, Any]], decision: str) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements
        ],
    }
    assert evaluate_policy(document, ARN) == decision


# Lambda proxies.


def test_a_proxied_function_gets_the_request_in_payload_format_1(client: Client) -> None:
    response = client.send(
        "POST",
        "/calls/a%20b/c?x=1&x=2%2B3&y=a+b%26&empty=",
        data="CallSid=CA1&Digits=1&plus=%2B1+2",
        headers={"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "sig="},
    )
    assert response.status_code == 200
    (event,) = client.aws.events["phone_reply"]
    context = event.pop("requestContext")
    headers = event.pop("headers")
    assert event.pop("multiValueHeaders") == {name: [value] for name, value in headers.items()}
    assert event == {
        "resource": "/calls/{proxy+}",
        "path": "/calls/a b/c",
        "httpMethod": "POST",
        "queryStringParameters": {"x": "2+3", "y": "a b&", "empty": ""},
        "multiValueQueryStringParameters": {"x": ["1", "2+3"], "y": ["a b&"], "empty": [""]},
        "pathParameters": {"proxy": "a b/c"},
        "stageVariables": None,
        "body": "CallSid=CA1&Digits=1&plus=%2B1+2",
        "isBase64Encoded": False,
    }
    host = client.root.removeprefix("http://")
    assert headers["Host"] == host
    assert headers["X-Twilio-Signature"] == "sig="
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert not {"Content-Length", "Connection"} & headers.keys()
    assert context["domainName"] == host
    assert context["path"] == "/prod/calls/a%20b/c"
    assert (context["stage"], context["resourcePath"], context["httpMethod"]) == ("prod", "/calls/{proxy+}", "POST")
    assert context["requestId"] == response.headers["x-amzn-RequestId"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"].startswith("python-requests")
    assert isinstance(context["requestTimeEpoch"], int)
    assert "authorizer" not in context


def test_a_request_without_query_and_body_has_nulls(client: Client) -> None:
    client.send("GET", "/calls/x")
    (event,) = client.aws.events["phone_reply"]
    assert event["queryStringParameters"] is event["multiValueQueryStringParameters"] is event["body"] is None


@pytest.mark.parametrize(
    ("path", "function"),
    [("/calls/key", "key"), ("/calls/key/", "key"), ("/calls/other", "name"), ("/calls/key/more", "phone_reply")],
)
def test_fixed_segments_win_over_one_and_one_over_all(client: Client, path: str, function: str) -> None:
    assert client.send("POST", path).status_code == 200
    assert list(client.aws.events) == [function]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_any_is_every_method(client: Client, method: str) -> None:
    assert client.send(method, "/any").status_code == 200


def test_stage_variables_reach_the_function(aws: Aws) -> None:
    with gateway(definition(), aws, Variables={"name": "value"}) as client:
        client.send("POST", "/calls/key")
    assert aws.events["key"][0]["stageVariables"] == {"name": "value"}


def test_only_binary_media_types_are_base64(aws: Aws) -> None:
    body = {**definition(), "x-amazon-apigateway-binary-media-types": ["image/*"]}
    raw = bytes(range(256))
    aws.functions["key"] = lambda event: {"statusCode": 200, "body": event["body"], "isBase64Encoded": True}
    with gateway(body, aws) as client:
        sent = client.send("POST", "/calls/key", data=raw, headers={"Content-Type": "image/png", "Accept": "image/png"})
        not_accepted = client.send("POST", "/calls/key", data=raw, headers={"Content-Type": "image/png"})
        client.send("POST", "/calls/key", data="é", headers={"Content-Type": "text/plain"})
    assert sent.content == raw
    assert not_accepted.content == base64.b64encode(raw)
    assert [event["isBase64Encoded"] for event in aws.events["key"]] == [True, True, False]


def test_a_functions_answer_is_the_methods(client: Client, aws: Aws) -> None:
    aws.functions["key"] = lambda _: {
        "statusCode": 418,
        "headers": {"Content-Type": "text/xml", "X-One": "1"},
        "multiValueHeaders": {"X-Many": ["a", "b"]},
        "body": "<é/>",
    }
    response = client.send("POST", "/calls/key")
    assert (response.status_code, response.content) == (418, "<é/>".encode())
    assert (response.headers["Content-Type"], response.headers["X-One"]) == ("text/xml", "1")
    assert response.headers["X-Many"] == "a, b"


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        [],
        {},
        {"status": 200},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 99},
        {"statusCode": 200, "body": {}},
        {"statusCode": 200, "headers": {"X-A": 1}},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "multiValueHeaders": {"X-A": "a"}},
        {"statusCode": 200, "isBase64Encoded": "yes"},
        {"statusCode": 200, "cookies": []},
        {"errorType": "KeyError", "errorMessage": "x", "stackTrace": []},
        Response("{}", headers={"X-Amz-Function-Error": "Unhandled"}),
        Response(status=429),
        Response("not json"),
    ],
)
def test_a_malformed_answer_or_a_failing_function_is_a_bad_gateway(client: Client, aws: Aws, result: Any) -> None:
    aws.functions["key"] = lambda _: result
    response = client.send("POST", "/calls/key")
    assert (response.status_code, response.json()) == (502, {"message": "Internal server error"})
    assert response.headers["x-amzn-ErrorType"] == "InternalServerErrorException"


# Faults.


def test_faults_are_met_as_often_as_told(client: Client) -> None:
    fault = {"start_execution": {"type": "ThrottlingException", "status": 400, "times": 2}, "throttle": 1}
    assert client.faults(fault).json() == {**fault, "throttle": {"times": 1}}
    throttled = client.alerts()
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (503, "1")
    assert throttled.json() == {
        "message": "later",
        "reason": "Too Many Requests",
        "kind": "THROTTLED",
        "request": throttled.headers["x-amzn-RequestId"],
    }
    for _ in range(2):
        refused = client.alerts()
        assert (refused.status_code, refused.json()["type"]) == (
            503,
            "com.amazonaws.swf.service.v2.model#ThrottlingException",
        )
    assert client.alerts().status_code == 202
    assert client.session.get(f"{client.root}/_sim/faults", timeout=20).json() == {}


@pytest.mark.parametrize(("error", "status"), [("timeout", 504), ("failure", 504)])
def test_integrations_can_be_made_to_fail(client: Client, error: str, status: int) -> None:
    client.faults({"integration": {"error": error, "times": 2}})
    assert client.alerts().status_code == status
    assert client.send("POST", "/calls/key").status_code == status
    assert client.send("POST", "/calls/key").status_code == 200


def test_an_empty_object_clears_the_faults(client: Client) -> None:
    client.faults({"throttle": 100})
    assert client.faults({}).json() == {}
    assert client.alerts().status_code == 202


@pytest.mark.parametrize(
    "wanted",
    [
        [],
        {"other": 1},
        {"throttle": "x"},
        {"start_execution": {}},
        {"start_execution": {"type": "T", "status": 400, "often": 1}},
        {"integration": {"error": "x"}},
        {"integration": {"error": "timeout", "times": "2"}},
    ],
)
def test_unknown_faults_are_refused(client: Client, wanted: Any) -> None:
    assert client.faults(wanted).status_code == 400


# The log.


def test_the_access_log_tells_no_secrets(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    response = client.alerts()
    client.send("POST", "/calls/+12025550100?token=s3cret", data="Digits=9876543210")
    client.send("GET", "/s3cret-path")
    printed = capsys.readouterr().out
    assert "POST /prod/alerts 202 " in printed
    assert response.headers["x-amzn-RequestId"] in printed
    assert "POST /prod/calls/{name} 200 " in printed
    assert "GET (no such resource) 403 " in printed
    for secret in ("s3cret", "9876543210", "2025550100", "good"):
        assert secret not in printed


# Definitions.


def test_swagger_2_declares_the_same(aws: Aws) -> None:
    body = definition()
    components = body.pop("components")
    del body["openapi"]
    body |= {
        "swagger": "2.0",
        "definitions": components["schemas"],
        "securityDefinitions": components["securitySchemes"],
    }
    post = body["paths"]["/alerts"]["post"]
    del post["requestBody"]
    post["parameters"] = [{"in": "body", "name": "Webhook", "schema": {"$ref": "#/definitions/Webhook"}}]
    with gateway(body, aws) as client:
        assert client.alerts().status_code == 202
        assert client.alerts({"alerts": {}}).status_code == 400
        assert client.send("POST", "/alerts", json={}).status_code == 401


def alerts_integration(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["paths"]["/alerts"]["post"]["x-amazon-apigateway-integration"]
    return found


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda body: body.pop("openapi"), "neither swagger"),
        (lambda body: body.update(paths={}), "no methods"),
        (lambda body: alerts_integration(body).update(credentials={"Ref": "Role"}), "Ref is not resolved"),
        (lambda body: alerts_integration(body).update(type="http"), "type http"),
        (
            lambda body: alerts_integration(body).update(uri=f"arn:aws:apigateway:{REGION}:sqs:action/Send"),
            "are served",
        ),
        (lambda body: alerts_integration(body).pop("credentials"), "credentials"),
        (lambda body: alerts_integration(body).update(httpMethod="GET"), "httpMethod is POST"),
        (lambda body: alerts_integration(body).update(timeoutInMillis=30000), "29,000"),
        (lambda body: alerts_integration(body)["responses"]["default"].update(statusCode="201"), "no response 201"),
        (
            lambda body: alerts_integration(body)["responses"]["default"].update(
                responseParameters={"method.response.header.X-Other": "'1'"}
            ),
            "declares no header",
        ),
        (lambda body: alerts_integration(body).update(requestTemplates={"a/b": "#if(1)"}), "mapping template for a/b"),
        (lambda body: body["paths"]["/alerts"]["post"].update(security=[{"Other": []}]), "one defined authorizer"),
        (
            lambda body: body["paths"]["/alerts"]["post"].update({"x-amazon-apigateway-request-validator": "other"}),
            "no request validator",
        ),
        (lambda body: body["x-amazon-apigateway-gateway-responses"].update(NOT_FOUND={}), "no such type"),
        (lambda body: body["components"]["schemas"]["Webhook"].update(type="list"), "no schema"),
        (lambda body: body["paths"]["/any"].update(get={"responses": {}}), "no integration"),
    ],
)
def test_a_definition_that_cannot_be_imported_is_refused(spoil: Callable[[dict[str, Any]], Any], message: str) -> None:
    body = definition()
    spoil(body)
    with pytest.raises(DefinitionError, match=message):
        create_app(body=body, stage="prod", stage_properties={}, aws_endpoint="http://127.0.0.1:1", region=REGION)


# The program.


def test_the_program_serves_a_definition_file_until_it_is_told_to_end(tmp_path: Path, aws: Aws) -> None:
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps({"body": definition(), "stage": "prod", "stage_properties": {"StageName": "prod"}}))
    with serving(aws) as endpoint:
        command = [sys.executable, "-m", "devstack.aws.gateway", "--definition", str(file)]
        command += ["--aws-endpoint", endpoint, "--region", REGION]
        # Our own program.
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TEMPLATE.parent) as process:  # noqa: S603
            try:
                assert process.stdout
                root = process.stdout.readline().removeprefix("listening on ").strip()
                response = requests.post(f"{root}/prod/calls/key", timeout=20)
                log = process.stdout.readline()
            finally:
                process.terminate()
    assert response.status_code == 200
    assert re.fullmatch(r"POST /prod/calls/key 200 \d+ms [0-9a-f-]{36}\n", log)
    assert process.returncode == 0


# The project's own API.


@cache
# Throttles and the access log.


def settings(path: str, rate: float, burst: int, http_method: str = "POST") -> dict[str, Any]:
    limits = {"ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}
    return {"HttpMethod": http_method, "ResourcePath": path, **limits}


def statuses(client: Client, path: str, count: int) -> list[int]:
    return [client.send("POST", path).status_code for _ in range(count)]


def test_a_method_takes_its_burst_and_then_its_rate(aws: Aws) -> None:
    with gateway(definition(), aws, MethodSettings=[settings("/~1calls~1key", 2, 3)]) as client:
        assert statuses(client, "/calls/key", 5) == [200, 200, 200, 503, 503]
        client.now[0] += 0.5
        assert statuses(client, "/calls/key", 2) == [200, 503]
        client.now[0] += 3600
        assert statuses(client, "/calls/key", 4) == [200, 200, 200, 503], "it holds its burst, however long it rests"
        assert len(aws.events["key"]) == 7, "what is throttled runs nothing"


def test_each_method_has_its_own_bucket_also_of_the_stages_setting(aws: Aws) -> None:
    of_all = {"HttpMethod": "*", "ResourcePath": "/*", "ThrottlingRateLimit": 1, "ThrottlingBurstLimit": 1}
    own = settings("/~1calls~1key", 1, 2)
    with gateway(definition(), aws, MethodSettings=[of_all, own]) as client:
        assert statuses(client, "/calls/key", 3) == [200, 200, 503]
        assert statuses(client, "/calls/other", 2) == [200, 503]
        assert [client.send("GET", "/health").status_code for _ in range(2)] == [204, 503]


def test_what_the_authorizer_would_refuse_takes_room_and_asks_nobody(aws: Aws) -> None:
    with gateway(definition(), aws, MethodSettings=[settings("/~1alerts", 1, 1)]) as client:
        headers = {"Authorization": "none"}
        assert [client.alerts(headers=headers).status_code for _ in range(2)] == [401, 503]
        assert "authorize" not in aws.events


def test_a_path_that_cloudformation_does_not_take_is_refused(aws: Aws) -> None:
    with pytest.raises(ThrottleError, match="~1"), gateway(definition(), aws, MethodSettings=[settings("/a/b", 1, 1)]):
        pass


def test_the_access_log_has_what_its_format_names_and_no_more(aws: Aws) -> None:
    told: list[tuple[str, Any]] = []

    def keep(environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        request = Request(environ)
        if request.path.startswith("/_sim/"):
            told.append((request.path, request.get_json(force=True)))
            return Response("{}")(environ, start_response)
        return aws(environ, start_response)

    form = (
        '{"resource": "$context.resourcePath", "status": "$context.status", "refused": "$context.error.responseType",'
    )
    form += ' "client": "$context.authorizer.principalId"}'
    log = {"DestinationArn": f"arn:aws:logs:{REGION}:123456789012:log-group:access:*", "Format": form}
    with serving(keep) as endpoint:
        app = create_app(
            body=definition(),
            stage="prod",
            stage_properties={"AccessLogSetting": log},
            aws_endpoint=endpoint,
            region=REGION,
            name="api",
        )
        with serving(app) as root, requests.Session() as session:
            client = Client(root, aws, [0.0], session)
            client.alerts(data=b"[]", headers={"Content-Type": "application/json"})
            client.send("POST", "/alerts?token=secret", json={})
            client.send("POST", "/calls/key?token=secret")
            deadline = time.monotonic() + 10
            lines: list[str] = []
            while len(lines) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
                lines = [line for path, body in told if path == "/_sim/log" for line in body["lines"]]
    assert [json.loads(line) for line in lines] == [
        {"resource": "/alerts", "status": "400", "refused": "BAD_REQUEST_BODY", "client": "alertmanager"},
        {"resource": "/alerts", "status": "401", "refused": "UNAUTHORIZED", "client": "-"},
        {"resource": "/calls/key", "status": "200", "refused": "-", "client": "-"},
    ]
    assert {body["group"] for path, body in told if path == "/_sim/log"} == {"access"}
    counted = [point for path, body in told if path == "/_sim/points" for point in body]
    assert sum(point["value"] for point in counted if "Resource" not in point["dimensions"]) == 2


def own_api() -> dict[str, Any]:
    """The body of template.yaml's REST API, translated, with every intrinsic resolved."""
    source = template.parse(TEMPLATE.read_text())
    given = {"SlackChannel": "C0123456789", "CallerNumber": "+12025550199"}
    parameters = template.parameter_values(source, given, {})
    # A folder of code is uploaded, and its address put here, by whoever deploys.
    text = json.dumps(source).replace('"functions/"', '"s3://bucket/key"')
    text = text.replace('"statemachine/on_call.asl.json"', '"s3://bucket/key"')
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", REGION)  # SAM asks for it
        translated = template.translate(json.loads(text), parameters, REGION)
    resources = translated["Resources"]
    arns = {"AWS::Lambda::Function": "lambda:%s:123456789012:function:", "AWS::IAM::Role": "iam:%s:123456789012:role/"}

    def attribute(name: str, _: str) -> str:
        return f"arn:aws:{arns.get(resources[name]['Type'], 'other:%s:123456789012:') % REGION}{name}"

    pseudo = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": "123456789012",
        "AWS::StackName": "test",
    }
    refs = {**pseudo, **parameters, **{name: MACHINE if name == "StateMachine" else name for name in resources}}
    scope = template.Scope(refs, attribute, condition_definitions=translated.get("Conditions", {}))
    (api,) = [resource for resource in resources.values() if resource["Type"] == "AWS::ApiGateway::RestApi"]
    body: dict[str, Any] = scope.resolve(api["Properties"]["Body"])
    return body


@pytest.fixture
def own(aws: Aws) -> Iterator[Client]:
    aws.functions = {"AuthorizeFunction": allow}
    with gateway(own_api(), aws) as found:
        yield found


LABEL = "it's \"quoted\" \\' \\\\\n\t\x01\u2028\x7f é漢字😀 $x ${x} $!x #set($y=1) #end *# ## </script>"


def webhook(alerts: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {"version": "4", "groupKey": '{}:{alertname="URL Alert"}', "status": "firing", "alerts": alerts} | changes


def alert(*, labels: Any = None, **others: Any) -> dict[str, Any]:
    return {"status": "firing", "labels": {"alertname": "URL Alert"} if labels is None else labels} | others


@pytest.mark.parametrize(
    "make",
    [
        lambda: webhook(
            [alert(labels={LABEL: LABEL})], groupKey=LABEL, commonLabels={LABEL: LABEL}, newField=[1, None, 2.5]
        ),
        lambda: webhook([alert(annotations=LABEL, startsAt=None)], commonLabels=None),
        lambda: webhook([alert()] * 300),
        lambda: webhook([alert(labels={"a": "漢" * 70_000})]),
    ],
)
def test_a_webhook_that_fits_is_handed_on_as_it_is(own: Client, make: Callable[[], Any]) -> None:
    payload = make()
    response = own.alerts(payload)
    (started,) = own.aws.started
    assert (response.status_code, response.json()) == (202, {"execution": started["name"]})
    assert json.loads(started["input"])["webhook"] == payload


def test_two_webhooks_start_two_executions_also_when_somebody_between_gives_them_one_id(own: Client) -> None:
    headers = {"X-Amzn-RequestId": "the proxy's"}
    answers = [own.alerts(webhook([alert()]), headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    names = [answer.json()["execution"] for answer in answers]
    assert names == [started["name"] for started in own.aws.started]
    assert names[0] != names[1]


def test_a_webhook_without_alerts_is_refused_and_says_so(own: Client) -> None:
    response = own.alerts(webhook([]))
    assert response.status_code == 400
    assert "The webhook has no alerts" in response.json()["message"]
    assert own.aws.started == []


@pytest.mark.parametrize("path", ["/alert", "/prod/alerts", "/v1/alerts"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer secret-token"}], ids=["no header", "a bearer"])
def test_a_wrong_path_says_the_right_one_with_a_bearer_header_too(
    own: Client, path: str, headers: dict[str, str]
) -> None:
    response = own.send("POST", path, headers=headers)
    assert response.status_code == 404
    assert "Alertmanager posts to /{stage}/alerts" in response.json()["message"]
    assert "secret-token" not in response.text


@pytest.mark.parametrize(
    "make",
    [
        lambda: webhook([alert(labels={"a": "x" * 1_000_000})]),
        lambda: webhook(
            [alert(labels={"alertname": "a", "n": str(n)}, annotations={"s": LABEL}) for n in range(10_000)]
        ),
        lambda: webhook(
            [alert(labels={f"{LABEL}{n}": LABEL for n in range(2_000)})], commonLabels={LABEL * 9: LABEL * 99}
        ),
        lambda: webhook([alert(labels={"a": "😀" * 100_000, "b": "a" + "😀" * 100_000})], groupKey="😀" * 100_000),
        lambda: webhook([alert(labels={"a": "\x01" * 20_000}, annotations={"a": "\x02" * 300}) for _ in range(12)]),
        lambda: webhook(
            [alert(annotations="x" * 100_000), alert(annotations=[1]), alert(annotations=None)], commonLabels=[]
        ),
        lambda: webhook([alert(generatorURL="http://example.com/" + "x" * 90_000, fingerprint={"a": 1})]),
    ],
)
def test_an_oversized_webhook_is_cut_to_fit_and_says_so(own: Client, make: Callable[[], Any]) -> None:
    payload = make()
    response = own.alerts(payload)
    assert response.status_code == 202
    given = json.loads(own.aws.started[0]["input"])
    assert given["cut"]["alerts"] == len(payload["alerts"])
    assert given["webhook"]["status"] == "firing"
    assert 1 <= len(given["webhook"]["alerts"]) <= 10


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"__type": "com.amazonaws.swf.service.v2.model#ThrottlingException"}, 503),
        ({"__type": "com.amazonaws.swf.service.v2.model#ExecutionLimitExceeded"}, 503),
        ({"__type": "com.amazonaws.swf.service.v2.model#StateMachineDoesNotExist"}, 503),
        ({"__type": "com.amazon.coral.service#AccessDeniedException"}, 503),
        ({"message": "no type"}, 503),
        ({"__type": "com.amazonaws.swf.service.v2.model#ExecutionAlreadyExists"}, 202),
        ({"__type": "com.amazonaws.swf.service.v2.model#InvalidExecutionInput"}, 400),
        ({"__type": "com.amazon.coral.service#SerializationException"}, 400),
    ],
)
def test_what_may_pass_is_a_503_and_what_can_never_work_a_400(own: Client, answer: dict[str, str], status: int) -> None:
    own.aws.answer = (400, answer)
    response = own.alerts(webhook([alert()]))
    assert response.status_code == status
    assert response.json()["execution" if status == 202 else "message"]


def test_our_own_faults_are_a_503_with_retry_after_and_never_a_429(own: Client) -> None:
    own.aws.answer = (500, {})
    assert own.alerts(webhook([alert()])).status_code == 503
    for fault in ({"throttle": 1}, {"integration": {"error": "timeout"}}, {"integration": {"error": "failure"}}):
        own.faults(fault)
        response = own.alerts(webhook([alert()]))
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json()["message"]
    own.aws.functions["AuthorizeFunction"] = failing("Exception", "SSM is away")
    response = own.alerts(webhook([alert()]), headers={"Authorization": f"Bearer {'other' * 9}"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_what_can_never_work_says_why(own: Client) -> None:
    def deny(_: dict[str, Any]) -> dict[str, Any]:
        return policy({"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": "*"})

    json_type = {"Content-Type": "application/json"}
    answers = [
        (401, own.send("POST", "/alerts", json={})),
        (400, own.alerts(data=b"", headers=json_type)),
        (400, own.alerts(data=b"not json", headers=json_type)),
        (400, own.alerts([])),
        (400, own.alerts(webhook([]))),
        (400, own.alerts(webhook([alert()], status="other"))),
        (400, own.alerts(webhook([alert()], groupKey=""))),
        (415, own.alerts(data=b"{}", headers={"Content-Type": "text/plain"})),
        (413, own.alerts(data=b"x" * (MAX_BODY + 1), headers=json_type)),
        (404, own.send("GET", "/alerts")),
        (404, own.send("POST", "/alert")),
    ]
    own.aws.functions["AuthorizeFunction"] = deny
    answers.append((403, own.alerts(webhook([alert()]), headers={"Authorization": f"Bearer {'wrong' * 9}"})))
    assert [response.status_code for _, response in answers] == [status for status, _ in answers]
    for _, response in answers:
        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["message"]
        assert response.json()["request"] == response.headers["x-amzn-RequestId"]
    assert answers[0][1].headers["WWW-Authenticate"] == "Bearer"
    assert own.aws.started == []
