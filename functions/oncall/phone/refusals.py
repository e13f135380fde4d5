"""Refusals: what one of Twilio's is about, and what a deployer can do about one, Twilio's or Telnyx's (telnyx.py).

The codes are those of Twilio's Error and Warning Dictionary (twilio.com/docs/api/errors). It grows, and Twilio asks not to
depend on it: a code that is not here is about the number that was called, so that the next phone rings.
"""

import re
from collections.abc import Mapping
from typing import Literal

from oncall.roster import Language

Blame = Literal["number", "account", "unclear"]

# Whatever the status: about the account, the number that calls, or Twilio itself. No other phone would ring either.
_ACCOUNT = frozenset(
    {
        *(10001, 10002, 10003, 10004, 10005),  # the account: not active, on trial, too many calls at once, no voice
        *(20003, 20005, 20006, 20008, 20403, 20404, 20429, 20500, 20503, 70051, 90010),  # its secrets, limits, address
        *(13214, 21210, 21212, 21213, 32204),  # the caller's number
    }
)
# Whatever the status: about the number that is called. Another phone may ring.
_NUMBER = frozenset(
    {
        *(13223, 13224, 13225, 13226, 13227, 14111, 21201, 21211, 21214, 21215, 21216, 21217, 21219),
        *(32205, 32224, 573002, 573005),
    }
)

_REMEDIES: Mapping[str, frozenset[int]] = {
    "geo": frozenset({13227, 21215, 32205}),
    "profile": frozenset({21216}),
    "verify": frozenset({14111, 21219, 21608, 572005, 573005}),
    "trial_caller": frozenset({572002, 573002}),
    "upgrade": frozenset({10002}),
    "correct": frozenset({13223, 13224, 13226, 21201, 21211, 21214, 21217, 21614}),
    "blocked": frozenset({13225, 32224}),
    "caller": frozenset({13214, 21210, 21212, 21213, 32204}),
    "secrets": frozenset({20003, 20006, 20008, 70051}),
    "pay": frozenset({10001, 10003, 20005, 20403, 90010}),
    "voice": frozenset({10005}),
    "concurrency": frozenset({10004}),
    "address": frozenset({20404}),
    "text_geo": frozenset({21408}),
    "text_sender": frozenset({21603, 21606, 21612, 21659, 21660, 21661, 21701}),
    "text_stop": frozenset({21610}),
}
_REMEDY_OF = {code: name for name, codes in _REMEDIES.items() for code in codes}

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "geo": "Twilio: allow calls to {place} under Voice, Settings, Geo permissions.",
        "profile": (
            "Twilio: calls to {place} need an approved primary customer profile (Trust "
            "Hub); if there is one, ask Twilio's support why the number is blocked."
        ),
        "verify": (
            "Twilio: a trial account reaches verified numbers only. Verify it "
            "under Phone Numbers, Verified Caller IDs, or upgrade the account."
        ),
        "trial_caller": (
            "Twilio: on trial, each verified number has a trial number of its own that "
            "must call it. Upgrade the account, or deploy with that one as CallerNumber."
        ),
        "upgrade": "Twilio: a trial account may not do this. Upgrade it.",
        "correct": "Correct the number in the roster.",
        "blocked": "Twilio does not connect this number: ask its support, or put another number into the roster.",
        "caller": "Twilio: the account may not call from CallerNumber. Buy or verify that number, or deploy with another one.",
        "secrets": "Twilio: the account SID and the auth token in SSM do not fit. Store the live ones with oncall init.",
        "pay": "Twilio: the account is not active. Look at its balance in the console, pay in, and turn on automatic recharge.",
        "voice": "Twilio: calls are switched off for this account. Ask its support.",
        "concurrency": "Twilio: too many calls at once for this account. It needs an approved business profile (Trust Hub).",
        "address": "Twilio: there is no such account at this address. Compare the account SID and TwilioApiUrl.",
        "text_geo": "Twilio: allow texts to {place} under Messaging, Settings, Geo permissions.",
        "text_sender": (
            "Twilio: this TextSender cannot text that number. Deploy with another one, or with none (docs/phone.md)."
        ),
        "text_stop": "That phone has told the number to stop: text START to it.",
        "telnyx_secrets": "Telnyx: it refuses the API key in SSM. Store a live one with oncall init.",
        "telnyx_caller": (
            "Telnyx: the account may not call from TelnyxCallerNumber. Buy or verify that number, or deploy with another one."
        ),
        "telnyx_geo": (
            "Telnyx: the outbound voice profile does not allow calls to that country. Add it to the "
            "profile's allowed destinations."
        ),
        "telnyx_pay": "Telnyx: the account is blocked. Look at its balance in Mission Control, and pay in.",
        "telnyx_concurrency": "Telnyx: too many calls at once. Raise the limit of the outbound voice profile.",
        "telnyx_application": (
            "Telnyx: compare TelnyxAccountSid and TelnyxApplicationId with Mission Control; the application has to be active "
            "and to have an outbound voice profile."
        ),
        "telnyx_unknown": "If it stays so, look up error {code} at developers.telnyx.com (API error codes).",
        "unknown": "If it stays so, look up what twilio.com/docs/api/errors/{code} says, or correct the number in the roster.",
        "elsewhere": "numbers that begin with {prefix}",
    },
    "ja": {
        "geo": "Twilio：Voice > Settings > Geo permissionsで{place}への発信を許可してください。",
        "profile": (
            "Twilio：{place}への発信には、承認済みのプライマリ顧客プロフィール（Trust "
            "Hub）が必要です。ある場合は、番号がブロックされた理由をTwilioのサポートに確認してください。"
        ),
        "verify": (
            "Twilio：トライアルアカウントは、確認済みの番号にしかつながりません。Phone Numbers "
            "> Verified Caller IDsで番号を確認するか、アップグレードしてください。"
        ),
        "trial_caller": (
            "Twilio：トライアルでは、確認済みの番号ごとに発信用の番号が決まっています。"
            "アップグレードするか、その番号をCallerNumberにしてデプロイしてください。"
        ),
        "upgrade": "Twilio：トライアルアカウントではできません。アップグレードしてください。",
        "correct": "名簿の電話番号を直してください。",
        "blocked": "Twilioはこの番号につなぎません。サポートに確認するか、名簿の番号を別の番号にしてください。",
        "caller": (
            "Twilio：このアカウントはCallerNumberから発信できません。"
            "番号を購入または確認するか、別の番号でデプロイしてください。"
        ),
        "secrets": "Twilio：SSMのアカウントSIDと認証トークンが合いません。oncall initで本番のものを保存してください。",
        "pay": "Twilio：アカウントが停止しています。コンソールで残高を確認して入金し、自動チャージを有効にしてください。",
        "voice": "Twilio：このアカウントは発信が停止されています。サポートに確認してください。",
        "concurrency": "Twilio：同時に発信できる数を超えました。承認済みのビジネスプロフィール（Trust Hub）が必要です。",
        "address": "Twilio：このアドレスにそのアカウントはありません。アカウントSIDとTwilioApiUrlを確認してください。",
        "text_geo": "Twilio：Messaging > Settings > Geo permissionsで{place}へのSMSを許可してください。",
        "text_sender": (
            "Twilio：このTextSenderからその番号にSMSを送れません。"
            "別の送信元にするか、空にしてデプロイしてください（docs/phone.md）。"
        ),
        "text_stop": "その電話はこの番号からのSMSを拒否しています。STARTと返信してください。",
        "telnyx_secrets": "Telnyx：SSMのAPIキーが拒否されました。oncall initで有効なキーを保存してください。",
        "telnyx_caller": (
            "Telnyx：このアカウントはTelnyxCallerNumberから発信できません。"
            "番号を購入または確認するか、別の番号でデプロイしてください。"
        ),
        "telnyx_geo": (
            "Telnyx：アウトバウンド音声プロフィールがその国への発信を許可していません。許可する宛先に追加してください。"
        ),
        "telnyx_pay": "Telnyx：アカウントが停止しています。Mission Controlで残高を確認して入金してください。",
        "telnyx_concurrency": "Telnyx：同時に発信できる数を超えました。アウトバウンド音声プロフィールの上限を上げてください。",
        "telnyx_application": (
            "Telnyx：TelnyxAccountSidとTelnyxApplicationIdをMission Controlと比べてください。"
            "アプリケーションを有効にし、アウトバウンド音声プロフィールを割り当ててください。"
        ),
        "telnyx_unknown": "続く場合はdevelopers.telnyx.com（API error codes）でエラー{code}を確認してください。",
        "unknown": "続く場合は twilio.com/docs/api/errors/{code} を確認するか、名簿の電話番号を直してください。",
        "elsewhere": "{prefix}で始まる番号",
    },
}

# ITU-T E.164: countries by their code, longest first where one begins another. What is not here is told by its first digits.
_COUNTRIES: Mapping[str, tuple[str, str]] = {
    "1": ("the USA and Canada", "米国・カナダ"),
    "31": ("the Netherlands", "オランダ"),
    "32": ("Belgium", "ベルギー"),
    "33": ("France", "フランス"),
    "34": ("Spain", "スペイン"),
    "351": ("Portugal", "ポルトガル"),
    "353": ("Ireland", "アイルランド"),
    "358": ("Finland", "フィンランド"),
    "36": ("Hungary", "ハンガリー"),
    "39": ("Italy", "イタリア"),
    "40": ("Romania", "ルーマニア"),
    "41": ("Switzerland", "スイス"),
    "420": ("Czechia", "チェコ"),
    "43": ("Austria", "オーストリア"),
    "44": ("the United Kingdom", "英国"),
    "45": ("Denmark", "デンマーク"),
    "46": ("Sweden", "スウェーデン"),
    "47": ("Norway", "ノルウェー"),
    "48": ("Poland", "ポーランド"),
    "49": ("Germany", "ドイツ"),
    "52": ("Mexico", "メキシコ"),
    "54": ("Argentina", "アルゼンチン"),
    "55": ("Brazil", "ブラジル"),
    "56": ("Chile", "チリ"),
    "57": ("Colombia", "コロンビア"),
    "60": ("Malaysia", "マレーシア"),
    "61": ("Australia", "オーストラリア"),
    "62": ("Indonesia", "インドネシア"),
    "63": ("the Philippines", "フィリピン"),
    "64": ("New Zealand", "ニュージーランド"),
    "65": ("Singapore", "シンガポール"),
    "66": ("Thailand", "タイ"),
    "81": ("Japan", "日本"),
    "82": ("South Korea", "韓国"),
    "84": ("Vietnam", "ベトナム"),
    "852": ("Hong Kong", "香港"),
    "86": ("China", "中国"),
    "886": ("Taiwan", "台湾"),
    "90": ("Turkey", "トルコ"),
    "91": ("India", "インド"),
    "971": ("the United Arab Emirates", "アラブ首長国連邦"),
    "972": ("Israel", "イスラエル"),
}


def about(status: int, code: int | None) -> Blame:
    """What an answer of Twilio's with an error is about: HTTP status, and Twilio's code if it gives one.

    A 403 with a code that is not known is unclear: mostly the account's, but a trial's rules about numbers come so too.
    """
    if code in _NUMBER:
        return "number"
    # An answer without a code is not of Twilio's API: something between, or another address.
    if code in _ACCOUNT or not code or status in (401, 429) or status >= 500:
        return "account"
    return "unclear" if status == 403 else "number"


def remedy(code: int | None, number: str = "") -> str:
    """The name of what fixes a refusal, with the number's country where that matters; the same name is said once.

    Empty where nobody has to fix anything: Twilio is away, or asks to slow down.
    """
    if not code or code in (20429, 20500, 20503):
        return ""
    name = _REMEDY_OF.get(code, f"unknown {code}")
    if name == "profile" and not number.startswith("+1"):  # Twilio asks for a profile for calls to North America only
        name = "blocked"
    return f"{name} {_place(number)}" if name in ("geo", "profile", "text_geo") else name


# What the providers' files say of an answer, in Japanese.
_REASONS = (
    (re.compile(r"(\w+) refuses the number \(error (\d+)\)"), r"\1がこの番号を拒否しました。エラー\2"),
    (re.compile(r"(\w+) answered (\d+) \(error ([\w.]+)\)"), r"\1の応答は\2、エラー\3"),
    (re.compile(r"(\w+) answered (\d+)"), r"\1の応答は\2"),
    (re.compile(r"(\w+) did not answer \((\w+)\)"), r"\1から応答がありません。\2"),
    (re.compile(r"(\w+) knows nothing of the call"), r"\1にこの電話の記録がありません"),
)


def reason_in(language: Language, reason: str) -> str:
    """Why a provider did not do something, for a reader of a language; one that is not known here stays as it is."""
    if language == "ja":
        for said, japanese in _REASONS:
            if said.fullmatch(reason):
                return said.sub(japanese, reason)
    return reason


def words(name: str, language: Language) -> str:
    """What a remedy says to a deployer."""
    kind, _, detail = name.partition(" ")
    said = _WORDS[language].get(kind, "")
    return said.format(code=detail, place=_country(detail, language))


def _place(number: str) -> str:
    """Of a number in E.164 form, as much as says the country: its code, or its first three digits."""
    digits = number.removeprefix("+")
    return next((digits[:length] for length in (3, 2, 1) if digits[:length] in _COUNTRIES), digits[:3])


def _country(prefix: str, language: Language) -> str:
    if prefix in _COUNTRIES:
        return _COUNTRIES[prefix][0 if language == "en" else 1]
    return _WORDS[language]["elsewhere"].format(prefix=f"+{prefix}")
