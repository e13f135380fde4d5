"""Small parts of what Slack's readers read and write: moments in their own time zone, what is to be copied, what they typed."""

import re
from datetime import UTC, datetime


def moment(at: datetime, form: str = "{date_short_pretty} {time}") -> str:
    """A moment in the reader's own time zone (Slack: <!date^epoch^format|fallback>)."""
    return f"<!date^{int(at.timestamp())}^{form}|{utc(at)}>"


def utc(at: datetime) -> str:
    """A moment for whoever cannot see it in their own time zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def code(text: str) -> str:
    """A text for between backticks, to be copied as it is: at most 80 characters, without a backtick."""
    short = text if len(text) <= 80 else f"{text[:79]}…"
    return short.replace("`", "'").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def typed(text: str) -> str:
    """What somebody typed after a command. Slack writes & < > as entities, there as everywhere."""
    words = re.sub(r"\s+", " ", text).strip()
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
