"""The template as it is written, as SAM translates it, and the gateway's definition in it with everything resolved."""

from typing import Any

import pytest

from devstack.aws.template import Scope, parameter_values, parse
from tests.template.translated import GIVEN, ROOT, TEMPLATE, translation

__all__ = ["GIVEN", "ROOT", "TEMPLATE"]

PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "oncall",
}


@pytest.fixture(scope="session")
def template() -> Any:
    """The template as it is written."""
    return parse(TEMPLATE.read_text())


@pytest.fixture(scope="session")
def translated() -> Any:
    """The template as SAM translates it, as it would be after packaging."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", PSEUDO["AWS::Region"])
        return translation(PSEUDO["AWS::Region"])


@pytest.fixture(scope="session")
def body(translated: Any) -> Any:
    """The REST API's definition, resolved."""
    values = parameter_values(translated, GIVEN, {})
    names = {name: f"arn:aws:test:us-east-1:123456789012:{name}" for name in translated["Resources"]}
    scope = Scope(
        refs={**names, **values, **PSEUDO},
        attribute=lambda name, attribute: f"{names[name]}.{attribute}",
        condition_definitions=translated["Conditions"],
    )
    return scope.resolve(translated["Resources"]["Api"]["Properties"]["Body"])
