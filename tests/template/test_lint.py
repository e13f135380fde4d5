"""AWS's own linters have nothing against the template, nor against what SAM makes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cfnlint.api import lint, lint_file
from cfnlint.config import ManualArgs

from tests.template.conftest import ROOT, TEMPLATE

REGIONS = ManualArgs(regions=["us-east-1", "ap-northeast-1", "eu-central-1"])


def test_cfn_lint_passes_on_the_template() -> None:
    assert [str(found) for found in lint_file(TEMPLATE, config=REGIONS)] == []


def test_cfn_lint_passes_on_the_translation_with_the_state_machine_in_it(translated: Any) -> None:
    machine = translated["Resources"]["StateMachine"]["Properties"]
    assert "ReceiveAlerts" in json.dumps(machine), "the definition is linted along"
    found = lint(json.dumps(translated), config=REGIONS)
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_cfn_lint_sees_into_the_translation(translated: Any) -> None:
    broken = json.loads(json.dumps(translated))
    broken["Resources"]["PhoneCallFunction"]["Properties"]["Runtime"] = "python2.7"
    broken["Resources"]["Table"]["DeletionPolicy"] = "Keep"
    found = {each.rule.id for each in lint(json.dumps(broken), config=REGIONS)}
    assert found >= {"E2533", "E3035"}, "the runtime, and the policy"


def test_sam_validate_passes() -> None:
    sam = Path(sys.executable).with_name("sam")
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    ran = subprocess.run(  # noqa: S603 - the project's own program
        [sam, "validate", "--lint", "--region", "us-east-1", "--template", TEMPLATE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
