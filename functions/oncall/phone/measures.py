"""How what is counted and measured is said: numbers, durations, sizes, rates, fractions, versions, dates and times.

The forms are those that rules write and that Prometheus' template functions make (humanize, humanize1024,
humanizePercentage, humanizeDuration, humanizeTimestamp, printf, and Go's own way to print a number).
"""

import math
import re
from collections.abc import Mapping

from oncall.roster import Language

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "dot": " dot ", "about": "about ", "version": "version ", "of": "{0} of {1}", "to": " to ",
        "power": "{0} to the power of {1}", "minus": "minus ", "plus": "plus ", "nearly_0": "nearly 0", "huge": "a huge number",
        "nan": "not a number", "inf": "infinite", "percent": "{} percent",
        "degrees": "{} degrees", "fahrenheit": "{} degrees Fahrenheit", "times": "{} times",
        "$": "{} dollars", "€": "{} euros", "£": "{} pounds", "¥": "{} yen",
        ">": "over {}", ">=": "at least {}", "<": "under {}", "<=": "at most {}",
        "per_s": "{} per second", "per_m": "{} per minute", "per_h": "{} per hour", "per_d": "{} per day",
        "y": "{} years", "w": "{} weeks", "d": "{} days", "h": "{} hours", "m": "{} minutes", "s": "{} seconds",
        "ms": "{} milliseconds", "us": "{} microseconds", "ns": "{} nanoseconds",
        "B": "{} bytes", "K": "{} kilobytes", "M": "{} megabytes", "G": "{} gigabytes", "T": "{} terabytes",
        "P": "{} petabytes", "E": "{} exabytes",
        "b": "{} bits", "kb": "{} kilobits", "Mb": "{} megabits", "Gb": "{} gigabits", "Tb": "{} terabits",
        "clock": "{0}:{1:02}", "hour": "{0}:00", "midnight": "midnight",
    },
    "ja": {
        "dot": "ドット", "about": "約", "version": "バージョン", "of": "{1}のうち{0}", "to": "から", "power": "{0}の{1}乗",
        "minus": "マイナス", "plus": "プラス", "nearly_0": "ほぼ0", "huge": "桁外れの数", "nan": "数値なし", "inf": "無限大",
        "percent": "{}パーセント", "degrees": "{}度", "fahrenheit": "華氏{}度", "times": "{}倍",
        "$": "{}ドル", "€": "{}ユーロ", "£": "{}ポンド", "¥": "{}円",
        ">": "{}超", ">=": "{}以上", "<": "{}未満", "<=": "{}以下",
        "per_s": "毎秒{}", "per_m": "毎分{}", "per_h": "毎時{}", "per_d": "毎日{}",
        "y": "{}年", "w": "{}週間", "d": "{}日", "h": "{}時間", "m": "{}分", "s": "{}秒", "ms": "{}ミリ秒",
        "us": "{}マイクロ秒", "ns": "{}ナノ秒",
        "B": "{}バイト", "K": "{}キロバイト", "M": "{}メガバイト", "G": "{}ギガバイト", "T": "{}テラバイト",
        "P": "{}ペタバイト", "E": "{}エクサバイト",
        "b": "{}ビット", "kb": "{}キロビット", "Mb": "{}メガビット", "Gb": "{}ギガビット", "Tb": "{}テラビット",
        "clock": "{0}時{1}分", "hour": "{0}時", "midnight": "0時",
    },
}  # fmt: skip
# From which value on a number is counted in what.
_LARGE: Mapping[Language, tuple[tuple[float, float, str], ...]] = {
    "en": ((1e12, 1e12, " trillion"), (1e9, 1e9, " billion"), (1e6, 1e6, " million"), (1e4, 1e3, " thousand")),
    "ja": ((1e12, 1e12, "兆"), (1e8, 1e8, "億"), (1e4, 1e4, "万")),
}
_HUGE = 1e15  # nobody takes a larger number in, and it is a counter that has wrapped around
_SIZES = "BKMGTPE"
# What humanize writes behind a number. Of the small ones `m` stands for minutes as well.
_SCALES = {
    "": 1.0,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
}
_SECONDS = {
    "y": 31_557_600.0,
    "w": 604_800.0,
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}
# Of which unit how many are as many as people say before they take the next larger one.
_FEW = {"h": 72.0, "m": 120.0, "s": 120.0, "ms": 2_000.0, "us": 2_000.0, "ns": 2_000.0}
_UNITS = {
    **{unit: unit for unit in ("y", "w", *_SECONDS)},
    **dict.fromkeys(("day", "days", "日"), "d"), **dict.fromkeys(("hour", "hours", "hr", "hrs", "時間"), "h"),
    **dict.fromkeys(("minute", "minutes", "min", "mins", "分"), "m"),
    **dict.fromkeys(("second", "seconds", "sec", "secs", "秒"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec", "ミリ秒"), "ms"),
    **dict.fromkeys(("microsecond", "microseconds", "µs", "μs"), "us"),
}  # fmt: skip

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?)"
_SHORT = r"(?:ms|[uµμn]s|[ywdhms])"
_WORD = "|".join(sorted((unit for unit in _UNITS if len(unit) > 2 or unit in "日分秒"), key=len, reverse=True))
_PER = r"(?:/\s?|\sper\s)(?:seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)(?![A-Za-z0-9])|ps(?![A-Za-z])"
_SPELLED = (
    r"(?:[kMGm]?(?:Hz|VA|Wh|[VAWJ]|Pa)|hPa|dBm?|[rR][pP][msMS]|ppm|[qQ][pP][sS]|fps|IOPS|iops)"  # letters are said
)
_SPARED = "\ue000"  # stands before a number that is a name, until the measures are said
_BEFORE = rf"(?<![A-Za-z0-9_.,:/@#{_SPARED}-])"
_AFTER = r"(?![A-Za-z0-9_%°]|[.,:/-][A-Za-z0-9])"

# Whatever is counted or measured, unless it is part of a name, an address or a version.
_MEASURE = re.compile(
    rf"""(?:\s?(?P<than>>=|=>|<=|=<|[><≥≤])\s?|{_BEFORE})(?P<about>[~≈]\s?)?(?P<sign>[+-]?)(?P<money>[$€£¥])?
    (?P<number>{_NUMBER})(?:
        (?P<percent>[kKMGTmun]?\s?(?:%|パーセント))
      | (?P<degrees>\s?°\s?[CF]?)
      | (?P<times>[x×])
      | (?P<milli>m(?=/s|\s(?:CPU|cpu|cores?)\b))
      | (?P<duration>(?:\s?(?:{_WORD}|ms|[µμ]s)(?!の)|\s[sh]|{_SHORT})(?:\s?[0-9]+(?:\.[0-9]+)?{_SHORT}(?![A-Za-z_]))*)
      | (?P<bits>\s?[kKMGT]?(?:bits?|b(?=ps|/s)))
      | (?P<size>\s?(?:[kKMGTPE](?:i?B|i)|[mun]?B|bytes?|バイト))
      | (?P<spelled>\s?{_SPELLED})
      | (?P<scaled>[kKMGTPEun]?)
    )(?P<per>(?:{_PER})?){_AFTER}""",
    re.VERBOSE,
)
_PARTS = re.compile(rf"({_NUMBER})\s?({_WORD}|{_SHORT})")
_NO_NUMBER = re.compile(r"(?<![A-Za-z0-9_])([+-]?)(NaN|Inf)(?![A-Za-z0-9_])")
_PLACES = re.compile(r"(?<![0-9.A-Za-z_-])([0-9]+\.[0-9]{3,})(?![0-9.])")  # of a unit that is not known here
_WORD_RATE = re.compile(
    rf"(?<![\w.,])({_NUMBER}\s?(?!(?:ms|[kKMGTPE]?i?B|[kKMGT]?b|bits?|bytes?)/)[A-Za-z]{{2,}})/(s|sec|second|min|minute|h|hour|d|day)(?![A-Za-z0-9])"
)

_PART = rf"{_NUMBER}(?:\s?(?:[kKMGTPE]i?B?|B|ms|s)(?![A-Za-z])|%|[回件個台人本])?"
_FRACTION = re.compile(rf"(?<![A-Za-z0-9_.,:/@-])({_PART})\s?/\s?({_PART}){_AFTER}")
_RANGE = re.compile(
    rf"(?<![A-Za-z0-9_.,:/@#+-])({_NUMBER}%?)(?:-|\.\.|\s?[–—〜~]\s?)(?={_NUMBER})(?![0-9.]+[-/.:][0-9])"
)
_POWER = re.compile(r"(?<![A-Za-z0-9_.])([0-9]+)\^([0-9]+)(?![A-Za-z0-9_.])")
_NAME = re.compile(  # a number that names something is no count
    r"((?:\b(?:port|pid|id|code|error|errno|line|ticket|issue|asn?|vlan|job|build)\b|ポート|番号|コード)\s?[:=]?\s?|#)"
    r"([0-9]{4,})(?![\w.,]*[0-9])",
    re.IGNORECASE | re.ASCII,
)
_VERSION = re.compile(
    r"(?<![A-Za-z0-9_./:-])(?:(?P<word>[Vv]ersion|バージョン)[:=]?\s?[vV]?(?P<called>[0-9]+(?:\.[0-9]+)*)"
    r"|[vV](?P<marked>[0-9]+(?:\.[0-9]+)+)|(?P<bare>[0-9]+\.[0-9]+\.[0-9]+))(?P<more>(?:[-+~][0-9A-Za-z.~+-]*[0-9A-Za-z])?)"
    r"(?![\w/:]|\.[A-Za-z0-9])"
)
_RELEASE = re.compile(r"-?((?:alpha|beta|rc|dev|pre)\b|(?:alpha|beta|rc|dev|pre)(?=[0-9]))[.-]?([0-9]*)")

_JST = "日本時間"
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_YEAR = "(?:19|20)[0-9]{2}"
_DAY = "(?:3[01]|[12][0-9]|0?[1-9])"
_CLOCK = r"(?:2[0-4]|[01]?[0-9]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?"
_ZONE_NAME = r"\s?(?:Z|UTC|GMT)(?![A-Za-z0-9])|\s[A-Z]{2,3}T(?![A-Za-z0-9])"
_ZONE = rf"(?:{_ZONE_NAME}|\s?[+-][01][0-9]:?[0-9]{{2}}(?![0-9])(?:\s[A-Z]{{3,4}}(?![A-Za-z0-9]))?)"
_MOMENT = re.compile(
    rf"""(?<![A-Za-z0-9.,:/])(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s)?(?:
        (?P<year>{_YEAR})(?P<mark>[-/.])(?P<month>1[0-2]|0?[1-9])(?P=mark)(?P<day>{_DAY})
      | (?P<name>{_MONTH})\.?\s+(?P<named>{_DAY})(?:st|nd|rd|th)?(?:,?\s+(?P<named_year>{_YEAR})(?!:))?
      | (?P<first>{_DAY})[ -](?P<last>{_MONTH})(?![A-Za-z])\.?(?:,?[ -](?P<last_year>{_YEAR})(?!:))?
    )(?![0-9])(?:(?:[T_ ]|,\s|\sat\s)(?P<clock>{_CLOCK})(?P<zone>{_ZONE}?)
        (?:\s(?P<end_year>{_YEAR})(?![0-9])(?P<end_zone>{_ZONE}?))?)?
    (?:\sm=[+-][0-9.]+)?(?![0-9:/])""",
    re.VERBOSE,
)
_SLASHED = re.compile(  # month first; beside a time or a day of the week, else it is a fraction
    rf"(?<![0-9A-Za-z/.-])(1[0-2]|0?[1-9])/({_DAY})(?=\s?\([月火水木金土日]\)|\s[0-2]?[0-9]:[0-5][0-9])"
)
_COMPACT = re.compile(  # what names of backups and indices end in
    rf"(?<![0-9])(?P<year>{_YEAR})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:(?P<T>[T_-])(?P<hour>[01][0-9]|2[0-3])(?P<minute>[0-5][0-9])(?:[0-5][0-9])?(?P<zone>Z?))?(?![0-9])"
)
_TIME = re.compile(
    rf"(?<![A-Za-z0-9_.,:/@])(?<!(?<![0-9])-)(?P<clock>{_CLOCK})(?P<zone>(?:{_ZONE_NAME}|\s?\+[01][0-9]:?[0-9]{{2}}(?![0-9]))?)"
    rf"(?:\s?[-–〜~]\s?(?P<until>{_CLOCK})(?P<until_zone>(?:{_ZONE_NAME})?))?(?![A-Za-z0-9_%]|[.,:/-][A-Za-z0-9])"
)


def measures(text: str, language: Language) -> str:
    """A text in which whatever is counted, measured or dated stands as it is said."""
    words = _WORDS[language]
    text = text.replace("\u2212", "-").replace("\u2044", "/").replace(_SPARED, " ")
    text = _MOMENT.sub(lambda found: _moment(found, language), text)
    text = _SLASHED.sub(lambda found: _date(None, int(found[1]), int(found[2]), language), text)
    text = _COMPACT.sub(lambda found: _compact(found, language), text)
    text = _TIME.sub(lambda found: _time(found, language), text)
    text = _VERSION.sub(lambda found: _version(found, words), text)
    text = _NO_NUMBER.sub(lambda found: _sign(found[1], words) + words[found[2].lower()], text)
    text = _NAME.sub(rf"\1{_SPARED}\2", text)
    text = _POWER.sub(lambda found: words["power"].format(found[1], found[2]), text)
    text = _FRACTION.sub(lambda found: "24 7" if found[0] == "24/7" else words["of"].format(found[1], found[2]), text)
    text = _RANGE.sub(lambda found: found[1] + words["to"], text)
    text = _WORD_RATE.sub(lambda found: words[f"per_{found[2][0]}"].format(found[1]), text)
    text = _MEASURE.sub(lambda found: _measure(found, language), text)
    text = _PLACES.sub(lambda found: number(float(found[1]), language), text)
    return text.replace(_SPARED, "")


def number(value: float, language: Language) -> str:
    """A number as people say it: rounded to what can be taken in by ear. 0.0734 is 0.073, 1234567 is 1.2 million."""
    if value > _HUGE:
        return _WORDS[language]["huge"]
    for least, scale, word in _LARGE[language]:
        if value >= least:
            return f"{_rounded(value / scale)}{word}"
    return _WORDS[language]["nearly_0"] if 0 < value < 1e-4 else _rounded(value)


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
    return number(round(value) if 10 <= value < _HUGE else value, language)


def _measure(found: re.Match[str], language: Language) -> str:
    words = _WORDS[language]
    kind = next(name for name in _KINDS if found[name] is not None)
    said = _said(kind, found["number"], found[kind], language)
    if found["money"]:
        said = words[found["money"]].format(said)
    if found["per"]:
        per = found["per"].removeprefix(" per ").lstrip("/ ")
        said = words["per_s" if per == "ps" else f"per_{per[0]}"].format(said)
    said = (words["about"] if found["about"] else "") + _sign(found["sign"], words) + said
    if not found["than"]:
        return said
    than = {"≥": ">=", "=>": ">=", "≤": "<=", "=<": "<="}.get(found["than"], found["than"])
    return f" {words[than].format(said)}"


def _said(kind: str, digits: str, unit: str, language: Language) -> str:
    """A number with its unit."""
    words = _WORDS[language]
    value = float(digits.replace(",", ""))
    written, unit = digits + unit, unit.strip()
    match kind:
        case "percent":
            return words["percent"].format(_percent(value * _SCALES.get(unit[0], 1), language))
        case "degrees":
            return words["fahrenheit" if unit.endswith("F") else "degrees"].format(number(value, language))
        case "times":
            return words["times"].format(number(value, language))
        case "duration":
            return _duration(written, language)
        case "spelled":
            return f"{number(value, language)} {unit}"
        case "bits":
            return _bits(value, unit, language)
        case "size":
            return _size(value, unit, language)
        case _:
            return _plain(digits, value * _SCALES[unit], language)


_KINDS = ("percent", "degrees", "times", "milli", "duration", "bits", "size", "spelled", "scaled")


def _sign(sign: str, words: Mapping[str, str]) -> str:
    return {"-": words["minus"], "+": words["plus"]}.get(sign, "")


def _plain(written: str, value: float, language: Language) -> str:
    """A number without a unit. Two places stay: it may be a version (Python 3.10)."""
    if value < 100 and re.fullmatch(r"[0-9]+\.[0-9]{1,2}", written) and float(written) == value:
        return re.sub(r"\.00?$", "", written)
    return number(value, language)


def _duration(written: str, language: Language) -> str:
    """The two largest units that are not zero. Many of a unit are said in larger ones: 950400 s is 11 days."""
    parts = [(float(count.replace(",", "")), _UNITS[unit]) for count, unit in _PARTS.findall(written)]
    if len(parts) == 1:
        parts = _few(*parts[0])
    told = [part for part in parts if part[0]][:2] or parts[-1:]
    return (" " if language == "en" else "").join(_count(count, unit, language) for count, unit in told)


def _few(value: float, unit: str) -> list[tuple[float, str]]:
    """A duration in the units in which it is said."""
    seconds = value * _SECONDS.get(unit, 0)
    if unit == "s" and 0 < value < 0.01:
        return [(value * 1e3, "ms") if value >= 1e-3 else (value * 1e6, "us")]
    if value < _FEW.get(unit, math.inf):
        return [(value, unit)]
    if seconds >= 2 * _SECONDS["y"]:
        return [(seconds / _SECONDS["y"], "y")]
    if seconds < 2:
        larger = "ms" if seconds >= 1e-3 else "us"
        return [(seconds / _SECONDS[larger], larger)]
    if seconds < _FEW["s"]:
        return [(seconds, "s")]
    whole = int(seconds)
    return [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]


def _count(value: float, unit: str, language: Language) -> str:
    said = _WORDS[language][unit].format(number(value, language))
    return said.removesuffix("s") if language == "en" and value == 1 else said


def _bits(value: float, unit: str, language: Language) -> str:
    letter = unit[0].replace("K", "k") if unit[0] in "kKMGT" else ""
    return _count(value, f"{letter}b", language)


def _size(value: float, unit: str, language: Language) -> str:
    """Bytes in the unit that makes them few. 1 KB is said to have 1,024."""
    power = 0 if unit[0] in "mun" else max(_SIZES.find(unit[0].upper()), 0)
    value *= _SCALES[unit[0]] if unit[0] in "mun" else 1  # humanize}}B
    while value >= 1024 and power < len(_SIZES) - 1:
        value, power = value / 1024, power + 1
    return _count(value, _SIZES[power], language)


def _version(found: re.Match[str], words: Mapping[str, str]) -> str:
    """The numbers of a version, each for itself. Of what follows only that it is no release yet."""
    numbers = found["called"] or found["marked"] or found["bare"]
    said = "" if found["bare"] else words["version"]
    release = _RELEASE.match(found["more"])
    return said + words["dot"].join(numbers.split(".")) + (f" {release[1]} {release[2]}".rstrip() if release else "")


def _moment(found: re.Match[str], language: Language) -> str:
    month = found["month"] or found["name"] or found["last"]
    number_of_month = int(month) if month.isdigit() else [name[:3] for name in _MONTHS].index(month[:3]) + 1
    year = found["year"] or found["named_year"] or found["last_year"] or found["end_year"]
    said = _date(year, number_of_month, int(found["day"] or found["named"] or found["first"]), language)
    if not found["clock"]:
        return said
    clock = _clock(found["clock"], found["zone"] or found["end_zone"] or "", language)
    if language == "ja" and clock.startswith(_JST):
        return _JST + said + clock.removeprefix(_JST)
    return said + _joint(language) + clock


def _compact(found: re.Match[str], language: Language) -> str:
    """20261123 is a date where it ends a name or has a time; elsewhere it is a count."""
    before = found.string[found.start() - 2 : found.start()]
    if not found["T"] and not re.fullmatch(r"[A-Za-z0-9][-_.]", before):
        return found[0]
    said = _date(found["year"], int(found["month"]), int(found["day"]), language)
    if found["T"]:
        said += _joint(language) + _clock(f"{found['hour']}:{found['minute']}", found["zone"], language)
    return f" {said}"


def _time(found: re.Match[str], language: Language) -> str:
    said = _clock(found["clock"], found["zone"], language)
    if not found["until"]:
        return said
    return said + _WORDS[language]["to"] + _clock(found["until"], found["until_zone"], language)


def _joint(language: Language) -> str:
    return ", " if language == "en" else ""


def _date(year: str | None, month: int, day: int, language: Language) -> str:
    if language == "ja":
        return f"{year}年{month}月{day}日" if year else f"{month}月{day}日"
    return f"{_MONTHS[month - 1]} {day}{f', {year}' if year else ''}"


def _clock(written: str, zone: str, language: Language) -> str:
    """A time without its seconds, with its zone."""
    words = _WORDS[language]
    hour, minute = (int(part) for part in written.split(":")[:2])
    said = words["midnight" if hour in (0, 24) and not minute else "clock" if minute else "hour"].format(hour, minute)
    zone = zone.strip()
    offset = re.match(r"([+-])([0-9]{2}):?([0-9]{2})(?:\s([A-Z]+))?", zone)
    if not zone:
        return said
    if language == "ja" and (zone == "JST" or (offset and offset[0].startswith("+09") and offset[3] == "00")):
        return _JST + said
    if zone == "Z" or (offset and offset[2] + offset[3] == "0000"):
        return f"{said} UTC"
    if offset is None or offset[4]:
        return f"{said} {offset[4] if offset else zone}"
    minutes = f" {int(offset[3])}" if offset[3] != "00" else ""
    return f"{said} UTC {_sign(offset[1], words)}{int(offset[2])}{minutes}"
