"""The wheels of the functions' dependencies, each checked against its hash in functions/requirements.txt.

SAM has pip download this machine's wheels by that file, hashes included, and then those of the functions' processor by name
and version alone. So they are all fetched and checked here, and pip is told to take them from nowhere else: over HTTP, since
SAM has what pip finds in a folder built into a wheel again, one by one.
"""

import hashlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "functions/requirements.txt"
FOLDER = ROOT / ".aws-sam/wheels"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


def checked(requirements: Path, runtime: str, architecture: str) -> Path:
    """A folder with the wheels for a function's runtime (python3.13) and architecture (arm64), and those of this machine.

    Raises SystemExit with what pip said: a wheel that has another hash, or none that is known.
    """
    version = runtime.removeprefix("python")
    named = hashlib.sha256(f"{sys.version} {runtime} {architecture} ".encode() + requirements.read_bytes()).hexdigest()[
        :16
    ]
    folder = FOLDER / named
    if folder.exists():
        return folder
    shutil.rmtree(FOLDER, ignore_errors=True)  # of other requirements
    unfinished = FOLDER / f"{named}.unfinished"
    machine = MACHINES[architecture]
    # Amazon Linux 2023 has glibc 2.34.
    platforms = [f"--platform=manylinux{glibc}_{machine}" for glibc in ("2014", "_2_17", "_2_28", "_2_34")]
    for target in (
        (),
        (*platforms, "--implementation=cp", f"--abi=cp{version.replace('.', '')}", f"--python-version={version}"),
    ):
        _download(requirements, unfinished, *target)
    unfinished.rename(folder)
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name for it
        del format, args


@contextmanager
def only(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which pip takes wheels of that folder alone, as long as it is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            links = f"http://127.0.0.1:{server.server_port}/"
            no_proxy = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
            yield {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": links, "PIP_NO_CACHE_DIR": "1", **no_proxy}
        finally:
            server.shutdown()


def _download(requirements: Path, folder: Path, *target: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += ["--no-deps", "--only-binary=:all:", "--requirement", str(requirements), "--dest", str(folder), *target]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"The functions' dependencies could not be had as {requirements} says:\n{done.stderr[-4000:]}")
