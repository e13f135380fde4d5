"""The artifact lacks what no function loads, and nothing else. The tests of the whole system run on it as well."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.system.artifact import CALLED, LEFT_OUT, leave_out
from devstack.system.build import BUILT
from tests.packages import shipped_packages

ROOT = Path(__file__).parents[2]
FUNCTIONS = ROOT / "functions"
MOST_BYTES = 12_000_000  # zipped

# Without the machine's packages: what the artifact lacks is nowhere else. Says which modules it has loaded.
PROGRAM = """
import importlib, json, os, sys
artifact, *names = sys.argv[1:]
sys.path.insert(0, artifact)
for name in names:
    importlib.import_module(name)
from oncall import aws
for service in %r:
    client = aws.client(service)
    for operation in client.meta.service_model.operation_names:
        client.meta.service_model.operation_model(operation).input_shape
aws.client("dynamodb").get_paginator("query")
from twilio.rest import Client
twilio = Client("AC" + 32 * "0", "secret")
(twilio.calls, twilio.calls("CA" + 32 * "0"), twilio.messages)
from slack_sdk import WebClient
from slack_sdk.webhook import WebhookClient
(WebClient(token="xoxb"), WebhookClient("https://hooks.slack.com/services/T/B/X"))
files = {name: module.__file__ for name, module in sys.modules.items() if getattr(module, "__file__", None)}
print(json.dumps({name: file for name, file in files.items() if file.startswith(artifact)}))
"""

# What loaded modules would import in situations that never come, by the beginning of its name.
NEVER = {
    "twilio.rest.": "Twilio's other products, each imported when it is asked for",
    "twilio.http.async_http_client": "an asynchronous client, when one is asked for",
    "slack_sdk.web.async_": "the asynchronous twin of the client",
    "slack_sdk.webhook.async_": "the asynchronous twin of the client",
    "aws_lambda_powertools.event_handler.": "answers that are models of pydantic's",
    "aiohttp": "tracing of asynchronous servers",
}


@pytest.fixture(scope="module")
def artifact() -> Path:
    (archive,) = BUILT.glob("*.zip")
    return archive.with_suffix("")


@pytest.fixture(scope="module")
def loaded(artifact: Path) -> dict[str, str]:
    """The files of the modules that are loaded when every function is, and every client is made."""
    modules = [".".join(path.relative_to(FUNCTIONS).with_suffix("").parts) for path in FUNCTIONS.rglob("*.py")]
    names = sorted(module.removesuffix(".__init__") for module in modules)
    run = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-I", "-S", "-c", PROGRAM % sorted(CALLED), str(artifact), *names],
        env={"AWS_DEFAULT_REGION": "eu-west-1", "LAMBDA_TASK_ROOT": str(artifact), "POWERTOOLS_SERVICE_NAME": "oncall"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    files: dict[str, str] = json.loads(run.stdout)
    return files


def imports(name: str, file: Path) -> Iterator[str]:
    """The modules that a module may ever import, wherever in it, but for type checkers alone."""
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            yield ".".join([*parts, *([node.module] if node.module else [])])


def is_a_file(module: str) -> bool:
    """Whether this environment, which has the whole packages, finds a module's file."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    return bool(found and found.has_location)


def test_it_is_small(artifact: Path) -> None:
    assert artifact.with_suffix(".zip").stat().st_size <= MOST_BYTES


def test_the_services_that_functions_call_are_in_it() -> None:
    calls = [
        node
        for path in FUNCTIONS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "client"
    ]
    named = {call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)}
    assert named == CALLED


def test_every_function_loads_without_what_is_left_out(loaded: dict[str, str]) -> None:
    assert {"receive_alerts", "phone_call", "oncall.table", "twilio.rest.api", "slack_sdk.web.client"} <= loaded.keys()


def test_nothing_that_is_loaded_would_miss_anything_later(loaded: dict[str, str], artifact: Path) -> None:
    """Many imports are made within functions, when something is asked for: each is in the artifact, or was never in it."""
    ours = shipped_packages()
    assert {"aiohttp", "twilio", "slack_sdk"} <= ours
    missed = set()
    for file in {Path(file) for file in loaded.values() if file.endswith(".py")}:
        name = ".".join(file.relative_to(artifact).with_suffix("").parts).removesuffix(".__init__")
        for wanted in imports(name, file):
            there = artifact.joinpath(*wanted.split("."))
            is_there = there.is_dir() or any(there.parent.glob(f"{there.name}.*"))
            if wanted.partition(".")[0] not in ours or is_there or wanted.startswith(tuple(NEVER)):
                continue
            if is_a_file(wanted):  # else a hook for what nobody has here, or a module that is made at run time
                missed.add(f"{name} imports {wanted}")
    assert missed == set()


def test_the_build_says_what_it_has_left_out() -> None:
    said = (BUILT / "left-out.txt").read_text()
    assert "ReceiveAlertsFunction.zip" in said
    assert all(part.why in said for part in LEFT_OUT)


def test_a_kept_folder_stays(tmp_path: Path) -> None:
    for name in ("s3", "ssm"):
        (tmp_path / f"botocore/data/{name}/2020-01-01").mkdir(parents=True)
        (tmp_path / f"botocore/data/{name}/2020-01-01/service-2.json").write_text("{}")
    (tmp_path / "botocore/data/endpoints.json").write_text("{}")
    freed = leave_out(tmp_path)
    assert sorted(path.name for path in (tmp_path / "botocore/data").iterdir()) == ["endpoints.json", "ssm"]
    assert freed == {"botocore's data of services that no function calls": 2}
