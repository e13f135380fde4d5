"""What Slack's readers see of the probe: one quiet line, when it is over. Slack: context element text 3,000."""

from collections.abc import Mapping
from typing import Any

from oncall.incidents import Incident
from oncall.roster import Language
from oncall.slack.messages import escape

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "good": "✅ On-call probe: an alert rang the test number after {ring} s and was acknowledged after {taken} s. "
        "Nothing to do.",
        "bad": "❌ On-call probe failed: {problem}. A real page may fail, too.",
        "late": "The on-call probe was stopped before it began. Nothing to do.",
    },
    "ja": {
        "good": "✅ オンコールの自己診断：アラートから{ring}秒でテスト用の電話が鳴り、{taken}秒で応答されました。"
        "対応は不要です。",
        "bad": "❌ オンコールの自己診断が失敗しました。本当のアラートも届かないおそれがあります。\n{problem}",
        "late": "オンコールの自己診断は、始まる前に打ち切られました。対応は不要です。",
    },
}


def message(incident: Incident, language: Language) -> tuple[str, list[dict[str, Any]]]:
    """The message's text (for notifications) and its blocks."""
    words = _WORDS[language]
    told = incident.probe
    if told is None:
        text = words["late"]
    elif told.problem:
        text = words["bad"].format(problem=escape(told.problem, 500))
    else:
        text = words["good"].format(ring=f"{told.ringing / 1000:.1f}", taken=f"{told.acknowledged / 1000:.1f}")
    return text, [{"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}]
