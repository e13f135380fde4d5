"""The word once a week that something is in shadow: what rings nobody is not forgotten."""

from collections.abc import Mapping

from oncall import roster, shadow
from oncall.clock import at
from oncall.roster import Language
from oncall.services import Services
from oncall.slack.messages import escape
from oncall.slack.mrkdwn import moment
from oncall.slack.words import WORDS

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "all": "the whole stack",
        "told": (
            "{mark} Since {since} nobody is rung, texted or mentioned for: {what}. What would have rung: `oncall shadow report "
            "--since 7d`. To go live, deploy with `Mode=live`, or take `shadow: true` out of the roster."
        ),
    },
    "ja": {
        "all": "スタック全体",
        "told": (
            "{mark} {since}から、次のものは電話・SMS・メンションをしていません：{what}。本番なら誰に電話していたかは "
            "`oncall shadow report --since 7d` で分かります。本番にするには、`Mode=live` でデプロイするか、名簿から "
            "`shadow: true` を消してください。"
        ),
    },
}


def remind(services: Services) -> None:
    """Posts it in shadow's channel. Raises what slack_sdk raises: then it is asked for again."""
    names = shadow.named(services.settings, roster.read_table(services.table))
    if names == []:
        return  # it has gone live meanwhile
    language = services.settings.language
    words = _WORDS[language]
    what = words["all"] if names is None else escape(", ".join(names), 1_000)
    text = words["told"].format(
        mark=WORDS[language]["shadow"], since=moment(at(shadow.since(services.table))), what=what
    )
    channel = services.settings.shadow_channel or services.settings.slack_channel
    services.slack().chat_postMessage(channel=channel, text=text)
    shadow.was_told(services)
