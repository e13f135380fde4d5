"""The set-up: what each step says, and what it says if something is missing."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.devstack_fixture import wait_until

_CI = Path(__file__).parents[2] / ".ci"


def ran(*command: str | Path, folder: Path, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A program that has ended; `path` is all that it finds on PATH."""
    environment = {"PATH": str(path)} if path else dict(os.environ)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own


def has_ended(pid: int) -> bool:
    """A process that nobody has waited for yet has ended too: who adopts it in a container may never ask."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def step(folder: Path, command: str) -> "subprocess.CompletedProcess[str]":
    """A step of the set-up in `folder` that runs `command`."""
    return ran(_CI / "step", "The thing", "thing", "bash", "-c", command, folder=folder)


def test_a_step_says_how_long_it_took_and_not_what_its_programs_say(tmp_path: Path) -> None:
    began = time.monotonic()
    done = step(tmp_path, "sleep 1; echo WARNING: of somebody else >&2")
    took = time.monotonic() - began
    assert done.returncode == 0
    said = re.match(r"Set-up: The thing: (\d+) s, ", done.stdout)
    assert said
    assert 1 <= int(said[1]) <= took + 1  # whole seconds of a clock
    assert done.stderr == ""


def test_a_step_that_has_nothing_to_do_says_nothing(tmp_path: Path) -> None:
    done = step(tmp_path, "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list((tmp_path / ".devstack/tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("error: failed to write: No space left on device (os error 28)", "The disk is full: "),
        ("  cause: dns error: Temporary failure in name resolution", "A download failed. Is the network there?"),
        (
            "E: Failed to fetch http://deb.example.org/x.deb  Connection timed out",
            "A download failed. Is the network there?",
        ),
        ("ERROR: No matching distribution found for uv", "A download failed. Is the network there?"),
        ("  cause: invalid peer certificate: UnknownIssuer", "A certificate is not known here. "),
        ("mkdir: cannot create directory: Permission denied", "thing cannot be written by "),
        ("a fault of our own", ""),
    ],
)
def test_a_step_that_fails_shows_what_was_said_and_says_what_to_do(tmp_path: Path, said: str, advice: str) -> None:
    failed = step(tmp_path, f"echo {said!r} >&2; exit 3")
    assert failed.returncode == 3
    title, cause, *rest = failed.stderr.splitlines()
    assert (title, cause) == ("Set-up failed at: The thing.", said)
    assert " ".join(rest).startswith(advice)
    assert bool(rest) == bool(advice)


def test_a_step_that_is_interrupted_ends_all_that_it_started(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own
        [_CI / "step", "The thing", "thing", "bash", "-c", 'echo x > "$TMPDIR/half"; sleep 600 & echo $! > pid; wait'],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.terminate()  # or a failure would be waited for
    assert process.returncode == 130
    assert said == "The thing: interrupted; the same command goes on from here.\n"
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: has_ended(pid), what="the end of what it had started")
    assert list((tmp_path / ".devstack/tmp").iterdir()) == []


def test_a_step_whose_folder_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / ".devstack").touch()
    failed = step(tmp_path, "true")
    assert failed.returncode == 1
    assert "The thing: a folder cannot be made in " in failed.stderr


def tools(folder: Path, *names: str) -> Path:
    """A folder for PATH that has these programs of the machine alone."""
    folder.mkdir()
    for name in names:
        found = next(Path(each) / name for each in os.defpath.split(":") if (Path(each) / name).exists())
        (folder / name).symlink_to(found)
    return folder


_SCRIPT = ("bash", "realpath", "mkdir", "flock", "rm", "head", "sed")


def test_without_python_the_ways_to_get_one_are_named(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", "bash", "cat")
    failed = ran(path / "bash", _CI / "python", folder=tmp_path, path=path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("python3.13 with its module venv is wanted on PATH.")
    for way in ("apt-get install python3.13-venv", "uv python install 3.13", "pyenv install 3.13"):
        assert way in failed.stderr


def test_without_apt_the_programs_that_are_wanted_are_named(tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", *_SCRIPT)
    failed = ran(path / "bash", _CI / "programs", "monitoring", "programs", folder=tmp_path, path=path)
    assert failed.returncode == 1
    assert failed.stderr == (
        "apt-get is not here, so these programs are wanted on PATH: prometheus, promtool, "
        "alertmanager (or prometheus-alertmanager), amtool, blackbox_exporter (or prometheus-blackbox-exporter).\n"
    )


@pytest.mark.parametrize("prefix", ["", "prometheus-"])
def test_programs_that_are_on_path_are_taken_by_either_name(tmp_path: Path, prefix: str) -> None:
    path = tools(tmp_path / "bin", *_SCRIPT)
    exporter = f"{prefix}blackbox_exporter" if not prefix else "prometheus-blackbox-exporter"
    for name in ("prometheus", "promtool", "amtool", f"{prefix}alertmanager", exporter):
        (path / name).write_text("#!/bin/sh\n")
        (path / name).chmod(0o755)
    done = ran(path / "bash", _CI / "programs", "monitoring", "programs", folder=tmp_path, path=path)
    assert done.returncode == 0, done.stderr
    assert [each.name for each in (tmp_path / "programs").iterdir()] == ["lock"]
