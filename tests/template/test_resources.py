"""What the template promises of its parameters, functions, logs, table and state machine."""

import ast
import re
from typing import Any

import pytest

from devstack.aws.template import TemplateError, parameter_values, references
from oncall.probe import record as probe
from oncall.probe import run
from tests.template.conftest import GIVEN, TEMPLATE
from tests.template.reach import FUNCTIONS, reached_from

FUNCTION_NAMES = [f"{path.stem.title().replace('_', '')}Function" for path in sorted(FUNCTIONS.glob("*.py"))]

# What every function gets: Python and Powertools read all but one of them, and the name of the table is no right to it.
FOR_ALL = {
    *("TABLE_NAME", "PYTHONTZPATH", "LOG_LEVEL", "POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"),
    *("POWERTOOLS_TRACER_CAPTURE_ERROR", "POWERTOOLS_TRACER_CAPTURE_RESPONSE"),
}


def of_type(translated: Any, kind: str) -> dict[str, Any]:
    """The properties of the resources of a type."""
    return {name: each["Properties"] for name, each in translated["Resources"].items() if each["Type"] == kind}


# Parameters.


def test_every_parameter_is_described_used_and_constrained(template: Any, translated: Any) -> None:
    used = references([translated["Resources"], translated["Conditions"], translated["Outputs"]])
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert name in used, name
        constraints = {"AllowedPattern", "AllowedValues", "MinValue", "MaxValue"} & parameter.keys()
        assert constraints & {"AllowedPattern", "AllowedValues"} or constraints == {"MinValue", "MaxValue"}, name


def test_every_parameter_has_its_place_in_the_form(template: Any) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])


def test_only_what_nobody_else_can_know_has_to_be_given(template: Any) -> None:
    assert {name for name, each in template["Parameters"].items() if "Default" not in each} == GIVEN.keys()


def test_what_lets_the_stack_stand_elsewhere_is_empty_by_default(template: Any) -> None:
    for name in ("TwilioApiUrl", "SlackApiUrl", "PublicUrl"):
        assert template["Parameters"][name]["Default"] == ""


ACCEPTED = [
    ("SlackChannel", "C0123456789"),
    ("SlackChannel", "G012AB3CD"),
    ("SlackUserGroup", "S0123456789"),
    ("SlackUserGroup", ""),
    ("CallerNumber", "+819012345678"),
    ("RingSeconds", "5"),
    ("FallbackEmail", "on-call+x@example.com"),
    ("BearerTokenParameter", "/a/b-c_d.e"),
    ("ReservedConcurrency", "0"),
    ("RequestsPerAddress", "2000"),
    ("TwilioApiUrl", "http://127.0.0.1:8080"),
    ("SlackApiUrl", "http://127.0.0.1:8080/api/"),
    ("PublicUrl", "https://on-call.example.com/prod"),
    ("StageName", "prod_1"),
    ("ProbeNumber", "+12025550198"),
    ("ProbeNumber", ""),
    ("ProbeSchedule", "cron(0 2 ? * MON *)"),
    ("ProbeSchedule", ""),
]
REFUSED = [
    ("SlackChannel", "#alerts"),
    ("SlackChannel", ""),
    ("SlackUserGroup", "@oncall"),
    ("CallerNumber", "090-1234-5678"),
    ("CallerNumber", "+0123456789"),
    ("RingSeconds", "0"),
    ("RingSeconds", "121"),
    ("RingSeconds", "soon"),
    ("Language", "fr"),
    ("FallbackEmail", "nobody"),
    ("BearerTokenParameter", "no-slash"),
    ("BearerTokenParameter", "/with space"),
    ("LogRetentionDays", "2"),
    ("ReservedConcurrency", "-1"),
    ("RequestsPerAddress", "many"),
    ("DeletionProtection", "yes"),
    ("TwilioApiUrl", "http://127.0.0.1:8080/"),
    ("SlackApiUrl", "http://127.0.0.1:8080/api"),
    ("PublicUrl", "on-call.example.com/prod"),
    ("StageName", "a-b"),
    ("ProbeNumber", "2025550198"),
    ("ProbeSchedule", "weekly"),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_parameter_accepts(template: Any, name: str, value: str) -> None:
    assert parameter_values(template, {**GIVEN, name: value}, {})[name] == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_parameter_refuses(template: Any, name: str, value: str) -> None:
    with pytest.raises(TemplateError):
        parameter_values(template, {**GIVEN, name: value}, {})


# Functions.


def variables_of_settings() -> dict[str, str]:
    """By attribute of Settings, the environment variable that it is read from."""
    found = {}
    for node in ast.walk(ast.parse((FUNCTIONS / "oncall/settings.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Settings":
            for keyword in node.keywords:
                calls = [each for each in ast.walk(keyword.value) if isinstance(each, ast.Call)]
                (read,) = [each for each in calls if isinstance(each.func, ast.Name) and each.func.id == "env"]
                assert isinstance(read.args[0], ast.Constant)
                found[str(keyword.arg)] = str(read.args[0].value)
    return found


@pytest.mark.parametrize("function", FUNCTION_NAMES)
def test_a_functions_environment_is_what_its_code_reads(function: str, translated: Any) -> None:
    properties = translated["Resources"][function]["Properties"]
    reached = reached_from(properties["Handler"].split(".")[0])
    read = {variables_of_settings()[setting] for setting in reached.settings} | reached.secrets
    assert set(properties["Environment"]["Variables"]) - FOR_ALL == read - FOR_ALL


def test_every_setting_is_read_by_some_function(translated: Any) -> None:
    given = {
        name
        for each in of_type(translated, "AWS::Lambda::Function").values()
        for name in each["Environment"]["Variables"]
    }
    assert set(variables_of_settings().values()) <= given


@pytest.mark.parametrize("function", FUNCTION_NAMES)
def test_a_function_is_traced_described_and_bounded(function: str, translated: Any) -> None:
    properties = translated["Resources"][function]["Properties"]
    assert properties["Runtime"] == "python3.13"
    assert properties["Architectures"] == ["arm64"]
    is_each_minute = function == "ReconcileFunction"  # whose traces would cost more than its runs
    assert properties["TracingConfig"] == {"Mode": "PassThrough" if is_each_minute else "Active"}
    assert properties["Description"]
    assert 3 < properties["Timeout"] <= (180 if function == "ProbeFunction" else 60)


def test_a_run_of_the_probe_keeps_others_away_for_longer_than_it_can_take(translated: Any) -> None:
    timeout = of_type(translated, "AWS::Lambda::Function")["ProbeFunction"]["Timeout"]
    posting = sum(2**attempt for attempt in range(1, run.POST_TRIES)) + run.POST_TRIES * run.POST_SECONDS
    assert posting + run.SECONDS + run.SLACK_SECONDS < timeout < probe.LONGEST_MS / 1000


def test_the_probe_is_there_only_with_a_number_and_scheduled_only_with_a_schedule(translated: Any) -> None:
    parts = {name: each for name, each in translated["Resources"].items() if name.startswith("Probe")}
    scheduled = {name for name, each in parts.items() if each["Condition"] == "IsProbeScheduled"}
    assert scheduled == {"ProbeRule", "ProbeRulePermission"}
    assert parts.pop("ProbeErrors")["Condition"] == "HasAlarmOnProbe"
    assert {"Condition": "HasProbe"} in translated["Conditions"]["HasAlarmOnProbe"]["Fn::And"]
    assert {parts[name]["Condition"] for name in parts.keys() - scheduled} == {"HasProbe"}


def test_whoever_waits_gets_an_answer_before_he_hangs_up(translated: Any) -> None:
    """API Gateway waits for 29 s; Twilio for 15 s."""
    functions = of_type(translated, "AWS::Lambda::Function")
    assert functions["PhoneReplyFunction"]["Timeout"] < 15
    assert functions["SlackReplyFunction"]["Timeout"] < 29
    assert functions["AuthorizeFunction"]["Timeout"] < 29


def test_no_environment_holds_a_secret(translated: Any, template: Any) -> None:
    """Secrets are named, never given: a parameter with a secret would be NoEcho, and there is none."""
    assert not [name for name, each in template["Parameters"].items() if each.get("NoEcho")]
    for function in of_type(translated, "AWS::Lambda::Function").values():
        for name, value in function["Environment"]["Variables"].items():
            if re.search(r"TOKEN|SECRET|SID", name):
                assert name.endswith("_PARAMETER")
                assert set(value) == {"Ref"}


# Logs.


def test_every_function_and_the_state_machine_have_a_log_group_that_is_emptied(translated: Any) -> None:
    groups = of_type(translated, "AWS::Logs::LogGroup")
    assert {each["RetentionInDays"]["Ref"] for each in groups.values()} == {"LogRetentionDays"}
    functions = of_type(translated, "AWS::Lambda::Function")
    used = {each["LoggingConfig"]["LogGroup"]["Ref"] for each in functions.values()}
    assert len(used) == len(functions) == len(FUNCTION_NAMES)
    assert used | {"StateMachineLogs", "ApiLogs"} == groups.keys()


# The state machine.


def test_the_state_machine_logs_no_data_and_is_traced(translated: Any) -> None:
    (machine,) = of_type(translated, "AWS::StepFunctions::StateMachine").values()
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["StateMachineName"] == {"Fn::Sub": "${AWS::StackName}-on-call"}
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["LoggingConfiguration"] == {
        "Level": "ERROR",
        "IncludeExecutionData": False,
        "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["StateMachineLogs", "Arn"]}}}],
    }


def test_executions_that_end_badly_are_told_and_resumed(translated: Any) -> None:
    rules = of_type(translated, "AWS::Events::Rule")
    machine = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${AWS::StackName}-on-call"
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"Fn::Sub": machine}]},
    }
    told = [name for name, rule in rules.items() if rule.get("EventPattern") == pattern]
    targets = [target["Arn"] for name in told for target in rules[name]["Targets"]]
    assert targets == [{"Fn::GetAtt": ["ReconcileFunction", "Arn"]}], "which tells of it, too"
    scheduled = [rule["ScheduleExpression"] for rule in rules.values() if "ScheduleExpression" in rule]
    assert sorted(scheduled, key=str) == ["rate(1 minute)", {"Ref": "ProbeSchedule"}]


# The table.


def test_the_table_costs_nothing_idle_and_is_kept(translated: Any) -> None:
    table = translated["Resources"]["Table"]
    # Not RetainExceptOnCreate: a first deployment that fails would delete it, which its protection refuses.
    assert table["DeletionPolicy"] == "Retain"
    assert table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["DeletionProtectionEnabled"] == {"Fn::If": ["IsDeletionProtected", True, False]}
    assert translated["Conditions"]["IsDeletionProtected"] == {"Fn::Equals": [{"Ref": "DeletionProtection"}, "true"]}
    assert translated["Parameters"]["DeletionProtection"]["Default"] == "true"


def test_the_table_has_the_keys_that_the_code_writes(translated: Any) -> None:
    store = (FUNCTIONS / "oncall/table.py").read_text()
    properties = translated["Resources"]["Table"]["Properties"]
    assert [key["AttributeName"] for key in properties["KeySchema"]] == ["pk", "sk"]
    (index,) = properties["GlobalSecondaryIndexes"]
    assert f'INDEX = "{index["IndexName"]}"' in store
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["due", "due_at"]
    assert "due = :due AND due_at < :before" in store
    assert (
        properties["TimeToLiveSpecification"]["AttributeName"] in (FUNCTIONS / "oncall/incidents/store.py").read_text()
    )


# Outputs and the rest.


def test_outputs_say_what_people_need(translated: Any) -> None:
    outputs = translated["Outputs"]
    assert outputs.keys() == {
        *("EnqueueUrl", "EventsUrl", "HeartbeatsUrl"),
        *("AlertsUrl", "HeartbeatUrl", "CallKeyUrl", "CallStatusUrl", "ProbeUrl", "CalendarUrl"),
        *("SlackActionsUrl", "SlackCommandsUrl", "SlackEventsUrl"),
        *("TableName", "StateMachineArn", "FallbackTopicArn"),
    }
    assert all(each["Description"] for each in outputs.values())


def test_the_urls_in_the_outputs_are_paths_of_the_api(translated: Any, body: Any) -> None:
    urls = [each["Value"]["Fn::Sub"] for name, each in translated["Outputs"].items() if name.endswith("Url")]
    fixed = {path.partition("/{")[0] for path in body["paths"]}  # a source or a key follows
    assert {url.split("${StageName}")[1] for url in urls} == fixed - {"/peer"}  # the other stack's own, told as PeerUrl


def test_mail_is_sent_only_to_somebody(translated: Any) -> None:
    subscription = translated["Resources"]["FallbackEmailSubscription"]
    assert subscription["Condition"] == "HasFallbackEmail"
    assert translated["Conditions"]["HasFallbackEmail"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "FallbackEmail"}, ""]}]}


def test_no_account_region_or_partition_is_written_down() -> None:
    text = TEMPLATE.read_text()
    assert not re.search(r"arn:aws:|\b\d{12}\b|us-east-1|ap-northeast-1", text)


def test_each_function_has_its_time_zones_from_the_package(translated: Any) -> None:
    """An empty PYTHONTZPATH: no folder of the machine is looked at (Python: zoneinfo, configuring the data sources)."""
    functions = of_type(translated, "AWS::Lambda::Function")
    assert functions
    for name, function in functions.items():
        assert function["Environment"]["Variables"]["PYTHONTZPATH"] == "", name
    assert re.search(r"^tzdata==20(2[6-9]|[3-9])", (FUNCTIONS / "requirements.txt").read_text(), re.MULTILINE)
