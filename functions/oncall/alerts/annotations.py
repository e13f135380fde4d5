"""Which of an alert's annotations is told.

People write `summary`, `message` (rules of before 2020, Grafana's legacy alerts, many mixins) or only `description`; for
each there may be one for a language: `summary_ja`.
"""

import re
from collections.abc import Mapping

from oncall.roster import Language

HEADLINE = ("summary", "message", "description")  # the first that says something is the headline

_NOTHING = re.compile(r"(?i)\W*(?:n/a|none|null|nil|undefined|(?:no )?value)\W*")  # what templates without data make


def says_something(text: str) -> bool:
    """Whether there is anything to say or to read: a letter or a digit, and not only a word for nothing."""
    return any(map(str.isalnum, text)) and not _NOTHING.fullmatch(text)


def annotation(annotations: Mapping[str, str], language: Language | None, *names: str) -> str:
    """The first of some annotations that says something, of each the one in the language before the plain one; else ''."""
    for name in names:
        for written in (annotations.get(f"{name}_{language}", ""), annotations.get(name, "")):
            if says_something(written):
                return written
    return ""


def headline(annotations: Mapping[str, str], language: Language | None = None) -> str:
    """What an alert says in a sentence; '' if it says nothing, so that its title has to do."""
    return annotation(annotations, language, *HEADLINE)


# What stands in an alert and is ours, in Japanese; all else is what others wrote.
_OURS = (
    (re.compile(r"an alert without a name(?:: (.*))?"), "名前のないアラート"),
    (re.compile(r"Paged by (.+)"), "{}さんからの呼び出し"),
)


def ours_in(language: Language, text: str) -> str:
    """A text of an alert for a reader of a language: what we have put there ourselves is in it."""
    if language == "ja":
        for written, japanese in _OURS:
            if found := written.fullmatch(text):
                rest = f"：{found[1]}" if found[1] and "{}" not in japanese else ""
                return japanese.format(found[1]) + rest
    return text
