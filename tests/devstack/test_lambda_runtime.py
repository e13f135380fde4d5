"""Functions run as on Lambda: environments are kept, ended and counted, and errors have Lambda's form."""

import io
import json
import os
import signal
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from botocore.exceptions import ClientError

from devstack.aws import lambda_runtime
from devstack.aws.lambda_runtime import (
    ConcurrencyError,
    Function,
    LambdaRuntime,
    Result,
    ThrottledError,
    _Environment,
    _error_type,
)
from tests.devstack.conftest import Sample, start_aws, wait_until


def test_an_environment_is_kept_for_the_next_invocation(sample: Sample) -> None:
    first, second = sample.invoke().payload, sample.invoke().payload

    assert second["started"] == first["started"]
    assert second["request_id"] != first["request_id"]
    assert 0 < second["remaining"] <= 6000


def test_invocations_at_once_have_an_environment_each(sample: Sample, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        meeting = [{"do": "meet", "name": f"one of {nth}", "others": 4, "directory": str(tmp_path)} for nth in range(4)]
        pids = [answer.payload for answer in pool.map(sample.invoke, meeting)]

    assert len(set(pids)) == 4


def _runtime(directory: Path) -> LambdaRuntime:
    """One that starts nothing."""
    return LambdaRuntime(directory, Path(sys.executable), endpoint="", region="us-east-1", account="")


def _function(name: str) -> Function:
    return Function(name, name, "handler", 3, 128, (), "role", "log", "JSON")


def test_who_waits_for_a_function_gets_it_when_it_is_free_whoever_waits_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_runtime, "ENVIRONMENTS_EACH", 0)
    runtime = _runtime(tmp_path)
    busy, wanted = (_function(name) for name in ("busy", "wanted"))
    environment = cast("_Environment", SimpleNamespace(cold=True, idle_since=0.0, retired=False))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(runtime._take, busy, None)
        wait_until(lambda: busy in runtime._freed)
        second = pool.submit(runtime._take, wanted, None)
        wait_until(lambda: wanted in runtime._freed)
        runtime._functions.update(busy=busy, wanted=wanted)

        runtime._give_back(wanted, environment, healthy=True)
        assert second.result(timeout=30) is environment
        runtime._give_back(busy, environment, healthy=True)
        assert first.result(timeout=30) is environment


def test_whoever_waits_for_too_long_is_throttled_and_nothing_runs_for_him_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_runtime, "ENVIRONMENTS_EACH", 0)
    monkeypatch.setattr(lambda_runtime, "PATIENCE_SECONDS", 0.01)
    runtime = _runtime(tmp_path)
    function = _function("busy")
    with pytest.raises(ThrottledError):
        runtime.invoke(function, b"{}")
    assert not runtime.invocations


def test_of_more_than_the_account_may_have_at_once_requests_are_throttled_and_events_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = LambdaRuntime(tmp_path, Path(sys.executable), endpoint="", region="us-east-1", account="", concurrency=2)
    working, go_on = threading.Barrier(3), threading.Event()
    results: list[Result] = []

    def works(*_: object) -> Result:
        if not go_on.is_set():
            working.wait(30)
        assert go_on.wait(30)
        results.append(Result(200, b"{}", None))
        return results[-1]

    monkeypatch.setattr(runtime, "_invoke", works)
    functions = [_function(name) for name in ("first", "second", "third")]
    with ThreadPoolExecutor(2) as pool:
        at_work = [pool.submit(runtime.invoke, function, b"{}") for function in functions[:2]]
        working.wait(30)
        with pytest.raises(ConcurrencyError):
            runtime.invoke(functions[2], b"{}")
        runtime.invoke_event(functions[2], b"{}")
        go_on.set()
        wait_until(lambda: len(results) == 3)
        assert all(one.result(timeout=30).status == 200 for one in at_work)
    runtime.invoke(functions[2], b"{}")


def test_of_environments_that_wait_the_next_one_to_work_is_kept_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambda_runtime, "SPARE_SECONDS", 0.1)
    runtime = _runtime(tmp_path)
    function = _function("busy")
    ended: list[str] = []

    def waiting(name: str) -> _Environment:
        environment = SimpleNamespace(idle_since=time.monotonic(), end=lambda: ended.append(name))
        return cast("_Environment", environment)

    environments = [waiting(name) for name in ("first", "second", "last")]
    with runtime._lock:
        runtime._environments[function] = [*environments]
        runtime._idle[function] = [*environments]

    wait_until(lambda: len(ended) >= 2)
    assert set(ended) == {"first", "second"}
    assert runtime._idle[function] == runtime._environments[function] == environments[2:]


def test_an_environment_that_waits_for_longer_than_was_told_is_ended(tmp_path: Path) -> None:
    """Lambda does that after some minutes, of which it tells nobody how many."""
    runtime = LambdaRuntime(
        tmp_path, Path(sys.executable), endpoint="", region="us-east-1", account="", idle_seconds=0.2
    )
    function = Function("idle", "idle", "handler", 3, 128, (), "role", "log", "JSON")
    ended: list[float] = []
    began = time.monotonic()
    only = cast("_Environment", SimpleNamespace(idle_since=began, end=lambda: ended.append(time.monotonic())))
    with runtime._lock:
        runtime._environments[function] = [only]
        runtime._idle[function] = [only]

    wait_until(lambda: ended)
    assert ended[0] - began >= 0.2
    assert runtime._environments[function] == []


@pytest.mark.parametrize(("copies", "program"), [(True, "fork_server.py"), (False, "awslambdaric")])
def test_a_runtime_is_a_copy_of_one_that_is_ready_or_an_interpreter_of_its_own(
    tmp_path: Path, runtime: Path, copies: bool, program: str
) -> None:
    functions = LambdaRuntime(tmp_path, runtime, endpoint="", region="us-east-1", account="", copies=copies)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr(
            "says.py", "from pathlib import Path\n\ndef run(*_):\n    return Path('/proc/self/cmdline').read_text()"
        )
    asked = Function("says", "says", "says.run", 10, 128, (), "role", "log", "JSON")
    function = functions.deploy(asked, code.getvalue(), "0" * 32)
    assert program in json.loads(functions.invoke(function, b"{}").payload)
    functions.end_idle("says")


def test_the_environment_is_the_functions_and_lambdas_and_nothing_else(sample: Sample) -> None:
    environment = sample.invoke({"do": "environment"}).payload

    assert environment["GREETING"] == "hello"
    assert "POLITE" not in environment  # AWS::NoValue
    assert environment["TABLE_NAME"] == sample.outputs["TableName"]
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == sample.outputs["FunctionName"]
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "128"
    assert environment["AWS_ENDPOINT_URL"] == sample.endpoint
    assert environment["_HANDLER"] == "worker.handler"
    assert not {"HOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST", "PYTHONPATH"} & set(environment)


def test_only_the_runtimes_packages_can_be_imported(sample: Sample) -> None:
    assert sample.invoke({"do": "import", "name": "boto3"}).error is None
    assert sample.invoke({"do": "import", "name": "pytest"}).payload["errorType"] == "ModuleNotFoundError"


def test_what_a_handler_raises_is_an_error_with_its_type_and_trace(sample: Sample) -> None:
    answer = sample.invoke({"do": "raise"})

    assert answer.error == "Unhandled"
    assert (answer.payload["errorType"], answer.payload["errorMessage"]) == ("ValueError", "as asked")
    assert "worker.py" in answer.payload["stackTrace"][0]


def test_a_result_that_only_looks_like_an_error_is_a_result() -> None:
    assert _error_type(200, b'{"errorType": "x", "errorMessage": "y", "rows": []}') is None
    assert _error_type(200, b'"errorType"') is None
    assert _error_type(200, b'{"errorType": "x", "errorMessage": "y", "requestId": "", "stackTrace": []}') == "x"


def test_a_process_that_ends_is_an_exit_error_and_the_next_invocation_works(sample: Sample) -> None:
    answer = sample.invoke({"do": "exit"})

    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert answer.payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert sample.invoke().error is None


def test_the_time_limit_ends_the_invocation_and_the_environment(sample: Sample) -> None:
    before = sample.invoke().payload["started"]
    answer = sample.invoke({"do": "sleep", "seconds": 30})

    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.payload["errorMessage"].endswith("Task timed out after 6.00 seconds")
    assert sample.invoke().payload["started"] != before


def test_an_event_is_accepted_at_once_and_tried_twice_more_after_errors(sample: Sample) -> None:
    def failures() -> int:
        return sum(entry["error"] == "ValueError" for entry in sample.sim("GET", "invocations"))

    before = failures()
    answer = sample.client("lambda").invoke(
        FunctionName=sample.outputs["FunctionName"], InvocationType="Event", Payload=b'{"do": "raise"}'
    )

    assert answer["StatusCode"] == 202
    wait_until(lambda: failures() == before + 3)


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_a_payload_over_the_limit_is_refused(sample: Sample, kind: str, limit: int) -> None:
    with pytest.raises(ClientError, match="RequestTooLarge"):
        sample.client("lambda").invoke(
            FunctionName=sample.outputs["FunctionName"], InvocationType=kind, Payload=b'"' + b"x" * limit + b'"'
        )


def test_a_result_over_the_limit_is_an_error(sample: Sample) -> None:
    answer = sample.invoke({"do": "large", "bytes": 6 * 1024 * 1024 + 200})

    assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(("when", "written"), [("before", False), ("after", True)])
def test_a_killed_environment_has_or_has_not_done_its_work(sample: Sample, when: str, written: bool) -> None:
    key = f"killed {when}"
    sample.sim("PUT", "faults", {"lambda:WorkerFunction": {"kill": when}})
    answer = sample.invoke({"do": "put", "key": key})

    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert bool(sample.item(key)) is written
    assert sample.invoke({"do": "put", "key": key}).error is None


def test_a_killed_environment_dies_in_the_middle(sample: Sample, tmp_path: Path) -> None:
    sample.invoke()
    sample.sim("PUT", "faults", {"lambda:WorkerFunction": {"after_ms": 300}})

    answer = sample.invoke({"do": "meet", "name": "begun", "others": 2, "directory": str(tmp_path)})

    assert answer.payload["errorType"] == "Runtime.ExitError"
    assert (tmp_path / "begun").exists()


@pytest.mark.parametrize("done", [False, True])
def test_an_environment_dies_of_one_of_its_requests(sample: Sample, done: bool) -> None:
    key = f"dead {done}"
    sample.sim("PUT", "faults", {"lambda:WorkerFunction": {"kill": "dynamodb:PutItem", "done": done}})

    assert sample.invoke().error is None  # it makes no such request
    assert sample.invoke({"do": "put", "key": key}).payload["errorType"] == "Runtime.ExitError"
    assert bool(sample.item(key)) is done
    assert sample.invoke({"do": "put", "key": key}).error is None


def test_an_environment_dies_of_a_later_request_only_if_it_makes_it(sample: Sample) -> None:
    sample.sim("PUT", "faults", {"lambda:WorkerFunction": {"kill": "dynamodb:PutItem", "request": 2}})

    assert sample.invoke({"do": "put", "key": "first"}).error is None
    assert sample.invoke({"do": "put", "key": "first of another invocation"}).error is None


def test_environments_that_wait_for_work_can_be_ended(sample: Sample) -> None:
    before = sample.invoke().payload["started"]
    assert sample.invoke().payload["started"] == before
    sample.sim("PUT", "faults", {"lambda:WorkerFunction": {"kill": "idle"}})

    assert sample.invoke().payload["started"] != before


def test_an_invocation_is_measured(sample: Sample) -> None:
    sample.invoke({"do": "exit"})
    sample.invoke()
    entry = wait_until(
        lambda: [entry for entry in sample.sim("GET", "invocations") if entry["cold"] and not entry["error"]]
    )[-1]

    assert entry["function"] == "WorkerFunction"
    assert 0 < entry["init_ms"] < entry["duration_ms"]


def test_the_log_has_what_the_function_prints(sample: Sample) -> None:
    sample.invoke({"do": "print", "text": "a line of its own"})
    log = sample.directory / "logs/WorkerFunction.log"

    wait_until(lambda: "a line of its own" in log.read_text())


def test_no_process_outlives_the_endpoint_even_if_it_is_killed(tmp_path: Path, runtime: Path, built: Path) -> None:
    process, endpoint = start_aws(tmp_path, runtime)
    sample = Sample(endpoint, tmp_path, process, built)
    deployed = sample.deploy("--capabilities", "CAPABILITY_IAM")
    assert deployed.returncode == 0, deployed.stdout
    pid = sample.invoke({"do": "pid"}).payload
    parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])

    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    wait_until(lambda: not Path(f"/proc/{pid}").exists() and not Path(f"/proc/{parent}").exists())
