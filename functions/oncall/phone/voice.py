"""What a call says, as TwiML. In Japanese or English, short enough to be understood half asleep.

What stands in an alert is said by the voice of the language that it is written in: a Japanese voice spells English, and an
English one passes over Japanese.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from twilio.twiml.voice_response import Gather, Say, VoiceResponse

from oncall.alerts import annotations
from oncall.incidents import TRAITS, Headline, Incident
from oncall.pages import Storm
from oncall.phone import speech
from oncall.phone.provider import Callbacks
from oncall.roster import Language

TWIML_LIMIT = 4_000  # Twilio: Twiml at most 4,000 characters
KEY_SECONDS = 6  # how long a pressed key is waited for after the words
LIFT_MS = 500  # the phone is on its way to the ear
PAUSE_MS = 300  # before the keys

# Characters that are read aloud of what happened: about six seconds; and of an alert's details.
_SUMMARY: Mapping[Language, int] = {"en": 90, "ja": 60}
_DETAILS: Mapping[Language, int] = {"en": 220, "ja": 120}
NAMED = 3  # alerts, or incidents, that the details name beside the first
_NAME = 40
_TRAIT: Mapping[Language, int] = {"en": 30, "ja": 30}
_DETAILED_TRAITS = 3

# Twilio: Polly's neural voices. They know the SSML tags break, lang, p, phoneme, s, sub and w, of prosody rate and volume,
# and neither emphasis nor say-as for characters.
_VOICES: Mapping[Language, tuple[Literal["ja-JP", "en-US"], str]] = {
    "ja": ("ja-JP", "Polly.Kazuha-Neural"),
    "en": ("en-US", "Polly.Joanna-Neural"),
}

type Piece = tuple[Language, str]  # words and the voice that says them

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "alert": "On-call alert.",
        "alert_for": "On-call alert for {product}.",
        "only_a_test": "This is only a test.",
        "one_more": "And one more alert.",
        "more": "And {count} more alerts.",
        "at_least_one_more": "And at least one more alert.",
        "at_least_more": "And at least {count} more alerts.",
        "perhaps_more": "There may be more alerts.",
        "keys": "Press 1 to take it, 2 to pass it on, 3 to hear it again, 0 for details.",
        "many": "{count} incidents in all.",
        "many_products": "{count} incidents in all, of several products.",
        "in_common": "They have in common:",
        "instance": "host",
        "node": "node",
        "host": "host",
        "cluster": "cluster",
        "region": "region",
        "availability_zone": "zone",
        "zone": "zone",
        "namespace": "namespace",
        "service": "service",
        "alertname": "alert",
        "wrong": "That key does nothing.",
        "called": "The alert is called",
        "began": "It began {ago}.",
        "firing": "{count} alerts fire.",
        "firing_at_least": "At least {count} alerts fire.",
        "also": "There are also:",
        "others": "Among the others:",
        "cut": "Slack does not show all of it: the alert was too long.",
        "unreadable": "What it says is in another language. Please read it in Slack.",
        "somebody": "Somebody",
        "silence": "No key was pressed. The next person is called now. Good bye.",
        "taken": "Thank you. You have it. The details are in Slack. Good bye.",
        "taken_many": "Thank you. You have all {count} incidents. The details are in Slack. Good bye.",
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
        "hours": "{count} hours ago",
        "days": "{count} days ago",
    },
    "ja": {
        "alert": "オンコールのアラートです。",
        "alert_for": "オンコールのアラートです。{product}、",
        "only_a_test": "これはテストです。",
        "one_more": "ほか1件。",
        "more": "ほか{count}件。",
        "at_least_one_more": "ほか少なくとも1件。",
        "at_least_more": "ほか少なくとも{count}件。",
        "perhaps_more": "ほかにもアラートがあるかもしれません。",
        "keys": "引き受けるなら1、次の人へは2、もう一度は3、詳しくは0を押してください。",
        "many": "インシデントは全{count}件。",
        "many_products": "複数のプロダクトで、インシデントは全{count}件。",
        "in_common": "共通点、",
        "instance": "ホスト、",
        "node": "ノード、",
        "host": "ホスト、",
        "cluster": "クラスター、",
        "region": "リージョン、",
        "availability_zone": "ゾーン、",
        "zone": "ゾーン、",
        "namespace": "ネームスペース、",
        "service": "サービス、",
        "alertname": "アラート、",
        "wrong": "その番号は使えません。",
        "called": "アラートの名前は、",
        "began": "{ago}始まりました。",
        "firing": "{count}件が発生中です。",
        "firing_at_least": "少なくとも{count}件が発生中です。",
        "also": "ほかに、",
        "others": "ほかのインシデントは、",
        "cut": "アラートが長すぎるため、一部はスラックにもありません。",
        "unreadable": "内容はほかの言語で書かれています。スラックをご覧ください。",
        "somebody": "別の担当者",
        "silence": "番号が押されませんでした。次の担当者に電話します。失礼します。",
        "taken": "ありがとうございます。対応者として記録しました。詳細はスラックをご覧ください。失礼します。",
        "taken_many": "ありがとうございます。全{count}件の対応者として記録しました。詳細はスラックをご覧ください。失礼します。",
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
        "hours": "{count}時間前に",
        "days": "{count}日前に",
    },
}


@dataclass(frozen=True, slots=True)
class Voice:
    """One language's voice in one call."""

    language: Language
    callbacks: Callbacks

    def alert(self, headline: Headline, storm: Storm | None = None, *, once: bool = False) -> str:
        """The alert and the keys, twice, then a good-bye: a voicemail ends by itself. `once`: for the second time."""
        told = self.message(headline, storm)
        return self._ask(None if once else told, told, "silence")

    def wrong(self) -> str:
        """Which keys there are, for whoever pressed another one: key 3 says the alert again."""
        return self._ask(self._own("wrong"), [], "silence")

    def details(
        self, incident: Incident, storm: Storm | None = None, others: Sequence[Incident] = (), *, now: int
    ) -> str:
        """What the alerts of an incident say beside their headline, once; the keys twice. `now` in epoch milliseconds.

        In a storm some of the others are named, and not the incident's further alerts.
        """
        alerts = [alert for alert in incident.alerts if alert.status == "firing"] or incident.alerts
        first, further = alerts[0], alerts[1 : 1 + NAMED]
        named = first.labels.get("alertname", "")
        name = self._sentence(named if annotations.says_something(named) else first.title, _SUMMARY)
        told = [*self._own("called"), *name] if name else []
        told += self._own("began", minutes=(now - incident.began) // 60_000)
        if incident.firing > 1:
            told += self._own("firing_at_least" if incident.at_least else "firing", count=incident.firing)
        described = annotations.annotation(first.annotations, self.language, "description", "message")
        told += self._sentence(described, _DETAILS) or (self._own("unreadable") if described else [])
        if storm:
            told += self._storm(storm, _DETAILED_TRAITS)
        if others:
            told += self._own("others")
            for other in others:
                said = annotations.headline(other.alerts[0].annotations, self.language)
                told += self._sentence(said, _SUMMARY) or self._sentence(other.title, _SUMMARY)
        elif further:
            told += self._own("also")
            for alert in further:
                told += self._sentence(
                    annotations.headline(alert.annotations, self.language), _SUMMARY
                ) or self._sentence(alert.title, _SUMMARY)
        if incident.cut_characters:
            told += self._own("cut")
        return self._ask(told, [], "silence")

    def message(self, headline: Headline, storm: Storm | None = None) -> list[Piece]:
        """What the alert says before the keys: that it is one, of which product, what, how many. About ten seconds.

        What it says is said in the listener's language if there is that, else in one that a voice reads. If there is none,
        the alert's name is said, and that the rest is in Slack.
        """
        summaries = headline.summaries
        possible = [summaries.get(self.language, ""), headline.summary, *summaries.values()]
        written = next((text for text in possible if self._is_readable(text)), "")
        product = headline.product
        if product:  # said already: "shop: web-1 does not answer", "The shop is down"
            written = re.sub(rf"(?i)^(the )?{re.escape(product)}\s*[:：]\s*", "", written) or written
            if re.match(rf"(?i)(the )?{re.escape(product)}(?![\w.-])", written):
                product = ""
        product = speech.spoken(product, self.language, _NAME)
        told = self._own("only_a_test") if headline.test else []
        product_language = speech.language_of(product, self.language)
        if not product:
            told += self._own("alert")
        elif product_language == self.language:
            told += self._own("alert_for", product=product)
        else:
            told += [*self._own("alert"), *self._sentence(product, {"en": _NAME, "ja": _NAME})]
        if written:
            told += self._sentence(written, _SUMMARY)
        else:
            told += [*self._sentence(headline.title, _SUMMARY), *self._own("unreadable")]
        more = headline.firing - 1
        if more > 0:
            told += self._own(
                f"{'at_least_' if headline.at_least else ''}{'more' if more > 1 else 'one_more'}", count=more
            )
        elif headline.at_least:
            told += self._own("perhaps_more")
        return told + (self._storm(storm, 1) if storm else [])

    def _storm(self, storm: Storm, most: int) -> list[Piece]:
        """How many incidents there are, and what they have in common beside the product."""
        of_several = storm.in_common and "product" not in storm.in_common
        told = self._own("many_products" if of_several else "many", count=storm.count)
        traits: list[Piece] = []
        for name in TRAITS[1:]:
            value = self._sentence(storm.in_common.get(name, ""), _TRAIT)
            if value and most:
                traits += [*self._own(name), *value]
                most -= 1
        return [*told, *self._own("in_common"), *traits] if traits else told

    def keys(self) -> list[Piece]:
        """Which keys there are."""
        return self._own("keys")

    def test(self, *, once: bool = False) -> str:
        """A test call's words, twice (`once`: for the second time), then a good-bye."""
        response = VoiceResponse()
        for is_last in (True,) if once else (False, True):
            self._speak(self._gather(response, is_last=is_last), self._own("test"), pause_ms=LIFT_MS)
        return self._end(response, self._own("untested"))

    def goodbye(self, word: str, *, who: str = "", minutes: int | None = None, count: int = 1) -> str:
        """One of the last words: taken, passed, other (with `who` and `minutes`), over, gone, unwritten, proven.

        And taken_many, with the `count` of incidents.
        """
        return self._end(VoiceResponse(), self._own(word, who=who, minutes=minutes, count=count))

    def moment(self, digits: str, tries: int) -> str:
        """Asks for a moment and then brings the same key again."""
        response = VoiceResponse()
        self._speak(response, self._own("moment"))
        response.pause(length=2)
        response.redirect(self.callbacks.retry(digits, tries), method="POST")
        return str(response)

    def _ask(self, first: Sequence[Piece] | None, again: Sequence[Piece], silence: str) -> str:
        """Words, the keys and the wait for one; words, the keys and the wait again; then the word `silence`."""
        response = VoiceResponse()
        for is_last, told in ((False, first), (True, again)):
            if told is None:
                continue
            gather = self._gather(response, is_last=is_last)
            self._speak(gather, told, pause_ms=LIFT_MS)
            self._speak(gather, self.keys(), pause_ms=PAUSE_MS)
        return self._end(response, self._own(silence))

    def _gather(self, response: VoiceResponse, *, is_last: bool) -> Gather:
        """The wait for a key, which may be pressed while the words in it are said."""
        gather = Gather(
            action=self.callbacks.last_key if is_last else self.callbacks.key,
            method="POST",
            num_digits=1,
            timeout=KEY_SECONDS,
            action_on_empty_result=False,
        )
        response.append(gather)
        return gather

    def _end(self, response: VoiceResponse, told: Sequence[Piece]) -> str:
        self._speak(response, told)
        response.hangup()
        return str(response)

    def _own(self, word: str, *, minutes: int | None = None, **values: object) -> list[Piece]:
        """Words of our own. `minutes` become the time that has passed; `who` is named by the voice that can."""
        words = _WORDS[self.language]
        if minutes is not None:
            values["ago"] = _ago(minutes, words)
        before, _, after = words[word].partition("{who}")
        who = speech.spoken(str(values.pop("who", "")), self.language, _NAME) or words["somebody"]
        reader = speech.language_of(who, self.language)
        pieces: list[Piece] = [(self.language, before.format(**values).strip())]
        if after:
            pieces.append((reader, who) if reader else (self.language, words["somebody"]))
            pieces.append((self.language, after.format(**values).strip()))
        return [piece for piece in pieces if piece[1]]

    def _sentence(self, written: str, limits: Mapping[Language, int]) -> list[Piece]:
        """What stands in an alert, by the voice that can read it. Nothing if there is nothing to say, or none can."""
        language = speech.language_of(written, self.language)
        said = speech.spoken(written, language, limits[language]) if language else ""
        return [(language, said + ("。" if language == "ja" else "."))] if language and said else []

    def _is_readable(self, written: str) -> bool:
        return bool(self._sentence(written, _SUMMARY))

    def _speak(self, verb: VoiceResponse | Gather, told: Sequence[Piece], *, pause_ms: int = 0) -> None:
        """Says pieces, those of one language in one breath, after a pause."""
        runs: list[Piece] = []
        for language, text in told:
            if runs and runs[-1][0] == language:
                joined = runs[-1][1] + (" " if language == "en" else "") + text
                runs[-1] = (language, joined)
            else:
                runs.append((language, text))
        for number, (language, text) in enumerate(runs):
            locale, voice = _VOICES[language]
            say = Say(language=locale, voice=voice)
            if pause_ms and not number:
                say.break_(time=f"{pause_ms}ms")
            say.append(text)
            verb.append(say)


def _ago(minutes: int, words: Mapping[str, str]) -> str:
    if minutes < 2:
        return words["now" if minutes < 1 else "minute"]
    if minutes < 120:
        return words["minutes"].format(count=minutes)
    return words["hours" if minutes < 2_880 else "days"].format(count=minutes // (60 if minutes < 2_880 else 1_440))
