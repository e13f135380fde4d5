"""Help is at hand for every command, shows an example, and loads nothing that only commands need."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from oncall_cli.main import app
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]


def commands() -> list[list[str]]:
    found: list[list[str]] = []
    for name, command in typer.main.get_group(app).commands.items():
        found += [[name, inner] for inner in command.commands] if hasattr(command, "commands") else [[name]]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_shows_an_example(run: Run, command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.status == 0
    assert f"Example: oncall {' '.join(command)}" in shown.out


def test_help_loads_neither_aws_nor_yaml() -> None:
    code = (
        "import sys\nfrom oncall_cli.main import app\n"
        "try:\n    app(['--help'], prog_name='oncall')\nexcept SystemExit:\n    pass\n"
        "heavy = {'boto3', 'botocore', 'yaml', 'phonenumbers', 'oncall.roster.model', 'twilio', 'slack_sdk'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run(  # noqa: S603  this project's own code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "oncall [OPTIONS] COMMAND" in done.stdout


def test_no_command_loads_what_only_the_functions_have() -> None:
    """The command is installed without Twilio's and Slack's libraries, and without the tracer."""
    modules = sorted(path.stem for path in (ROOT / "oncall_cli").glob("*.py") if not path.stem.startswith("__"))
    code = (
        f"import sys, importlib\nfor name in {modules}:\n    importlib.import_module(f'oncall_cli.{{name}}')\n"
        "extra = {'twilio', 'slack_sdk', 'aws_xray_sdk', 'requests', 'moto', 'werkzeug'} & set(sys.modules)\n"
        "sys.exit(f'loaded {extra}' if extra else 0)"
    )
    done = subprocess.run(  # noqa: S603  this project's own code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_program() -> None:
    """No roster is needed to hear that a file is missing; the exit status says so too, without a traceback."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "oncall_cli",
            "roster",
            "apply",
            "missing.yaml",
            "--table",
            "t",
            "--endpoint-url",
            "http://127.0.0.1:1",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"AWS_REGION": "eu-central-1", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "oncall: missing.yaml: cannot be read: No such file or directory\n"
