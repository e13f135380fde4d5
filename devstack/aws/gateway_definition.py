"""Reads the OpenAPI body of a REST API (2.0 or 3.0.1, with Amazon API Gateway's extensions) as its import does.

What API Gateway's import or deployment refuses, and what this stand-in does not serve, raises DefinitionError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema

from devstack.aws.mapping_templates import Template, TemplateError

METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
ANY = "x-amazon-apigateway-any-method"

# Types of gateway responses with their default status; None: that of the failure itself.
GATEWAY_RESPONSES: Mapping[str, int | None] = {
    "ACCESS_DENIED": 403,
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}

_FUNCTION_URI = re.compile(
    r"arn:[\w-]+:apigateway:[\w-]+:lambda:path/2015-03-31/functions/"
    r"arn:[\w-]+:lambda:[\w-]+:(?P<account>\d{12}):function:(?P<name>[\w-]+)(?::[\w$-]+)?/invocations"
)
_ACTION_URI = re.compile(r"arn:[\w-]+:apigateway:[\w-]+:(?P<service>[a-z]+):action/(?P<action>\w+)")
_ACTIONS = {("states", "StartExecution"), ("monitoring", "PutMetricData")}
_SOURCE = re.compile(
    r"'[^']*'|(?:method\.request\.(?:header|querystring|path)|context|stageVariables)\.[\w.$-]+"
    r"|integration\.response\.header\.[\w.$-]+"
)


# "maxItems and minItems tags aren't included in simple request validation": API Gateway's known issues.
_Validator: type[jsonschema.Draft4Validator] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # jsonschema's
    jsonschema.Draft4Validator, {"minItems": None, "maxItems": None}
)


class DefinitionError(Exception):
    """The API's definition is wrong or beyond this stand-in. The message says where."""


@dataclass(frozen=True)
class GatewayResponse:
    """What a failure of a type answers with. `status` None keeps the failure's own."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # name: 'static' | method.request... | context...
    templates: Mapping[str, str] = field(default_factory=dict)  # media type: text with $context.* to substitute


@dataclass(frozen=True)
class Authorizer:
    """A TOKEN Lambda authorizer."""

    name: str
    function: str
    header: str
    expression: str | None  # what the token has to match, a regular expression
    ttl: int  # seconds a result is kept


@dataclass(frozen=True)
class IntegrationResponse:
    """How an integration's answer becomes the method's."""

    pattern: str | None  # matches the answer's status; None: the default
    status: int
    headers: Mapping[str, str]
    templates: Mapping[str, Template]


@dataclass(frozen=True)
class Integration:
    """What stands behind a method. `kind` is aws_proxy, aws or mock."""

    kind: str
    function: str  # aws_proxy: the function's name
    action: tuple[str, str]  # aws: service and action
    role: str  # aws: name of the role that the service is called with
    timeout: float  # seconds
    passthrough: str  # never, when_no_match, when_no_templates
    headers: Mapping[str, str]
    querystring: Mapping[str, str]
    templates: Mapping[str, Template]
    responses: tuple[IntegrationResponse, ...]


@dataclass(frozen=True)
class Method:
    """One method of one resource."""

    resource: str
    http_method: str  # or ANY
    authorizer: Authorizer | None
    required: tuple[tuple[str, str], ...]  # (header | querystring | path, name) checked by the validator
    models: Mapping[str, jsonschema.Draft4Validator]  # by media type; empty when the body is not validated
    integration: Integration


@dataclass(frozen=True)
class Definition:
    """A REST API."""

    methods: tuple[Method, ...]
    gateway_responses: Mapping[str, GatewayResponse]
    binary_media_types: frozenset[str]
    account: str  # of the functions; 12 digits


def read_definition(body: Mapping[str, Any]) -> Definition:
    """Raises DefinitionError."""
    return _Reader(body).read()


def _unresolved(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" or key.startswith("Fn::"):
                yield f"{where}: {key} is not resolved"
            yield from _unresolved(item, f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unresolved(item, f"{where}/{index}")


class _Reader:
    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self.accounts: set[str] = set()
        version = str(body.get("swagger") or body.get("openapi") or "")
        if version != "2.0" and not version.startswith("3.0"):
            raise DefinitionError("the body is neither swagger 2.0 nor openapi 3.0")
        for problem in _unresolved(body, ""):
            raise DefinitionError(problem)
        self.components: Mapping[str, Any] = body.get("components", {})
        self.validators: Mapping[str, Any] = body.get("x-amazon-apigateway-request-validators", {})

    def read(self) -> Definition:
        authorizers = self.authorizers()
        methods = tuple(
            self.method(path, name, item, operation, authorizers)
            for path, item in self.body.get("paths", {}).items()
            for name, operation in item.items()
            if name in METHODS or name == ANY
        )
        if not methods:
            raise DefinitionError("the API has no methods")
        if len(self.accounts) > 1:
            raise DefinitionError("the functions are in more than one account")
        return Definition(
            methods=methods,
            gateway_responses=self.gateway_responses(),
            binary_media_types=frozenset(self.body.get("x-amazon-apigateway-binary-media-types", [])),
            account=next(iter(self.accounts), "123456789012"),
        )

    def function(self, uri: Any, where: str) -> str:
        match = _FUNCTION_URI.fullmatch(str(uri))
        if match is None:
            raise DefinitionError(f"{where}: the URI names no Lambda function's invocations")
        self.accounts.add(match["account"])
        return match["name"]

    def authorizers(self) -> dict[str, Authorizer]:
        found: dict[str, Authorizer] = {}
        schemes = self.body.get("securityDefinitions") or self.components.get("securitySchemes") or {}
        for name, scheme in schemes.items():
            extension = scheme.get("x-amazon-apigateway-authorizer")
            where = f"authorizer {name}"
            if extension is None or str(extension.get("type", "")).lower() != "token":
                raise DefinitionError(f"{where}: only TOKEN authorizers are served here")
            if scheme.get("type") != "apiKey" or scheme.get("in") != "header" or not scheme.get("name"):
                raise DefinitionError(f"{where}: a TOKEN authorizer is an apiKey in a header")
            ttl = int(extension.get("authorizerResultTtlInSeconds", 300))
            if not 0 <= ttl <= 3600:
                raise DefinitionError(f"{where}: a result is kept for 0 to 3,600 seconds")
            found[name] = Authorizer(
                name=name,
                function=self.function(extension.get("authorizerUri"), where),
                header=scheme["name"],
                expression=extension.get("identityValidationExpression") or None,
                ttl=ttl,
            )
        return found

    def gateway_responses(self) -> dict[str, GatewayResponse]:
        found: dict[str, GatewayResponse] = {}
        for kind, response in self.body.get("x-amazon-apigateway-gateway-responses", {}).items():
            where = f"gateway response {kind}"
            if kind not in GATEWAY_RESPONSES:
                raise DefinitionError(f"{where}: there is no such type")
            headers: dict[str, str] = {}
            for target, source in response.get("responseParameters", {}).items():
                prefix, _, header = target.partition("gatewayresponse.header.")
                if prefix or not header or not _SOURCE.fullmatch(source) or source.startswith("integration."):
                    raise DefinitionError(f"{where}: {target} cannot be mapped from {source}")
                headers[header] = source
            status = response.get("statusCode")
            found[kind] = GatewayResponse(
                status=None if status is None else int(status),
                headers=headers,
                templates=response.get("responseTemplates", {}),
            )
        return found

    # Methods.

    def method(
        self,
        path: str,
        name: str,
        item: Mapping[str, Any],
        operation: Mapping[str, Any],
        authorizers: Mapping[str, Authorizer],
    ) -> Method:
        http_method = "ANY" if name == ANY else name.upper()
        where = f"{http_method} {path}"
        integration = operation.get("x-amazon-apigateway-integration")
        if integration is None:
            raise DefinitionError(f"{where}: no integration")
        parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
        validator_name = operation.get(
            "x-amazon-apigateway-request-validator", self.body.get("x-amazon-apigateway-request-validator")
        )
        if validator_name is not None and validator_name not in self.validators:
            raise DefinitionError(f"{where}: there is no request validator {validator_name}")
        validator = self.validators.get(validator_name, {})
        return Method(
            resource=path,
            http_method=http_method,
            authorizer=self.authorizer(operation, authorizers, where),
            required=self.required(parameters) if validator.get("validateRequestParameters") else (),
            models=self.models(operation, parameters, where) if validator.get("validateRequestBody") else {},
            integration=self.integration(integration, operation, where),
        )

    def authorizer(
        self, operation: Mapping[str, Any], authorizers: Mapping[str, Authorizer], where: str
    ) -> Authorizer | None:
        security = operation.get("security", self.body.get("security", []))
        names = [name for requirement in security for name in requirement]
        if not names:
            return None
        if len(names) > 1 or names[0] not in authorizers:
            raise DefinitionError(f"{where}: security names {', '.join(names)}; one defined authorizer is expected")
        return authorizers[names[0]]

    @staticmethod
    def required(parameters: list[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
        places = {"header": "header", "query": "querystring", "path": "path"}
        return tuple(
            (places[parameter["in"]], parameter["name"])
            for parameter in parameters
            if parameter.get("required") and parameter.get("in") in places
        )

    def models(
        self, operation: Mapping[str, Any], parameters: list[Mapping[str, Any]], where: str
    ) -> dict[str, jsonschema.Draft4Validator]:
        if "swagger" in self.body:
            bodies = [parameter["schema"] for parameter in parameters if parameter.get("in") == "body"]
            schemas = {"application/json": bodies[0]} if bodies else {}
        else:
            content = operation.get("requestBody", {}).get("content", {})
            schemas = {media_type: value["schema"] for media_type, value in content.items() if "schema" in value}
        named = {**self.components.get("schemas", {}), **self.body.get("definitions", {})}
        for name, schema in (named | schemas).items():
            try:
                jsonschema.Draft4Validator.check_schema(schema)
            except jsonschema.SchemaError as error:
                raise DefinitionError(f"{where}: the model {name} is no schema: {error.message}") from error
        # References are to names below components or definitions.
        roots = {"components": self.components, "definitions": self.body.get("definitions", {})}
        return {kind.lower(): _Validator({"allOf": [schema], **roots}) for kind, schema in schemas.items()}

    # Integrations.

    def integration(self, raw: Mapping[str, Any], operation: Mapping[str, Any], where: str) -> Integration:
        kind = str(raw.get("type", "")).lower()
        timeout = int(raw.get("timeoutInMillis", 29000))
        if not 50 <= timeout <= 29000:
            raise DefinitionError(f"{where}: timeoutInMillis is 50 to 29,000")
        if kind not in {"aws_proxy", "aws", "mock"}:
            raise DefinitionError(f"{where}: integrations of type {kind} are not served here")
        if kind != "mock" and str(raw.get("httpMethod", "")).upper() != "POST":
            raise DefinitionError(f"{where}: an AWS integration's httpMethod is POST")
        passthrough = str(raw.get("passthroughBehavior", "when_no_match")).lower()
        if passthrough not in {"never", "when_no_match", "when_no_templates"}:
            raise DefinitionError(f"{where}: passthroughBehavior {passthrough}")
        parameters: dict[str, dict[str, str]] = {"header": {}, "querystring": {}}
        for target, source in raw.get("requestParameters", {}).items():
            place, _, name = target.removeprefix("integration.request.").partition(".")
            if place not in parameters or not name or not _SOURCE.fullmatch(source):
                raise DefinitionError(f"{where}: {target} cannot be mapped from {source}")
            parameters[place][name] = source
        return Integration(
            kind=kind,
            function=self.function(raw.get("uri"), where) if kind == "aws_proxy" else "",
            action=self.action(raw, where) if kind == "aws" else ("", ""),
            role=str(raw.get("credentials", "")).rpartition("/")[2],
            timeout=timeout / 1000,
            passthrough=passthrough,
            headers=parameters["header"],
            querystring=parameters["querystring"],
            templates=_templates(raw.get("requestTemplates", {}), where),
            responses=tuple(
                self.integration_response(pattern, response, operation, f"{where}, response {pattern}")
                for pattern, response in raw.get("responses", {}).items()
            ),
        )

    @staticmethod
    def action(raw: Mapping[str, Any], where: str) -> tuple[str, str]:
        match = _ACTION_URI.fullmatch(str(raw.get("uri")))
        action = (match["service"], match["action"]) if match else None
        if action not in _ACTIONS:
            served = " and ".join(":".join(action) for action in sorted(_ACTIONS))
            raise DefinitionError(f"{where}: only {served} are served here, not {raw.get('uri')}")
        if not raw.get("credentials"):
            raise DefinitionError(f"{where}: an AWS service is called with the credentials of a role")
        return action

    @staticmethod
    def integration_response(
        pattern: str, raw: Mapping[str, Any], operation: Mapping[str, Any], where: str
    ) -> IntegrationResponse:
        status = str(raw.get("statusCode", ""))
        declared = {str(code): response for code, response in operation.get("responses", {}).items()}.get(status)
        if declared is None:
            raise DefinitionError(f"{where}: the method declares no response {status}")
        headers: dict[str, str] = {}
        for target, source in raw.get("responseParameters", {}).items():
            prefix, _, header = target.partition("method.response.header.")
            if prefix or header not in declared.get("headers", {}):
                raise DefinitionError(f"{where}: the method's response {status} declares no header for {target}")
            if not _SOURCE.fullmatch(source) or source.startswith("method."):
                raise DefinitionError(f"{where}: {target} cannot be mapped from {source}")
            headers[header] = source
        return IntegrationResponse(
            pattern=None if pattern == "default" else pattern,
            status=int(status),
            headers=headers,
            templates=_templates(raw.get("responseTemplates", {}), where),
        )


def _templates(sources: Mapping[str, str], where: str) -> dict[str, Template]:
    found: dict[str, Template] = {}
    for media_type, source in sources.items():
        try:
            found[media_type.lower()] = Template(source)
        except TemplateError as error:
            raise DefinitionError(f"{where}: mapping template for {media_type}: {error}") from error
    return found
