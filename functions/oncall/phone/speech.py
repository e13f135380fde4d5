"""How a text is said aloud: names, hosts and signs as people say them, and no punctuation by its name.

Whatever stands in a label comes out as words that a voice can read: letters, digits, and marks that are pauses.
"""

import re
import unicodedata
from collections.abc import Mapping

from oncall.phone.measures import measures
from oncall.roster import Language

_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u30fc]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_MARKUP = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,6});|\x1b\[[0-9;]{0,10}[A-Za-z]")
_NEEDLESS = re.compile(r"(?<=[、。\u3040-\u30ff\u4e00-\u9fff])\s|\s(?=[\u3040-\u30ff\u4e00-\u9fff])")

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "dot": " dot ", "zero": "zero ", "ending": " ending in {} ", "address": " IPv6 address ending in {} ",
        "slash": " slash {}", "root": "the root directory", "and": " and ", "at": " at ", "is": " is ", "is_not": " is not ",
        "over": " over ", "under": " under ", "plus": " plus ", "plus_minus": " plus or minus ", "becomes": " to ",
        "number": " number ", "about": " about ",
    },
    "ja": {
        "dot": "ドット", "zero": "ゼロ", "ending": "末尾 {} ", "address": " IPv6アドレス末尾 {} ", "slash": "スラッシュ{}",
        "root": "ルート", "and": "と", "at": "アット", "is": "は", "is_not": "ノットイコール", "over": "、",
        "under": "、", "plus": "プラス", "plus_minus": "プラスマイナス", "becomes": "から", "number": "番号", "about": "約",
    },
}  # fmt: skip

_LINK = re.compile(r"\[([^\[\]]{1,100})\]\((?:https?://[^\s()]+)\)")  # Markdown's
_MAP = re.compile(
    r"(?:\bLABELS\s*[:=]\s*)?\bmap\[[^\[\]]*\]"
)  # as Go prints $labels: instance and job are said otherwise
_LINE = re.compile(
    r"(?<![.,:;!?、。\s])[^\S\n]*\n\s*(?=[A-Z\u3040-\u30ff\u4e00-\u9fff*•-]|\Z)|(?<![.,:;!?、。\s])[^\S\n]*\n\s*\n\s*"
)
_URL = re.compile(
    r"(?<![A-Za-z0-9])[a-z][a-z0-9+.-]{1,15}://(?:[!$%&*+,.:;=A-Z0-9_~-]*@)?([!$%&*+,./:;=@A-Z0-9_~-]*)"
    r"(?:[?#][!#$%&*+,./:;=?@A-Z0-9_~{}\[\]|-]*)?",
    re.IGNORECASE | re.ASCII,
)
_INTERNAL = re.compile(
    r"\.svc(?:\.cluster\.local)?$|(?:\.[a-z0-9-]+)*\.(?:internal|local|lan|localdomain|amazonaws\.com)$",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(
    r"(?<![A-Za-z0-9_.@-])(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,24}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    r"(?::[0-9]{2,5})?(?:/(?:[A-Za-z0-9_.~%-]*[A-Za-z0-9_~%-])?)*(?![A-Za-z0-9_-])"
)
_IPV6 = re.compile(
    r"\[?(?<![A-Za-z0-9_:.])((?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){0,6}(?:[0-9a-f]{1,4})?::(?:[0-9a-f]{1,4}:){0,6}[0-9a-f]{1,4})"
    r"(?:%[a-z0-9]+)?(?:\]:[0-9]{1,5}|\]|/[0-9]{1,3})?(?![A-Za-z0-9_:])",
    re.IGNORECASE | re.ASCII,
)
_PORT = re.compile(r"(\b[A-Za-z][A-Za-z0-9-]*):[0-9]{4,5}(?![0-9:])")
# What Kubernetes adds to a name: of a replica set's pods, of a daemon set's.
_POD = re.compile(
    r"-[0-9a-f]{8,10}-[a-z0-9]{5}(?![A-Za-z0-9-])|-(?=[a-z]*[0-9][0-9a-z]*[a-z])[bcdfghjklmnpqrstvwxz2456789]{5}(?![A-Za-z0-9-])"
)
_ID = re.compile(r"(?<![A-Za-z0-9])(?=[a-f-]*[0-9])[0-9a-f]{8,}(?:-[0-9a-f]{4,})*(?![A-Za-z0-9])", re.IGNORECASE)
# A slash alone: after a word for a place, at an edge, or before what a directory is or does. Else it stands between two words.
_ROOT = re.compile(
    r"(?:\b[Tt]he )?(?:(?<=\b[Aa]t )|(?<=\b[OoIi][nf] )|(?<=\bto )|(?<=\b[Tt]he )|(?<=\b[Ff]or )|(?<=\b[Mm]ountpoint )"
    r"|(?<=\b[Vv]olume )|(?<=\b[Dd]evice )|(?<=\b[Pp]artition )|(?<=\b[Ff]ilesystem )"
    r"|(?<![^\s\"'`:=(\[「])(?<!\w ))/(?![A-Za-z0-9_/])"
    r"|(?<![A-Za-z0-9_/])/(?=[\"'`)\]」]|\s(?:filesystem|partition|is|has|\(root)|\s?[のがはをにへ])"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])|(?<=[A-Z]{2})(?=[A-Z][a-z]{2})")
_LEADING_ZEROS = re.compile(r"(?<![0-9.,:])0+(?=[0-9])")
_UNSPOKEN = re.compile(r"[^\w\s.,:;!?'、。・]|_")
_PAUSES = re.compile(r"\s*([.,:;!?、。])(?:[\s.,:;、。]*[.,:;、。])?")


def language_of(text: str, otherwise: Language) -> Language | None:
    """The language whose voice can read a text: kana or kanji are Japanese, three words in Latin letters are English.

    None if neither can: most of its letters are of another script, or it is Chinese (kanji without any kana, of which one is
    unknown to Japanese encodings). A voice reads its own language alone: it passes over other letters, an English one over
    Japanese, and a Japanese one spells English.
    """
    kana, kanji, latin, other = 0, 0, 0, 0
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", text)):
        if _KANA.match(letter):
            kana += 1
        elif _is_kanji(letter):
            kanji += 1
        elif unicodedata.name(letter, "").startswith("LATIN"):
            latin += 1
        else:
            other += 1
    if other > latin + kana + kanji or (kanji and not kana and _is_chinese(text)):
        return None
    if kana or kanji:
        return "ja"
    return "en" if len(_LATIN_WORD.findall(text)) >= 3 else otherwise


def _is_kanji(letter: str) -> bool:
    return "\u3400" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff" or "\U00020000" <= letter <= "\U0003ffff"


def _is_chinese(text: str) -> bool:
    """Whether a text has marks or characters that Japanese does not write. Rare ones beyond the first plane stand in names."""
    return "\uff0c" in text or any(
        "\u4e00" <= letter <= "\u9fff" and not letter.encode("cp932", "ignore") for letter in text
    )


def spoken(text: str, language: Language, limit: int) -> str:
    """A text as it can be spoken in a language, cut at a word to `limit` characters. It ends without a mark."""
    words = _WORDS[language]
    text = unicodedata.normalize("NFKC", text[:2_000])
    text = _MARKUP.sub(" ", text)
    text = _LINK.sub(r"\1", text)
    text = re.sub(r"(?<=[A-Za-z])\((e?s)\)", r"\1", text)  # monitor(s)
    text = _MAP.sub(" ", text)
    text = _LINE.sub(". " if language == "en" else "、", text)
    text = _URL.sub(lambda found: found[1], text)
    text = re.sub(r"""(\w)\s*=~?\s*(["'])""", r"\1 \2", text)  # a label and its value
    text = re.sub(r"\(\?[a-z]*:?|\.[*+]\??", " ", text)  # of a regular expression
    text = re.sub(r"\s*(?:[=-]>|→)\s*", words["becomes"], text)
    text = _POD.sub("", text)
    text = _IPV6.sub(lambda found: words["address"].format(" ".join(found[1].rpartition(":")[2])), text)
    text = measures(text, language)
    text = re.sub(r"\(([月火水木金土日])\)", r" \1曜日 ", text)
    text = _HOST.sub(lambda found: _host(found[0], language), text)
    text = _PORT.sub(r"\1", text)
    text = _ID.sub(lambda found: words["ending"].format(" ".join(found[0][-4:])), text)
    text = _ROOT.sub(f" {words['root']} ", text)
    text = re.sub(r"\s/\s", ", " if language == "en" else "、", text)
    text = _CAMEL.sub(" ", text)
    text = _LEADING_ZEROS.sub(lambda found: " " + words["zero"] * len(found[0]), text)
    text = re.sub(r"#(?=[0-9])", words["number"], text)
    text = re.sub(r"[~≈]\s?(?=[0-9])", words["about"], text)
    text = re.sub(r"(?<=\w)\s*&\s*(?=\w)", words["and"], text)
    text = re.sub(r"(?<=[A-Za-z0-9])@(?=[A-Za-z0-9])", words["at"], text)
    text = re.sub(r"\s?(?:!=|≠)\s?", words["is_not"], text)
    for sign, word in (("[>≥]", "over"), ("[<≤]", "under")):
        text = re.sub(rf"\s{sign}=?\s|\s?{sign}=?\s?(?=[0-9])", words[word], text)
    text = re.sub(r"\s==?\s|(?<=\w)==?(?=\w)", words["is"], text)
    text = re.sub(r"\s?±\s?", words["plus_minus"], text)
    text = re.sub(r"\s\+\s", words["plus"], text)
    text = re.sub(r"[()\[\]{}|]|\s[-–—]\s", ", " if language == "en" else "、", text)
    text = re.sub(r"(?<![A-Za-z])'|'(?![A-Za-z])", " ", text)  # a quotation mark, no apostrophe
    text = _UNSPOKEN.sub(" ", text)
    text = _PAUSES.sub(lambda found: _pause(found, text), text)
    text = re.sub(r"\s+", " ", text)
    if language == "ja":
        text = _NEEDLESS.sub("", text)
    text = text.strip(" .,:;'、。・")
    if len(text) > limit:
        start = text[: limit + 1]
        at = max(start.rfind(" "), start.rfind("、") if language == "ja" else -1)
        text = start[: at if at > limit // 2 or language == "en" else limit].strip(" .,:;'、。・")
    return text


def _host(written: str, language: Language) -> str:
    """A host's name: the first label of what is inside or long, else all; then the path. The port is not said."""
    words = _WORDS[language]
    address, _, path = written.partition("/")
    host = _INTERNAL.sub("", re.sub(r":[0-9]+$", "", address).removeprefix("www."))
    labels = host.split(".")
    if len(labels) > 3 and not labels[-1].isdigit():
        labels = labels[:1]
    said = words["dot"].join(label.replace("-", " ") for label in labels)
    if labels[-1].isdigit() and path.isdigit():  # a network, not a page
        return said + words["slash"].format(path)
    steps = [re.sub(r"[._~%-]", " ", step) for step in path.split("/") if step]
    return f"{said}{', ' if language == 'en' else '、'}{' '.join(steps)}" if steps else said


def _pause(found: re.Match[str], text: str) -> str:
    """The strongest of some marks, and what follows it: nothing within a number, a time or a name, else a space."""
    mark = next((strong for strong in "。." if strong in found[0]), found[1])
    if mark in "、。":
        return mark
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    glues = before.isdigit() and after.isdigit() if mark in ",:" else before.isalnum() and after.isalnum()
    return mark if glues and found[0] == mark and mark in ".,:" else f"{mark} "
