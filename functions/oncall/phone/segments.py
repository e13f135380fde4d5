"""In how many parts a text message goes out, which is what it costs, and texts written so that they are few.

GSM 03.38 (3GPP TS 23.038): 160 characters in its 7-bit alphabet, 153 of each part of several; characters of its extension
table count twice. One character that it does not have makes the whole text UCS-2: 70 UTF-16 units, 67 of each part of
several. What counts twice is not split between two parts.
"""

import re

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_AS_TYPED = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−•·", "-")
    | {
        "…": "...",
        "→": "->",
        "←": "<-",
        "⇒": "=>",
        "≥": ">=",
        "≤": "<=",
        "≠": "!=",
        "×": "x",
        "µ": "u",
        "μ": "u",
        "°": "",
    }
)


def segments(text: str) -> int:
    """How many parts a text message has."""
    if is_gsm(text):
        widths, one, several = [1 + (character in _EXTENDED) for character in text], 160, 153
    else:
        widths, one, several = [1 + (character > "\uffff") for character in text], 70, 67
    if sum(widths) <= one:
        return 1
    parts, left = 1, several
    for width in widths:
        if width > left:
            parts, left = parts + 1, several
        left -= width
    return parts


def is_gsm(text: str) -> bool:
    """Whether a text goes out in 7 bits a character."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def plain(text: str) -> str:
    """A text without what doubles its price and says nothing: typographic marks as they are typed, no emoji.

    One in letters that GSM's alphabet does not have stays as it is: its price does not change.
    """
    typed = re.sub(r"[^\S\n]", " ", text).translate(_AS_TYPED)
    kept = "".join(character for character in typed if is_gsm(character) or character.isalnum())
    return " ".join(kept.split()) if is_gsm(kept) else text
