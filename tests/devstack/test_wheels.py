"""What the functions ship with is what the lock file names, by its hash."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from devstack.system import wheels
from devstack.system.build import BUILT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel that pip finds, and no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(wheels, "FOLDER", tmp_path / "wheels")
    return folder


def written(folder: Path, digest: str) -> Path:
    requirements = folder.parent / "requirements.txt"
    requirements.write_text(f"tiny==1.0 --hash=sha256:{digest}\n" if digest else "tiny==1.0\n")
    return requirements


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(command: str) -> str:
    """What a command of the project prints."""
    done = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603  our own
    return done.stdout


def test_a_wheel_with_its_hash_is_taken(index: Path) -> None:
    requirements = written(index, sha256(index / "tiny-1.0-py3-none-any.whl"))
    folder = wheels.checked(requirements, "python3.13", "arm64")
    assert [path.name for path in folder.iterdir()] == ["tiny-1.0-py3-none-any.whl"]
    (index / "tiny-1.0-py3-none-any.whl").unlink()
    assert wheels.checked(requirements, "python3.13", "arm64") == folder


@pytest.mark.parametrize("digest", ["0" * 64, ""], ids=["another hash", "no hash"])
def test_a_wheel_with_another_hash_ends_the_build(index: Path, digest: str) -> None:
    with pytest.raises(SystemExit, match=r"(?i)hash"):
        wheels.checked(written(index, digest), "python3.13", "arm64")
    assert not [path for path in (index.parent / "wheels").rglob("*.whl") if "unfinished" not in str(path)]


def test_sam_is_served_the_checked_wheels_and_builds_none_again(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = wheels.checked(written(index, sha256(index / "tiny-1.0-py3-none-any.whl")), "python3.13", "arm64")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # a network's, which knows nothing of this machine's ports
    arguments = ("-m", "pip", "download", "--dest", index.parent / "taken", "tiny==1.0")
    with wheels.only(checked) as taken:
        said = subprocess.run(  # noqa: S603  our own
            [sys.executable, *arguments], env={**os.environ, **taken}, capture_output=True, text=True, check=True
        ).stdout
    assert (index.parent / "taken/tiny-1.0-py3-none-any.whl").is_file()
    assert "Processing" not in said  # what pip says of a folder's wheel, and SAM takes for something to build


def test_the_requirements_are_the_lock_files_with_hashes() -> None:
    exported = run(".venv/bin/uv export --quiet --frozen --only-group functions --no-header --no-annotate")
    assert wheels.REQUIREMENTS.read_text() == exported, "make requirements"
    for requirement in re.split(r"\n(?=\S)", exported.strip()):
        assert "--hash=sha256:" in requirement


def test_the_list_of_what_is_shipped_has_all_that_is_in_the_artifact(tmp_path: Path) -> None:
    listed = tmp_path / "sbom.json"
    run(f"/usr/bin/env make --silent sbom OUT={listed}")
    document = json.loads(listed.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    components = {(one["name"].replace("-", "_"), one["version"]) for one in document["components"]}
    (archive,) = BUILT.glob("*.zip")
    names = {name.partition("/")[0] for name in zipfile.ZipFile(archive).namelist() if ".dist-info/" in name}
    shipped = {
        (name.replace("-", "_"), version)
        for name, version in (one.removesuffix(".dist-info").rsplit("-", 1) for one in names)
    }
    assert shipped
    assert {(name.lower(), version) for name, version in shipped} <= components
