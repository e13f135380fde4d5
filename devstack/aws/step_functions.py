"""What Step Functions does and moto's leaves out: limits, names, closed task tokens, roles, events of ended executions."""

import json
import re
import threading
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from jsonpath_ng.ext.parser import parse as parse_json_path
from moto.core.config import default_user_config
from moto.settings import moto_server_port
from moto.stepfunctions.parser.asl.utils import boto_client, json_path

LIMIT = 262_144  # bytes of an execution's input and of a state's output

_clients: dict[tuple[str, str], Any] = {}
_clients_lock = threading.Lock()


def _boto_client_for(region: str, service: str, state_credentials: Any = None) -> Any:
    """A client for the tasks of a state machine, signed with its role's name. Made once: that is slow and not thread-safe."""
    role = state_credentials.role_arn.rsplit("/", 1)[-1] if state_credentials else "states"
    with _clients_lock:
        if (service, role) not in _clients:
            session: Any = boto3.Session(role, "secret", region_name=region)
            _clients[service, role] = session.client(
                service,
                endpoint_url=f"http://127.0.0.1:{moto_server_port()}",
                config=Config(
                    parameter_validation=False,
                    retries={"total_max_attempts": 1},
                    read_timeout=1000,
                    max_pool_connections=200,
                ),
            )
        return _clients[service, role]


# Before the modules that import it by name.
boto_client.boto_client_for = _boto_client_for
default_user_config["stepfunctions"] = {"execute_state_machine": True}

from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState  # noqa: E402
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint, CallbackPoolManager  # noqa: E402
from moto.stepfunctions.parser.asl.eval.environment import Environment  # noqa: E402
from moto.stepfunctions.parser.asl.eval.event.logging import (  # noqa: E402
    CloudWatchLoggingConfiguration,
    CloudWatchLoggingSession,
)
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped  # noqa: E402
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser  # noqa: E402
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution  # noqa: E402

_tokens: dict[str, CallbackEndpoint] = {}
# moto has no public place for what follows.
_add: Any = CallbackPoolManager.add
_evaluate: Any = ExecutionState._evaluate_with_timeout  # noqa: SLF001
_start: Any = Execution.start
_stop: Any = Execution.stop
_set_error: Any = Environment.set_error
_reflect: Any = BaseExecutionWorkerCommunication._reflect_execution_status  # noqa: SLF001
_ended: list[Callable[[dict[str, Any]], None]] = []
_logged: list[Callable[[str, str], None]] = []


def _remember_token(pool: Any, callback_id: str) -> Any:
    endpoint = _add(pool, callback_id)
    _tokens[callback_id] = endpoint
    return endpoint


def _evaluate_with_fresh_token(state: Any, env: Any) -> None:
    """Every attempt of a task that waits for a token has its own token; moto gives a retry the old, answered one."""
    context = env.states.context_object
    if "Task" in context.context_object_data and context.context_object_data["State"]["RetryCount"] > 0:
        env.callback_pool_manager.add(context.update_task_token())
    try:
        _evaluate(state, env)
    finally:
        task = context.context_object_data.get("Task")
        if task and task["Token"] in _tokens:
            _tokens[task["Token"]].interrupt_all()  # closed, however the attempt ended


def _start_with_a_log(execution: Execution) -> None:
    """moto has all that a log takes, and gives it to no execution."""
    machine: Any = execution.state_machine
    configuration = CloudWatchLoggingConfiguration.from_logging_configuration(machine.arn, machine.loggingConfiguration)
    if configuration:
        execution._cloud_watch_logging_session = CloudWatchLoggingSession(execution.exec_arn, configuration)  # noqa: SLF001
    _start(execution)


def _stop_at_once(execution: Execution, *args: Any, **kwargs: Any) -> None:
    """A stopped execution waits for no task token; moto's would stop when the token's time is up."""
    _stop(execution, *args, **kwargs)
    worker: Any = execution.exec_worker
    for endpoint in tuple(worker.env.callback_pool_manager._pool.values()):  # noqa: SLF001
        endpoint.interrupt_all()


def _set_error_unless_stopped(env: Environment, error: Any) -> None:
    """What fails because an execution was stopped does not make it a failed one."""
    if not isinstance(env.program_state(), ProgramStopped):
        _set_error(env, error)


def _reflect_and_tell(communication: Any) -> None:
    _reflect(communication)
    event = status_change(communication.execution)
    for listener in _ended:
        listener(event)


def _tell_of_line(session: Any, history_log: Any) -> None:
    """Instead of moto's, which takes the text of a time for a time."""
    line = json.dumps(history_log, default=str)
    for listener in _logged:
        listener(session.configuration.log_group_name, line)


setattr(json_path, "parse", cache(parse_json_path))  # noqa: B010 - moto makes the parser's tables anew for each path
setattr(CallbackPoolManager, "add", _remember_token)  # noqa: B010 - mypy takes no assignment to a method
setattr(ExecutionState, "_evaluate_with_timeout", _evaluate_with_fresh_token)  # noqa: B010
# moto parses a definition for each execution, which takes longer than many an execution. Nothing that it makes of one belongs to
# an execution (a state's attempts are in the execution's heap), except of a Map, which we do not have.
setattr(AmazonStateLanguageParser, "parse", staticmethod(cache(AmazonStateLanguageParser.parse)))  # noqa: B010
setattr(Execution, "start", _start_with_a_log)  # noqa: B010
setattr(Execution, "stop", _stop_at_once)  # noqa: B010
setattr(Environment, "set_error", _set_error_unless_stopped)  # noqa: B010
setattr(CloudWatchLoggingSession, "publish_history_log", _tell_of_line)  # noqa: B010
setattr(BaseExecutionWorkerCommunication, "_reflect_execution_status", _reflect_and_tell)  # noqa: B010


def on_end(listener: Callable[[dict[str, Any]], None]) -> None:
    """Call `listener` with the EventBridge event of every execution that ends, in the execution's thread."""
    _ended.append(listener)


def on_log(listener: Callable[[str, str], None]) -> None:
    """Call `listener` with the log group and each line that an execution writes there, in the execution's thread."""
    _logged.append(listener)


def status_change(execution: Execution) -> dict[str, Any]:
    """The event `Step Functions Execution Status Change`, without EventBridge's envelope."""

    def milliseconds(moment: datetime | None) -> int | None:
        return int(moment.timestamp() * 1000) if moment else None

    def text(value: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine.arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": milliseconds(execution.start_date),
            "stopDate": milliseconds(execution.stop_date),
            "input": text(execution.input_data),
            "output": text(execution.output),
            "inputDetails": {"included": True},
            "outputDetails": {"included": True} if execution.output is not None else None,
            "error": execution.error,
            "cause": execution.cause,
        },
    }


def refusal(operation: str, parameters: dict[str, Any]) -> tuple[str, str] | None:
    """The error's type and message where Step Functions refuses what moto takes."""
    if operation == "StartExecution":
        name, given = parameters.get("name"), parameters.get("input", "{}")
        # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
        if name is not None and (
            not 1 <= len(name) <= 80 or re.search(r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]", name)
        ):
            return "InvalidName", f"Invalid Name: '{name[:100]}'"
        if len(given.encode("utf-8", "surrogatepass")) > LIMIT:
            return "ValidationException", f"Value at 'input' must have length less than or equal to {LIMIT}"
        if not _is_json(given):
            return "InvalidExecutionInput", "Invalid State Machine Execution Input: 'it is not JSON'"
    if operation in {"SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"}:
        return _task_refusal(operation, parameters)
    return None


def _task_refusal(operation: str, parameters: dict[str, Any]) -> tuple[str, str] | None:
    endpoint = _tokens.get(parameters.get("taskToken", ""))
    if endpoint is None:
        return "InvalidToken", "Invalid Token: 'Invalid token'"
    if endpoint._notify_event.is_set():  # noqa: SLF001
        return "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"
    if operation == "SendTaskSuccess":
        output = parameters.get("output", "")
        if len(output.encode()) > LIMIT or not _is_json(output):
            return "InvalidOutput", "Invalid Output: 'it is not JSON, or longer than 262,144 bytes'"
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
