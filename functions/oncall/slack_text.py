"""Small parts of what Slack's readers read: escaped names, moments in their own time zone, links to messages."""

import re
from datetime import UTC, datetime


def moment(at: datetime) -> str:
    """A moment in the reader's own time zone (Slack: <!date^epoch^format|fallback>)."""
    utc = at.astimezone(UTC)
    return f"<!date^{int(utc.timestamp())}^{{date_short_pretty}} {{time}}|{utc:%Y-%m-%d %H:%M} UTC>"


def message_link(workspace: str, channel: str, ts: str) -> str:
    """The address of a message; `workspace` is Slack's, such as https://example.slack.com."""
    return f"{workspace.rstrip('/')}/archives/{channel}/p{ts.replace('.', '')}"


def plain(text: str) -> str:
    """What somebody typed after a command. Slack writes & < > as entities, there as everywhere."""
    words = re.sub(r"\s+", " ", text).strip()
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
