"""What a call says, as TwiML. In Japanese or English, short enough to be understood half asleep."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from twilio.twiml.voice_response import Gather, VoiceResponse

from oncall.roster import Language
from oncall.telephone import Callbacks

TWIML_LIMIT = 4_000  # Twilio: Twiml at most 4,000 characters
KEY_SECONDS = 6  # how long a pressed key is waited for after the words
SPOKEN_LIMIT = 200  # characters of a summary that are read aloud: about fifteen seconds

_VOICES: Mapping[Language, tuple[Literal["ja-JP", "en-US"], str]] = {
    "ja": ("ja-JP", "Polly.Mizuki"),
    "en": ("en-US", "Polly.Joanna"),
}

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "alert": "On-call alert. {product}{what}{more}.",
        "product": "Product {product}: ",
        "more": ", and {count} more alerts",
        "cut": " The alert was too long and was cut.",
        "keys": "Press 1 to take it. 2 to pass it on. 3 to hear it again.",
        "wrong": "Only 1, 2 and 3 mean something here.",
        "silence": "No key was pressed. The next person is called now. Good bye.",
        "taken": "Thank you. You have it. The details are in Slack. Good bye.",
        "passed": "All right. The next person is called now. Good bye.",
        "other": "{who} already has it, taken {ago}. You can go back to sleep. Good bye.",
        "over": "It is over. The alert has been resolved. You can go back to sleep. Good bye.",
        "gone": "This alert is no longer open. Please look at Slack. Good bye.",
        "moment": "One moment, please.",
        "unwritten": "I could not write that down. Please acknowledge it in Slack. Others are called meanwhile. Good bye.",
        "test": "This is only a test call of the on-call system. Press 1 so that we know that your phone works.",
        "untested": "No key was pressed, so this number is not proven. Good bye.",
        "proven": "Thank you. This phone works. Good bye.",
        "now": "just now",
        "minute": "one minute ago",
        "minutes": "{count} minutes ago",
    },
    "ja": {
        "alert": "オンコールのアラートです。{product}{what}{more}。",
        "product": "プロダクト、{product}。",
        "more": "、ほか{count}件",
        "cut": "アラートが長すぎるため、一部を省略しました。",
        "keys": "対応する場合は1を、次の人に回す場合は2を、もう一度聞く場合は3を押してください。",
        "wrong": "使えるのは1、2、3だけです。",
        "silence": "番号が押されませんでした。次の担当者に電話します。失礼します。",
        "taken": "ありがとうございます。対応者として記録しました。詳細はスラックをご覧ください。失礼します。",
        "passed": "わかりました。次の担当者に電話します。失礼します。",
        "other": "{ago}、{who}さんが対応を引き受けました。お休みください。失礼します。",
        "over": "アラートは解決しました。お休みください。失礼します。",
        "gone": "このアラートはすでに終わっています。スラックをご覧ください。失礼します。",
        "moment": "少々お待ちください。",
        "unwritten": "記録できませんでした。スラックで対応を宣言してください。ほかの担当者にも電話しています。失礼します。",
        "test": "オンコールのテスト電話です。障害ではありません。この電話がつながることを確認するため、1を押してください。",
        "untested": "番号が押されなかったため、確認できませんでした。失礼します。",
        "proven": "ありがとうございます。この電話は確認できました。失礼します。",
        "now": "たった今",
        "minute": "1分前に",
        "minutes": "{count}分前に",
    },
}


@dataclass(frozen=True, slots=True)
class Voice:
    """One language's voice in one call."""

    language: Language
    callbacks: Callbacks

    def alert(self, about: Mapping[str, Any], *, first: str = "") -> str:
        """The alert and the keys, twice, then a good-bye: a voicemail ends by itself. `first` is a word to begin with."""
        for limit in (SPOKEN_LIMIT, 100, 40):
            words = " ".join(filter(None, (first and self._say(first), self._alert(about, limit))))
            twiml = self._ask(f"{words} {self._say('keys')}", "silence")
            if len(twiml) <= TWIML_LIMIT:
                break
        return twiml

    def test(self) -> str:
        """A test call's words, twice, then a good-bye."""
        return self._ask(self._say("test"), "untested")

    def goodbye(self, word: str, **values: Any) -> str:
        """One of the last words: taken, passed, other (with `who` and `minutes`), over, gone, unwritten, proven."""
        if "who" in values:
            values["who"] = _spoken(values["who"], 40)
        response = VoiceResponse()
        self._speak(response, self._say(word, **values))
        response.hangup()
        return str(response)

    def moment(self, digits: str, tries: int) -> str:
        """Asks for a moment and then brings the same key again."""
        response = VoiceResponse()
        self._speak(response, self._say("moment"))
        response.pause(length=2)
        response.redirect(self.callbacks.retry(digits, tries), method="POST")
        return str(response)

    def _ask(self, text: str, silence: str) -> str:
        """A text and the wait for a key, twice, then the word `silence`."""
        response = VoiceResponse()
        for _ in range(2):
            gather = Gather(
                action=self.callbacks.key,
                method="POST",
                num_digits=1,
                timeout=KEY_SECONDS,
                action_on_empty_result=False,
            )
            self._speak(gather, text)
            response.append(gather)
        self._speak(response, self._say(silence))
        response.hangup()
        return str(response)

    def _alert(self, about: Mapping[str, Any], limit: int) -> str:
        what = _spoken(str(about["summary"]), limit)
        product = _spoken(str(about.get("product", "")), 40)
        if what.lower().startswith(product.lower()):
            product = ""  # it is said already
        more = int(about.get("firing", 1)) - 1
        return self._say(
            "alert",
            product=self._say("product", product=product) if product else "",
            what=what,
            more=self._say("more", count=more) if more > 0 else "",
        ) + (self._say("cut") if about.get("cut") else "")

    def _say(self, word: str, **values: Any) -> str:
        words = _WORDS[self.language]
        if "minutes" in values:
            minutes = values.pop("minutes")
            values["ago"] = words["now" if minutes < 1 else "minute" if minutes < 2 else "minutes"].format(
                count=minutes
            )
        return words[word].format(**values)

    def _speak(self, verb: VoiceResponse, text: str) -> None:
        language, voice = _VOICES[self.language]
        verb.say(text, language=language, voice=voice)


def _spoken(text: str, limit: int) -> str:
    """A text as it can be spoken: no schemes, braces, percent signs or control characters; cut at a word."""
    text = re.sub(r"https?://", "", unicodedata.normalize("NFC", text))
    text = re.sub(r"[^\w\s.,:;!?()'+/-]", " ", text)
    text = re.sub(r"\s+", " ", text).strip().rstrip(".")
    if len(text) <= limit:
        return text
    return text[:limit].rsplit(" ", 1)[0]
