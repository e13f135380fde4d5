"""How a text is said aloud: hosts, numbers and durations as people say them, and no punctuation by its name.

Whatever stands in a label comes out as words that a voice can read: letters, digits, and marks that are pauses.
"""

import math
import re
import unicodedata
from collections.abc import Mapping

from oncall.roster import Language

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
_MARKUP = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,6});|\x1b\[[0-9;]{0,10}[A-Za-z]")
_NEEDLESS = re.compile(r"(?<=[、。\u3040-\u30ff\u4e00-\u9fff])\s|\s(?=[\u3040-\u30ff\u4e00-\u9fff])")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "dot": " dot ", "zero": "zero ", "ending": " ending in {} ", "root": "the root directory", "and": " and ",
        "at": " at ", "is": " is ", "over": " over ", "under": " under ", "plus": " plus ", "number": " number ",
        "about": " about ", "percent": "{} percent", "degrees": "{} degrees", "per_second": " per second",
        "y": "{} years", "w": "{} weeks", "d": "{} days", "h": "{} hours", "m": "{} minutes", "s": "{} seconds",
        "ms": "{} milliseconds", "us": "{} microseconds", "ns": "{} nanoseconds",
        "B": "{} bytes", "K": "{} kilobytes", "M": "{} megabytes", "G": "{} gigabytes", "T": "{} terabytes",
        "P": "{} petabytes", "E": "{} exabytes", "minus": "minus ", "clock": "{0}:{1:02}",
    },
    "ja": {
        "dot": "ドット", "zero": "ゼロ", "ending": "末尾 {} ", "root": "ルート", "and": "と", "at": "アット", "is": "は",
        "over": "、", "under": "、", "plus": "プラス", "number": "番号", "about": "約", "percent": "{}パーセント",
        "degrees": "{}度", "per_second": "毎秒",
        "y": "{}年", "w": "{}週間", "d": "{}日", "h": "{}時間", "m": "{}分", "s": "{}秒", "ms": "{}ミリ秒",
        "us": "{}マイクロ秒", "ns": "{}ナノ秒",
        "B": "{}バイト", "K": "{}キロバイト", "M": "{}メガバイト", "G": "{}ギガバイト", "T": "{}テラバイト",
        "P": "{}ペタバイト", "E": "{}エクサバイト", "minus": "マイナス", "clock": "{0}時{1}分",
    },
}  # fmt: skip
# From which value on a number is counted in what.
_LARGE: Mapping[Language, tuple[tuple[float, float, str], ...]] = {
    "en": ((1e12, 1e12, " trillion"), (1e9, 1e9, " billion"), (1e6, 1e6, " million"), (1e4, 1e3, " thousand")),
    "ja": ((1e12, 1e12, "兆"), (1e8, 1e8, "億"), (1e4, 1e4, "万")),
}
_SIZES = "BKMGTPE"
_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}

_NUMBER = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?"
# Whatever is counted or measured, unless it is part of a name, an address or a version.
_MEASURE = re.compile(
    rf"""(?<![A-Za-z0-9_.,:/@-])(?P<sign>-?)(?:
        (?P<clock>(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)
      | (?P<duration>(?:[0-9]+(?:\.[0-9]+)?(?:\s?(?:ms|us|µs|μs|ns)|[ywdhms])(?![A-Za-z_])\s?)+(?<!\s))
      | (?P<percent>(?:{_NUMBER})\s?%)
      | (?P<degrees>(?:{_NUMBER})\s?°[CF]?)
      | (?P<size>(?:{_NUMBER})\s?(?:[kKMGTPE](?:i?B|i)|B|bytes?)(?:/s(?:ec)?|ps)?)
      | (?P<scaled>(?:{_NUMBER})[kKMGTPE])
      | (?P<plain>{_NUMBER})
    )(?![A-Za-z0-9_%°]|[.,:/-][A-Za-z0-9])""",
    re.VERBOSE,
)
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?(ms|us|µs|μs|ns|[ywdhms])")

_URL = re.compile(
    r"(?<![A-Za-z0-9])[a-z][a-z0-9+.-]{1,15}://(?:[!$%&*+,.:;=A-Z0-9_~-]*@)?([!$%&*+,./:;=@A-Z0-9_~-]*)"
    r"(?:[?#][!#$%&*+,./:;=?@A-Z0-9_~{}\[\]|-]*)?",
    re.IGNORECASE | re.ASCII,
)
_INTERNAL = re.compile(
    r"\.svc(?:\.cluster\.local)?$|(?:\.[a-z0-9-]+)*\.(?:internal|local|lan|localdomain|amazonaws\.com)$", re.IGNORECASE
)
_HOST = re.compile(
    r"(?<![A-Za-z0-9_.@-])(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    r"(?::[0-9]{2,5})?(?:/[A-Za-z0-9_.~%-]*)*(?![A-Za-z0-9_-])"
)
_PORT = re.compile(r"(\b[A-Za-z][A-Za-z0-9-]*):[0-9]{4,5}(?![0-9:])")
_POD = re.compile(r"-[0-9a-f]{8,10}-[a-z0-9]{5}(?![A-Za-z0-9-])")
_ID = re.compile(r"(?<![A-Za-z0-9])(?=[a-f-]*[0-9])[0-9a-f]{8,}(?:-[0-9a-f]{4,})*(?![A-Za-z0-9])", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z]{2})(?=[A-Z][a-z]{2})")
_LEADING_ZEROS = re.compile(r"(?<![0-9.,:])0+(?=[0-9])")
_UNSPOKEN = re.compile(r"[^\w\s.,:;!?'、。・]|_")
_PAUSES = re.compile(r"\s*([.,:;!?、。])(?:[\s.,:;、。]*[.,:;、。])?")


def language_of(text: str, otherwise: Language) -> Language:
    """The language whose voice can read a text: kana or kanji are Japanese, three words in Latin letters are English.

    A voice reads its own language alone: an English one passes over Japanese, a Japanese one spells English.
    """
    if _JAPANESE.search(text):
        return "ja"
    return "en" if len(_LATIN_WORD.findall(text)) >= 3 else otherwise


def spoken(text: str, language: Language, limit: int) -> str:
    """A text as it can be spoken in a language, cut at a word to `limit` characters. It ends without a mark."""
    words = _WORDS[language]
    text = unicodedata.normalize("NFKC", text[:2_000])
    text = _MARKUP.sub(" ", text)
    text = _URL.sub(lambda found: found[1], text)
    text = re.sub(r"""(\w)\s*=~?\s*(["'])""", r"\1 \2", text)  # a label and its value
    text = _POD.sub("", text)
    text = _MEASURE.sub(lambda found: _measure(found, language), text)
    text = _HOST.sub(lambda found: _host(found[0], language), text)
    text = _PORT.sub(r"\1", text)
    text = _ID.sub(lambda found: words["ending"].format(" ".join(found[0][-4:])), text)
    text = re.sub(r"(?<![A-Za-z0-9_/])/(?![A-Za-z0-9_/])", f" {words['root']} ", text)
    text = _CAMEL.sub(" ", text)
    text = _LEADING_ZEROS.sub(lambda found: words["zero"] * len(found[0]), text)
    text = re.sub(r"#(?=[0-9])", words["number"], text)
    text = re.sub(r"~\s?(?=[0-9])", words["about"], text)
    text = re.sub(r"(?<=\w)\s*&\s*(?=\w)", words["and"], text)
    text = re.sub(r"(?<=[A-Za-z0-9])@(?=[A-Za-z0-9])", words["at"], text)
    for sign, word in ((">", "over"), ("<", "under")):
        text = re.sub(rf"\s{sign}=?\s|\s?{sign}=?\s?(?=[0-9])", words[word], text)
    text = re.sub(r"\s==?\s|(?<=\w)==?(?=\w)", words["is"], text)
    text = re.sub(r"\s\+\s", words["plus"], text)
    text = re.sub(r"[()\[\]{}|]|\s[-–—]\s", ", " if language == "en" else "、", text)
    text = _UNSPOKEN.sub(" ", text)
    text = _PAUSES.sub(lambda found: found[1] + ("" if found[1] in "、。" else _after(found, text)), text)
    text = re.sub(r"\s+", " ", text)
    if language == "ja":
        text = _NEEDLESS.sub("", text)
    text = text.strip(" .,:;'、。・")
    if len(text) > limit:
        start = text[: limit + 1]
        at = max(start.rfind(" "), start.rfind("、") if language == "ja" else -1)
        text = start[: at if at > limit // 2 or language == "en" else limit].strip(" .,:;'、。・")
    return text


def number(value: float, language: Language) -> str:
    """A number as people say it: rounded to what can be taken in by ear. 0.0734 is 0.073, 1234567 is 1.2 million."""
    for least, scale, word in _LARGE[language]:
        if value >= least:
            return f"{_rounded(value / scale)}{word}"
    return _rounded(value)


def _rounded(value: float) -> str:
    if value == int(value) and value < 1e4:
        return str(int(value))
    if value >= 100:
        return str(round(value))
    if value >= 1:
        return f"{value:.1f}".removesuffix(".0")
    return "0" if value < 1e-4 else f"{value:.{1 - math.floor(math.log10(value))}f}".rstrip("0").rstrip(".")


def _percent(value: float, language: Language) -> str:
    """Near a hundred the places behind the point are what matters."""
    if 99 < value < 100:
        return f"{math.floor(value * 100) / 100:.2f}".rstrip("0").rstrip(".")
    return str(round(value)) if value >= 10 else number(value, language)


def _measure(found: re.Match[str], language: Language) -> str:
    words, kind, written = _WORDS[language], str(found.lastgroup), found[0].removeprefix("-")
    sign = words["minus"] if found["sign"] else ""
    if kind == "clock":
        hour, minute = written.split(":")[:2]
        return words["clock"].format(int(hour), int(minute))
    if kind == "duration":
        return sign + _duration(written, language)
    digits = re.match(_NUMBER, written)
    value = float(digits[0].replace(",", "")) if digits else math.inf
    unit = written[digits.end() if digits else 0 :].strip()
    if value > 1e15:
        return ""  # nobody takes that in
    match kind:
        case "percent":
            said = words["percent"].format(_percent(value, language))
        case "degrees":
            said = words["degrees"].format(number(value, language))
        case "size":
            said = _size(value, unit, language)
        case _:
            said = number(value * _SCALES.get(unit, 1), language)
    return sign + said


def _duration(written: str, language: Language) -> str:
    """The two largest units that are not zero."""
    parts = [(float(count), re.sub("[µμ]s", "us", unit)) for count, unit in _PARTS.findall(written)]
    told = [part for part in parts if part[0]][:2] or parts[-1:]
    return (" " if language == "en" else "").join(_count(count, unit, language) for count, unit in told)


def _count(value: float, unit: str, language: Language) -> str:
    said = _WORDS[language][unit].format(number(value, language))
    return said.removesuffix("s") if language == "en" and value == 1 else said


def _size(value: float, unit: str, language: Language) -> str:
    """Bytes in the unit that makes them few. 1 KB is said to have 1,024."""
    power = max(_SIZES.find(unit[0].upper()), 0)
    while value >= 1024 and power < len(_SIZES) - 1:
        value, power = value / 1024, power + 1
    said = _count(value, _SIZES[power], language)
    if not unit.endswith(("/s", "/sec", "ps")):
        return said
    return _WORDS[language]["per_second"] + said if language == "ja" else said + _WORDS[language]["per_second"]


def _host(written: str, language: Language) -> str:
    """A host's name: the first label of what is inside or long, else all; then the path. The port is not said."""
    address, _, path = written.partition("/")
    host = _INTERNAL.sub("", re.sub(r":[0-9]+$", "", address).removeprefix("www."))
    labels = host.split(".")
    if len(labels) > 3 and not labels[-1].isdigit():
        labels = labels[:1]
    said = _WORDS[language]["dot"].join(label.replace("-", " ") for label in labels)
    steps = [re.sub(r"[._~%-]", " ", step) for step in path.split("/") if step]
    return f"{said}{', ' if language == 'en' else '、'}{' '.join(steps)}" if steps else said


def _after(found: re.Match[str], text: str) -> str:
    """What follows a mark: nothing within a number, a time or a name, else a space."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    glues = before.isdigit() and after.isdigit() if found[1] in ",:" else before.isalnum() and after.isalnum()
    return "" if glues and found[0] == found[1] and found[1] in ".,:" else " "
