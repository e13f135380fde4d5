"""What each function loads before it can answer: nobody slows the first ring without knowing it.

A module more costs a fraction of a millisecond, a package some ten of them, at every cold start. The figures are those
of the code as it is, with a little room: who needs more raises them here, and says in the commit why the ring may wait.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from devstack.aws.template import parse
from tests.packages import shipped_packages

ROOT = Path(__file__).parents[2]
# Of the packages in this environment a function finds those that it ships with.
PROGRAM = """
import importlib, json, sys
shipped = set(sys.argv[3].split()) | sys.stdlib_module_names | {"oncall", sys.argv[1]}
class OnLambda:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in shipped:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, OnLambda())
sys.path.insert(0, sys.argv[2])
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# What every function has: AWS's library, the log, the metrics, the trace.
BASE = {"aws_lambda_powertools", "aws_xray_sdk", "botocore", "certifi", "dateutil", "jmespath"} | {
    *("six", "typing_extensions", "urllib3", "wrapt"),
}
HTTP = {"charset_normalizer", "idna", "requests"}

# How many modules at the most, the standard library's included, and which packages beside BASE.
BUDGETS: dict[str, tuple[int, set[str]]] = {
    "authorize": (430, set()),
    "receive_alerts": (470, set()),
    "receive_event": (460, set()),
    "phone_call": (600, {"twilio", *HTTP}),
    "phone_reply": (480, {"twilio"}),
    "slack_notification": (520, {"slack_sdk"}),
    "slack_reply": (475, set()),
    "reconcile": (475, set()),
    "shift_calendar": (455, set()),
    "probe": (470, set()),
    "peer": (470, set()),
}
# What is easily loaded by mistake, and dear.
DEAR = {"aiohttp", "boto3", "multiprocessing", "s3transfer", "sqlite3"}


@cache
def loaded(handler: str) -> frozenset[str]:
    """The modules that a function's start loads, on Lambda's terms: the tracer patches what it traces."""
    variables = parse((ROOT / "template.yaml").read_text())["Globals"]["Function"]["Environment"]["Variables"]
    environment = {
        **{name: value for name, value in variables.items() if isinstance(value, str)},
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_LAMBDA_FUNCTION_NAME": handler,
        "AWS_REGION": "eu-west-1",
        "PATH": os.environ["PATH"],
    }
    run = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", PROGRAM, handler, str(ROOT / "functions"), " ".join(shipped_packages())],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(json.loads(run.stdout))


def test_every_function_has_a_budget() -> None:
    assert {path.stem for path in (ROOT / "functions").glob("*.py")} == BUDGETS.keys()


@pytest.mark.parametrize("handler", BUDGETS)
def test_a_function_loads_no_more_than_its_budget(handler: str) -> None:
    most, more = BUDGETS[handler]
    modules = loaded(handler)
    packages = {module.partition(".")[0] for module in modules if not module.startswith("_")}
    foreign = packages - sys.stdlib_module_names - {"oncall", handler, "cython_runtime"}  # of a compiled package
    assert foreign == BASE | more
    assert len(modules) <= most, f"{handler} loads {len(modules)} modules"


@pytest.mark.parametrize("handler", BUDGETS)
def test_a_function_loads_nothing_dear_by_mistake(handler: str) -> None:
    assert DEAR & loaded(handler) == set()


@pytest.mark.parametrize("handler", ["authorize", "receive_alerts", "receive_event", "slack_reply"])
def test_who_neither_rings_nor_posts_loads_no_library_for_it(handler: str) -> None:
    assert not {module for module in loaded(handler) if module.split(".")[0] in ("twilio", "slack_sdk", "requests")}
