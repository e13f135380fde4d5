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
