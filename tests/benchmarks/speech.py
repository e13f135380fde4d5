"""How long it takes to say ten typical alerts of the bundle: `PYTHONPATH=functions python -m tests.benchmarks.speech`.

In both languages, in seconds up to the keys, and until the call ends by itself. English is spoken by espeak-ng at 165 words
a minute, where that is installed; else it is counted, as Japanese always is, in syllables by the rates at which people read
aloud (Pellegrino, Coupé and Marsico 2011: English 6.19 a second, Japanese 7.84; 7.0 is taken). A syllable of Japanese is a
kana; a kanji counts as two, a digit as two.
"""

import io
import re
import shutil
import subprocess
import wave
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import yaml

from oncall.incidents import Headline
from oncall.pages import Storm
from oncall.phone.provider import Callbacks
from oncall.phone.voice import KEY_SECONDS, LIFT_MS, PAUSE_MS, Piece, Voice
from oncall.roster import Language
from tests.records import headline

CASES = Path(__file__).parents[1] / "monitoring/cases.yml"
# Each as it may fire at night; of some several at once.
TYPICAL = {
    "URL Alert(critical)": 1, "EC2 Instance Alert(critical)": 3, "EC2 CPU Alert(critical)": 1,
    "EC2 Memory Alert(critical)": 1, "EC2 Storage Alert(critical)": 12, "OpenSearch Status Alert(critical)": 1,
    "OpenSearch Writes Blocked Alert(critical)": 1, "Elasticsearch Storage Alert(critical)": 2,
    "Certificate Alert(7 days)": 1, "Monitoring Target Alert(warning)": 2,
}  # fmt: skip
PACE = {"en": 6.19, "ja": 7.0}  # syllables a second
WORDS_A_MINUTE = 165
HALF = re.compile("[ぁぃぅぇぉゃゅょァィゥェォャュョ]")  # they are part of the syllable before
KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u30fc]")
TWO = re.compile(r"[\u4e00-\u9fff0-9]")


def abouts() -> dict[str, Headline]:
    """What calls say of the bundle's alerts."""
    return {
        case["alert"]: headline(
            summary=case["summary"],
            summaries={"ja": case["summary_ja"]} if "summary_ja" in case else {},
            product=case["labels"].get("product", "monitoring"),
            firing=TYPICAL.get(case["alert"], 1),
        )
        for case in yaml.safe_load(CASES.read_text())
    }


def seconds(told: Iterable[Piece], english: Callable[[str], float]) -> float:
    """How long it takes to say words."""
    return sum(english(text) if language == "en" else _japanese(text) for language, text in told)


def to_the_keys(
    about: Headline, language: Language, english: Callable[[str], float], *, storm: Storm | None = None
) -> float:
    """From the moment when the phone is answered."""
    return LIFT_MS / 1000 + seconds(_voice(language).message(about, storm), english)


def to_the_end(about: Headline, language: Language, english: Callable[[str], float]) -> float:
    """Until the call ends when nobody presses a key: a voicemail."""
    voice = _voice(language)
    says = ET.fromstring(voice.alert(about)).iter("Say")  # noqa: S314  our own
    told: Iterable[Piece] = (("ja" if s.get("language") == "ja-JP" else "en", "".join(s.itertext())) for s in says)
    said = seconds(told, english)
    return said + 2 * (KEY_SECONDS + (LIFT_MS + PAUSE_MS) / 1000)


def _voice(language: Language) -> Voice:
    return Voice(language, Callbacks("https://gateway.example.com/prod", "default", "0123456789abcdef", 1))


def _japanese(text: str) -> float:
    syllables = len(KANA.findall(text)) - len(HALF.findall(text)) + 2 * len(TWO.findall(text))
    pauses = 0.3 * len(re.findall("[、。,.]", text))
    return (syllables + sum(_letters(word) for word in re.findall("[A-Za-z]+", text))) / PACE["ja"] + pauses


def _letters(word: str) -> int:
    """A Latin word in kana, roughly: one for each vowel and for each consonant without one; an acronym is spelled."""
    return 2 * len(word) if word.isupper() else max(2, round(len(word) * 0.8))


def counted(text: str) -> float:
    """English by its syllables."""
    return len(re.findall("[aeiouy]+|[0-9]", text.lower())) / PACE["en"] + 0.3 * len(re.findall("[,.:]", text))


def by_ear(text: str) -> float:
    """English as espeak-ng speaks it."""
    command = ["espeak-ng", "-v", "en-us", "-s", str(WORDS_A_MINUTE), "--stdout", text]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603  our own words
    with wave.open(io.BytesIO(spoken)) as sound:  # its length is not in the header of what goes to a pipe
        frame: int = sound.getsampwidth() * sound.getnchannels()
        rate: int = sound.getframerate()
    return (len(spoken) - 44) / frame / rate


def main() -> None:
    """Prints the seconds of each alert."""
    english = by_ear if shutil.which("espeak-ng") else counted
    print(f"seconds to the keys (until the end, if no key is pressed); English {english.__name__}")  # noqa: T201
    about = abouts()
    for name in TYPICAL:
        told = "   ".join(
            f"{language}: {to_the_keys(about[name], language, english):4.1f} ({to_the_end(about[name], language, english):4.1f})"
            for language in get_args(Language)
        )
        print(f"{told}   {name}")  # noqa: T201
    for language in get_args(Language):
        print(f"the keys, {language}: {seconds(_voice(language).keys(), english):.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
