"""Builds the functions with `sam build`, compiles and zips them."""

import compileall
import json
import os
import py_compile
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

from devstack.aws.template import parse
from devstack.system import wheels
from devstack.system.artifact import leave_out

ROOT = Path(__file__).parents[2]
BUILT = ROOT / ".aws-sam/build"


def build() -> None:
    """Build into .aws-sam/build. Raises SystemExit with the tail of SAM's output if it fails.

    `sam build` alone does as well, but writes the code of seven functions seven times, and `sam deploy` then zips it seven
    times. Here functions with the same source and runtime are built once and share one zip.
    """
    started = time.time()
    source = parse((ROOT / "template.yaml").read_text())
    shared = source.get("Globals", {}).get("Function", {})
    archives: dict[str, str] = {}  # the name of the zip by what tells builds apart
    said: list[str] = []
    for logical_id, properties in _functions(source):
        own = shared | properties
        key = json.dumps([own.get(name) for name in ("CodeUri", "Runtime", "Architectures", "Layers")])
        if key not in archives:
            _sam_build(logical_id, wheels.checked(wheels.REQUIREMENTS, own["Runtime"], own["Architectures"][0]))
            freed = leave_out(BUILT / logical_id)
            _compile(BUILT / logical_id)
            archives[key] = _zip(BUILT / logical_id)
            size = (BUILT / archives[key]).stat().st_size
            said.append(f"{archives[key]}: {size / 1e6:.1f} MB. Left out, unpacked (devstack/system/artifact.py):")
            said += [f"{bytes_ / 1e6:6.1f} MB  {why}" for why, bytes_ in freed.most_common()]
        properties["built"] = archives[key]
    template = parse((BUILT / "template.yaml").read_text())
    built = {logical_id: properties["built"] for logical_id, properties in _functions(source)}
    for logical_id, properties in _functions(template):
        properties["CodeUri"] = built[logical_id]
    (BUILT / "template.yaml").write_text(json.dumps(template, indent=1))  # JSON is YAML
    (BUILT / "left-out.txt").write_text("\n".join(said) + "\n")
    complete = BUILT / ".complete"
    complete.touch()
    os.utime(complete, (started, started))  # what is edited during a build is newer than it


def _functions(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (logical_id, resource["Properties"])
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def _sam_build(logical_id: str, checked: Path) -> None:
    sam = Path(sys.executable).with_name("sam")
    command = [str(sam), "build", logical_id, "--cached", "--build-dir", str(BUILT)]
    path = f"{sam.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # SAM looks for a Python with pip
    with wheels.only(checked) as taken:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": path, **taken},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(f"sam build failed:\n{(done.stdout + done.stderr)[-4000:]}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _compile(folder: Path) -> None:
    compileall.compile_dir(
        folder,
        quiet=2,  # files for other Pythons among the dependencies do not compile
        force=True,
        stripdir=str(folder),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        workers=os.cpu_count() or 1,
    )


def _zip(folder: Path) -> str:
    """The name of a zip of `folder`, beside it. The same content gives the same bytes, so that it is uploaded once."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        for file in _files(folder):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, file.read_bytes())
    return archive.name


if __name__ == "__main__":
    build()
