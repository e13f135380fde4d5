"""What others write (labels, annotations, names), as it may be shown: in a terminal, a text message, a mail, a log, Slack.

A control character can write to a terminal's clipboard or overwrite a line; one that turns the direction of writing shows
another word than there is. So all that is shown goes through `seen`.
"""

import json
import re
import unicodedata
from typing import Any

# What mail programs and phones make a link of: a scheme, and names with a dot between them.
_SCHEME = re.compile(r":(?=//)")
_HOST = re.compile(r"(?<=[\w-])[.\u3002\uff0e\uff61](?=[^\W\d_]{2})")


def seen(text: str) -> str:
    """A text without control and format characters (zero width, right to left ...), and with few accents on a letter.

    Its lines stay; all other white space is a space.
    """
    kept, accents = [], 0
    for character in text:
        category = unicodedata.category(character)
        accents = accents + 1 if category in ("Mn", "Me") else 0
        if character.isspace():
            kept.append(character if character == "\n" else " ")
        elif category not in ("Cc", "Cf", "Cs") and accents <= 3:
            kept.append(character)
    return "".join(kept)


def unlinked(text: str) -> str:
    """The same for mails and text messages, where only our own links may be links: https[:]//shop[.]example[.]com.

    And only our own lines may be lines: it is one.
    """
    return " ".join(_HOST.sub("[.]", _SCHEME.sub("[:]", seen(text))).split())


def all_seen(value: Any) -> Any:
    """A value of JSON with every text in it, names of attributes too, as it may be shown."""
    if isinstance(value, str):
        return seen(value)
    if isinstance(value, dict):
        return {all_seen(name): all_seen(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [all_seen(inner) for inner in value]
    return value


def log_line(record: dict[str, Any]) -> str:
    """A log's record as its line. Times and errors are written as they print themselves."""
    return json.dumps(all_seen(record), default=lambda value: seen(str(value)), ensure_ascii=False)
