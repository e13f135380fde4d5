"""The words of docs/glossary.md are the only ones for what they mean, in everything that people read and in the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = sorted(
    path
    for folder, kinds in (
        ("functions", ("py",)),
        ("oncall_cli", ("py", "yaml", "json")),
        ("devstack/console", ("py", "js", "html")),
        ("docs", ("md",)),
        ("alertmanager", ("yml",)),
        ("prometheus", ("yml",)),
    )
    for kind in kinds
    for path in (ROOT / folder).rglob(f"*.{kind}")
)
# What is said instead, by the glossary.
OTHERS = {
    "架電": "電話",
    r"\b[Mm]end(s|ed|ing)?\b": "fix",
    r"[Rr]ing the next one": "call the next person",
}


def test_the_glossary_is_where_it_is_looked_for() -> None:
    glossary = (ROOT / "docs/glossary.md").read_text()
    assert all(word in glossary for word in OTHERS.values())
    assert len(WRITTEN) > 200


@pytest.mark.parametrize(("other", "word"), OTHERS.items())
def test_nothing_has_another_word_for_it(other: str, word: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in WRITTEN
        if path.name != "glossary.md"
        for match in re.finditer(other, path.read_text())
    }
    assert found == set(), f"say {word}"
