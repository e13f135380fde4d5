"""What the documents tell people to type exists, and the Japanese README tells the same as the English one."""

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer

from oncall_cli.main import app

ROOT = Path(__file__).parents[2]


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a document, without indentation, comments and empty lines."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(rf"^[ ]*```{language}\n(.*?)^[ ]*```", text, flags=re.DOTALL | re.MULTILINE)
    return [
        "\n".join(filter(None, (re.sub(r"\s+# .*", "", line).strip() for line in one.split("\n")))) for one in found
    ]


def commands(name: str) -> list[str]:
    """The lines of a document's blocks that run the command."""
    return [line for one in blocks(name, "sh") for line in one.split("\n") if line.startswith("oncall ")]


@pytest.mark.parametrize("language", ["sh", "yaml"])
def test_the_japanese_readme_has_the_commands_of_the_english_one(language: str) -> None:
    assert blocks("README.ja.md", language) == blocks("README.md", language)


def test_the_japanese_readme_lists_the_same_commands() -> None:
    first = [
        re.findall(r"^\| (`.*?`) \|", (ROOT / name).read_text(), flags=re.MULTILINE)
        for name in ("README.md", "README.ja.md")
    ]
    assert len(first[0]) > 10
    assert first[0] == first[1]


@pytest.mark.parametrize("line", [*commands("docs/how-to.md"), *commands("README.md"), *commands("README.ja.md")])
def test_each_command_of_the_documents_is_one_with_these_options(line: str) -> None:
    words = list(takewhile(lambda word: word != ">", shlex.split(line)[1:]))
    command: Any = typer.main.get_command(app)  # Typer brings a click of its own
    while hasattr(command, "get_command"):
        found = command.get_command(typer.Context(command), words.pop(0))
        assert found is not None, line
        command = found
    command.make_context("oncall", words, resilient_parsing=False)  # raises for what it does not know


@pytest.mark.parametrize("name", ["docs/how-to.md", "README.ja.md"])
def test_each_link_leads_to_a_file_and_a_heading(name: str) -> None:
    path = ROOT / name
    for link, heading in re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
        target = path.parent / link
        assert target.is_file(), link
        headings = {
            re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-")
            for found in re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
        }
        assert not heading or heading in headings, f"{link}#{heading}"
