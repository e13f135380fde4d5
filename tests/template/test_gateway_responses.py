"""What the gateway answers by itself, and what it makes of Step Functions' answers: Alertmanager retries 5xx and nothing else."""

import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs

import pytest

from devstack.aws.gateway_definition import GATEWAY_RESPONSES
from devstack.aws.mapping_templates import Template

# What may pass, or what only the one who runs the stack can fix: until then Alertmanager keeps its groups.
PASSING = {
    *("THROTTLED", "QUOTA_EXCEEDED", "INTEGRATION_FAILURE", "INTEGRATION_TIMEOUT", "AUTHORIZER_FAILURE"),
    *("AUTHORIZER_CONFIGURATION_ERROR", "API_CONFIGURATION_ERROR", "DEFAULT_5XX", "WAF_FILTERED"),
}
NEVER = {
    "UNAUTHORIZED": 401,
    "ACCESS_DENIED": 403,
    "BAD_REQUEST_BODY": 400,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "REQUEST_TOO_LARGE": 413,
    "INVALID_SIGNATURE": 404,
    "MISSING_AUTHENTICATION_TOKEN": 404,
}
CONTEXT = {
    "requestId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "extendedRequestId": "JKJa+mPL/HcESHA=",
    "responseOverride": {"header": {}},
}
EXECUTION = "webhook-JKJa-mPL-HcESHA-"


@pytest.fixture(scope="module")
def responses(body: Any) -> dict[str, Any]:
    """The gateway responses."""
    found: dict[str, Any] = body["x-amazon-apigateway-gateway-responses"]
    return found


@pytest.fixture(scope="module")
def integration(body: Any) -> Any:
    """The integration of /alerts."""
    return body["paths"]["/alerts"]["post"]["x-amazon-apigateway-integration"]


def test_every_type_of_response_is_one_or_the_other(responses: dict[str, Any]) -> None:
    assert responses.keys() == PASSING | NEVER.keys()
    # What is left to API Gateway's defaults can not pass, and is none of ours: signatures, API keys, parameters.
    left = {kind: status for kind, status in GATEWAY_RESPONSES.items() if kind not in responses}
    assert all(status is None or status in {400, 403, 404} for status in left.values()), left


@pytest.mark.parametrize("kind", sorted(PASSING))
def test_what_may_pass_is_a_503(responses: dict[str, Any], kind: str) -> None:
    assert int(responses[kind]["statusCode"]) == 503
    assert responses[kind]["responseParameters"]["gatewayresponse.header.Retry-After"] == "'1'"


@pytest.mark.parametrize("kind", sorted(NEVER))
def test_what_can_never_work_is_a_4xx_that_says_why(responses: dict[str, Any], kind: str) -> None:
    assert int(responses[kind]["statusCode"]) == NEVER[kind]
    assert len(said(responses[kind])["message"]) > 50


def said(response: Any) -> dict[str, str]:
    """A gateway response's body: variables are put in, and nothing else is done."""
    (text,) = response["responseTemplates"].values()
    text = text.replace("$context.error.messageString", json.dumps('a "reason"')).replace("$context.requestId", "id")
    assert "$" not in text
    read: dict[str, str] = json.loads(text)
    return read


def test_every_response_is_json_with_the_requests_id(responses: dict[str, Any]) -> None:
    for kind, response in responses.items():
        assert response["responseTemplates"].keys() == {"application/json"}, kind
        assert said(response)["request"] == "id", kind


def test_a_wrong_path_is_told_without_the_header_that_came_with_it(responses: dict[str, Any]) -> None:
    """API Gateway's own message about the header Authorization repeats it."""
    (text,) = responses["INVALID_SIGNATURE"]["responseTemplates"].values()
    assert "error" not in text
    assert responses["INVALID_SIGNATURE"] == responses["MISSING_AUTHENTICATION_TOKEN"]


def test_the_model_asks_for_nothing_that_api_gateway_does_not_look_at(body: Any) -> None:
    assert "Items" not in json.dumps(body["components"]["schemas"])


def test_nothing_of_ours_answers_429_or_a_false_2xx(responses: dict[str, Any], integration: Any) -> None:
    statuses = [int(each["statusCode"]) for each in (*responses.values(), *integration["responses"].values())]
    assert not [status for status in statuses if status == 429 or status < 202 or 203 <= status < 400]


# Step Functions.


def answer(integration: Any, status: int, text: str) -> tuple[int, dict[str, str]]:
    """What becomes of an answer of Step Functions."""
    patterns = [name for name in integration["responses"] if name != "default" and re.fullmatch(name, str(status))]
    (chosen,) = patterns or ["default"]
    response = integration["responses"][chosen]
    (template,) = response["responseTemplates"].values()
    rendering = Template(template).render(body=text, context=CONTEXT)
    override = rendering.context["responseOverride"].get("status")
    return int(override or response["statusCode"]), json.loads(rendering.text)


def test_a_started_execution_is_named_in_a_202(integration: Any) -> None:
    started = {"executionArn": "arn:aws:states:us-east-1:123456789012:execution:on-call:x", "startDate": 1.78e9}
    assert answer(integration, 200, json.dumps(started)) == (202, {"execution": EXECUTION})


# StartExecution and its common errors, in AWS Step Functions' API reference.
ERRORS = {
    "ExecutionAlreadyExists": 202,
    "InvalidExecutionInput": 400,
    "InvalidName": 400,
    "ValidationException": 400,
    "SerializationException": 400,
    "ExecutionLimitExceeded": 503,
    "InvalidArn": 503,
    "KmsAccessDeniedException": 503,
    "KmsInvalidStateException": 503,
    "KmsThrottlingException": 503,
    "StateMachineDeleting": 503,
    "StateMachineDoesNotExist": 503,
    "AccessDeniedException": 503,
    "ExpiredTokenException": 503,
    "IncompleteSignature": 503,
    "InternalFailure": 503,
    "NotAuthorized": 503,
    "OptInRequired": 503,
    "RequestExpired": 503,
    "ServiceUnavailable": 503,
    "ThrottlingException": 503,
    "UnrecognizedClientException": 503,
    "SomethingNew": 503,
}


def test_a_name_that_was_refused_is_a_webhook_without_alerts(integration: Any) -> None:
    status, said = answer(integration, 400, json.dumps({"__type": "com.amazonaws.swf.service.v2.model#InvalidName"}))
    assert (status, said["message"].split(":")[0]) == (400, "The webhook has no alerts")


@pytest.mark.parametrize("prefix", ["", "com.amazonaws.swf.service.v2.model#", "com.amazon.coral.service#"])
@pytest.mark.parametrize("kind", ERRORS)
def test_each_refusal_of_step_functions_has_its_status(integration: Any, kind: str, prefix: str) -> None:
    status, said = answer(integration, 400, json.dumps({"__type": prefix + kind, "message": "m"}))
    assert status == ERRORS[kind]
    if status == 202:
        assert said == {"execution": EXECUTION}
    else:
        assert said["message"]
        assert said["reason"] == prefix + kind
        assert said["request"] == CONTEXT["requestId"]


@pytest.mark.parametrize("kind", ["it's", 'a "quote"', "back\\slash", "line\nbreak", "$x #end", "漢😀"])
def test_any_type_is_told_in_valid_json(integration: Any, kind: str) -> None:
    status, said = answer(integration, 400, json.dumps({"__type": kind}))
    assert (status, said["reason"]) == (503, kind)


@pytest.mark.parametrize("text", ["{}", "", '{"__type": null}', '{"message": "no type"}'])
def test_a_refusal_without_a_type_may_pass(integration: Any, text: str) -> None:
    status, said = answer(integration, 400, text)
    assert status == 503
    assert said["message"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_what_step_functions_could_not_do_may_pass(integration: Any, status: int) -> None:
    told, said = answer(integration, status, "<html>not JSON</html>")
    assert told == 503
    assert said["message"]


def test_statuses_that_are_answered_are_declared(body: Any, integration: Any) -> None:
    declared = body["paths"]["/alerts"]["post"]["responses"].keys()
    assert {"202", "400", "503"} == declared
    assert {each["statusCode"] for each in integration["responses"].values()} <= declared


def test_only_what_alertmanager_posts_has_a_bearer_token_and_only_alerts_a_body_that_is_checked(body: Any) -> None:
    """Twilio and Slack sign what they send, other senders and a calendar's address have keys; the functions check that."""
    for path, methods in body["paths"].items():
        by_get = {"get"} if path == "/schedule.ics" or path.startswith("/heartbeats/") else set()
        assert methods.keys() == by_get | ({"post"} if path != "/schedule.ics" else set()), path
        tokens: dict[str, Any] = {"/alerts": [{"BearerToken": []}], "/events/{source}": [{"BearerToken": []}]}
        tokens["/heartbeat"] = [{"HeartbeatToken": []}]
        for declared in methods.values():
            assert declared.get("security", []) == tokens.get(path, []), path
            assert ("x-amazon-apigateway-request-validator" in declared) == (path == "/alerts"), path
    alerts = body["paths"]["/alerts"]["post"]
    validator = body["x-amazon-apigateway-request-validators"][alerts["x-amazon-apigateway-request-validator"]]
    assert validator["validateRequestBody"] is True
    schemes = body["components"]["securitySchemes"]
    assert schemes.keys() == {"BearerToken", "HeartbeatToken"}, (
        "what is answered for a token is kept for each of them apart"
    )
    for scheme in schemes.values():
        authorizer = scheme["x-amazon-apigateway-authorizer"]
        assert authorizer["authorizerResultTtlInSeconds"] == 300
        expression = re.compile(authorizer["identityValidationExpression"])
        # What oncall init makes, what the devstack makes, and what somebody may have put there by hand.
        for token in (
            secrets.token_hex(32),
            secrets.token_urlsafe(32),
            secrets.token_hex(16),
            "a.b_c~d+e/f-" * 3 + "==",
        ):
            assert expression.fullmatch(f"Bearer {token}"), token
            assert expression.fullmatch(f"bearer  {token} "), token
        for header in (
            "",
            "Bearer ",
            "Bearer " + "x" * 31,
            "Basic " + "x" * 43,
            "x" * 43,
            "Bearer " + "x" * 20 + " " + "x" * 23,
        ):
            assert not expression.fullmatch(header), header


# Throttles.


@pytest.fixture(scope="module")
def stage(translated: Any) -> Any:
    """The stage's properties."""
    (found,) = [each for each in translated["Resources"].values() if each["Type"] == "AWS::ApiGateway::Stage"]
    return found["Properties"]


def limits(stage: Any) -> dict[tuple[str, str], tuple[int, int]]:
    """By method and path, rate and burst."""
    return {
        (each["HttpMethod"].lower(), each["ResourcePath"][1:].replace("~1", "/")): (
            each["ThrottlingRateLimit"],
            each["ThrottlingBurstLimit"],
        )
        for each in stage["MethodSettings"]
    }


def test_every_route_has_a_throttle_of_its_own(body: Any, stage: Any) -> None:
    routes = {(method, path) for path, methods in body["paths"].items() for method in methods}
    assert limits(stage).keys() == routes | {("*", "*")}
    assert not any(each["MetricsEnabled"] for each in stage["MethodSettings"]), "1.50 USD a month for each route in use"


def test_a_flood_on_one_route_starves_no_other(stage: Any) -> None:
    """API Gateway's quotas: an account's APIs share 10,000 requests a second, in newer regions 2,500 with a burst of 1,250."""
    rates = {route: rate for route, (rate, _) in limits(stage).items() if route != ("*", "*")}
    assert sum(rates.values()) < 2_500
    wake = [rates.pop(("post", path)) for path in ("/alerts", "/calls/key")]
    assert min(wake) > max(rates.values())


def test_the_access_log_has_nothing_that_opens_a_door_or_that_a_client_chooses(stage: Any) -> None:
    form = stage["AccessLogSetting"]["Format"]["Fn::Sub"]
    assert set(re.findall(r"\$context\.([\w.]+)", form)) == {
        *("requestTime", "extendedRequestId", "identity.sourceIp", "httpMethod", "resourcePath", "status"),
        *("error.responseType", "authorizer.principalId", "responseLatency"),
    }
    assert json.loads(form)["client"] == "$context.authorizer.principalId", "which the metric filter reads"


# The heartbeat.


@pytest.fixture(scope="module")
def heartbeat(body: Any) -> Any:
    """The integration of /heartbeat."""
    return body["paths"]["/heartbeat"]["post"]["x-amazon-apigateway-integration"]


@pytest.mark.parametrize("posted", ["{}", "", "not JSON", '{"alerts": [' + "1," * 10_000 + "1]}"])
def test_a_heartbeat_is_a_point_of_a_metric_whatever_its_body_says(heartbeat: Any, posted: str) -> None:
    (template,) = heartbeat["requestTemplates"].values()
    form = parse_qs(Template(template).render(body=posted, context=CONTEXT).text, strict_parsing=True)
    assert form == {
        "Action": ["PutMetricData"],
        "Version": ["2010-08-01"],
        "Namespace": ["OnCall"],
        "MetricData.member.1.MetricName": ["Heartbeats"],
        "MetricData.member.1.Value": ["1"],
        "MetricData.member.1.Unit": ["Count"],
        "MetricData.member.1.Dimensions.member.1.Name": ["service"],
        "MetricData.member.1.Dimensions.member.1.Value": ["oncall"],
    }
    assert heartbeat["requestParameters"] == {
        "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"
    }


@pytest.mark.parametrize(("status", "told"), [(200, 202), (400, 503), (403, 503), (500, 503), (503, 503)])
def test_a_heartbeat_that_was_not_counted_is_sent_again(heartbeat: Any, status: int, told: int) -> None:
    assert answer(heartbeat, status, "<ErrorResponse/>")[0] == told
