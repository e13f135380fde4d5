"""What a function's code can reach: the AWS actions it asks for, and the settings it reads. Told from its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

FUNCTIONS = Path(__file__).parents[2] / "functions"

# What the domain's own clients ask AWS for. A transaction asks for what its writes ask for, and for nothing else:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
_METHODS = {
    ("table", "get"): "dynamodb:GetItem",
    ("table", "get_many"): "dynamodb:GetItem",
    ("table", "query"): "dynamodb:Query",
    ("table", "delete"): "dynamodb:DeleteItem",
    ("table", "due"): "dynamodb:Query on the index",
    ("table", "update"): "dynamodb:UpdateItem",
}
_WRITES = {"Put": "dynamodb:PutItem", "Update": "dynamodb:UpdateItem"}
_REQUESTS = {
    "send_task_success": "states:SendTaskSuccess",
    "start_execution": "states:StartExecution",
    "publish": "sns:Publish",
    "invoke": "lambda:InvokeFunction",
    "get_parameters": "ssm:GetParameters",
    "describe_alarms": "cloudwatch:DescribeAlarms",
}
# Every class's methods are taken to be used where the class's instance, so named, is.
_INSTANCES = {"fallback": ("oncall.fallback", "Fallback")}
# Of this class only the members that are named: everybody has one, and uses a part of it.
_SERVICES = ("oncall.services", "Services")


@dataclass
class Reached:
    """What was found."""

    actions: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)  # attributes of Settings
    secrets: set[str] = field(default_factory=set)  # environment variables that name secrets
    definitions: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class _Module:
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)  # by the name that they have here
    names: dict[str, tuple[str, str]] = field(default_factory=dict)


@cache
def _modules() -> dict[str, Path]:
    """The files of the domain, by dotted name; a package's name is that of its front, `__init__.py`."""
    files = {
        ".".join(path.relative_to(FUNCTIONS).with_suffix("").parts): path for path in FUNCTIONS.glob("oncall/**/*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in files.items()}


@cache
def _read(path: Path) -> _Module:
    module = _Module()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            module.definitions[node.name] = node
            if isinstance(node, ast.ClassDef) and path.stem == "services":
                members = [member for member in node.body if isinstance(member, ast.FunctionDef)]
                module.definitions |= {f"{node.name}.{member.name}": member for member in members}
                node.body = [member for member in node.body if member not in members]
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "oncall":
            for alias in node.names:
                name = alias.asname or alias.name
                if f"{node.module}.{alias.name}" in _modules():
                    module.modules[name] = f"{node.module}.{alias.name}"
                else:
                    module.names[name] = (str(node.module), alias.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            module.definitions |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return module


def _trailing(node: ast.expr) -> str:
    """The last name of `services.table` or `table`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@cache
def reached_from(handler: str) -> Reached:
    """What the handler's module reaches."""
    modules = {name: _read(path) for name, path in _modules().items()}
    modules[handler] = _read(FUNCTIONS / f"{handler}.py")
    found = Reached()
    waiting = [(handler, "lambda_handler")]
    while waiting:
        where = waiting.pop()
        module = modules.get(where[0])
        if module and where[1] in module.names:  # a package's front hands it on
            waiting.append(module.names[where[1]])
        definition = module.definitions.get(where[1]) if module else None
        if module is None or definition is None or where in found.definitions:
            continue
        found.definitions.add(where)
        for node in ast.walk(definition):
            waiting += _look(node, module, where[0], found)
    return found


def _look(node: ast.AST, module: _Module, name: str, found: Reached) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Name):
        if node.id in module.definitions:
            yield name, node.id
        elif node.id in module.names:
            yield module.names[node.id]
            if module.names[node.id][0] == "oncall.table" and node.id in _WRITES:
                found.actions.add(_WRITES[node.id])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("_PARAMETER"):
        found.secrets.add(node.value)
    elif isinstance(node, ast.Attribute):
        yield from _look_at_attribute(node, module, found)


def _look_at_attribute(node: ast.Attribute, module: _Module, found: Reached) -> Iterator[tuple[str, str]]:
    receiver = _trailing(node.value)
    if isinstance(node.value, ast.Name) and receiver in module.modules:
        yield module.modules[receiver], node.attr
    elif (receiver, node.attr) in _METHODS:
        found.actions.add(_METHODS[receiver, node.attr])
    elif receiver in _INSTANCES:
        yield _INSTANCES[receiver]
    elif receiver == "services":
        yield _SERVICES[0], f"{_SERVICES[1]}.{node.attr}"
    elif receiver == "settings":
        found.settings.add(node.attr)
    if receiver in {"client", "ssm"} and node.attr in _REQUESTS:
        found.actions.add(_REQUESTS[node.attr])
