"""TwiML for voice, as far as a page needs it: parsed, checked against Twilio's schema, ready to be performed.

Twilio only warns of an attribute or verb that it does not know (12200); here that is an error, so that a test sees it.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devstack.shared.webhooks import Answer

LARGEST_INLINE = 4000  # characters; Twilio: Calls.create, parameter Twiml
_POLLY_LIMIT = 3000  # characters of text; Twilio: 13521
_BASIC_LIMIT = 4096
_TYPES = ("text/xml", "application/xml", "text/html")


class TwimlError(Exception):
    """A document that Twilio would not perform, with the code of its error dictionary."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Say:
    """Speech: the text as heard, and the silence that `<break>` adds (seconds)."""

    text: str
    japanese: bool
    loop: int
    breaks: float


@dataclass(frozen=True)
class Pause:
    """Silence, in seconds."""

    length: int


@dataclass(frozen=True)
class Play:
    """A sound, or keys."""

    url: str
    loop: int
    digits: str = ""


@dataclass(frozen=True)
class Gather:
    """Prompts while keys are awaited. `num_digits` None: any number. Timeout in seconds."""

    prompts: tuple[Say | Pause | Play, ...]
    action: str | None
    method: str
    timeout: float
    num_digits: int | None
    finish_on_key: str
    action_on_empty_result: bool
    keys: bool


@dataclass(frozen=True)
class Redirect:
    """Go on with another document."""

    url: str
    method: str


@dataclass(frozen=True)
class Hangup:
    """End the call."""


Verb = Say | Pause | Play | Gather | Redirect | Hangup

Valid = Callable[[str], bool]


def _matches(pattern: str) -> Valid:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


def _one_of(*values: str) -> Valid:
    return lambda value: value in values


def _anything(value: str) -> bool:
    del value
    return True


_METHOD = _one_of("GET", "POST")
_BOOLEAN = _one_of("true", "false")
_WHOLE = _matches(r"\d{1,4}")
_POSITIVE = _matches(r"[1-9]\d{0,3}")
_LANGUAGE = _matches(r"[a-z]{2,3}-([A-Z]{2}|\d{3})")
_VOICE = _matches(
    r"man|woman|alice|Polly\.[A-Z][a-z]+(-(Neural|Generative))?|Google\.[a-z]{2,3}-[A-Z]{2}-[A-Za-z0-9-]+"
)

# Twilio's names, and which values they take. tests/devstack/test_twilio.py holds the names against the twilio package.
ATTRIBUTES: Mapping[str, Mapping[str, Valid]] = {
    "Response": {},
    "Say": {"voice": _VOICE, "language": _LANGUAGE, "loop": _WHOLE},
    "Pause": {"length": _WHOLE},
    "Play": {"loop": _WHOLE, "digits": _matches(r"[0-9wW#*]+")},
    "Gather": {
        "input": _one_of("dtmf", "speech", "dtmf speech", "speech dtmf"),
        "action": _anything,
        "method": _METHOD,
        "timeout": _matches(r"[1-9]\d{0,2}|auto"),
        "speechTimeout": _matches(r"[1-9]\d{0,2}|auto"),
        "maxSpeechTime": _POSITIVE,
        "profanityFilter": _BOOLEAN,
        "finishOnKey": _matches(r"[0-9#*]?"),
        "numDigits": _POSITIVE,
        "partialResultCallback": _anything,
        "partialResultCallbackMethod": _METHOD,
        "language": _LANGUAGE,
        "hints": _anything,
        "bargeIn": _BOOLEAN,
        "debug": _BOOLEAN,
        "actionOnEmptyResult": _BOOLEAN,
        "speechModel": _anything,
        "enhanced": _BOOLEAN,
    },
    "Redirect": {"method": _METHOD},
    "Hangup": {},
}

# The code of each attribute that has one of its own; the others are 12200, schema validation.
_CODES = {
    ("Say", "voice"): 13511,
    ("Say", "loop"): 13510,
    ("Say", "language"): 13512,
    ("Gather", "finishOnKey"): 13310,
    ("Gather", "method"): 13312,
    ("Gather", "timeout"): 13313,
    ("Gather", "numDigits"): 13314,
    ("Gather", "input"): 13326,
    ("Gather", "language"): 13331,
    ("Gather", "actionOnEmptyResult"): 13338,
}

CHILDREN: Mapping[str, frozenset[str]] = {
    "Response": frozenset({"Say", "Pause", "Play", "Gather", "Redirect", "Hangup"}),
    "Gather": frozenset({"Say", "Pause", "Play"}),
}

# SSML inside Say. Amazon Polly's own tags (amazon:...) are not part of Twilio's schema.
SSML: Mapping[str, frozenset[str]] = {
    "break": frozenset({"strength", "time"}),
    "emphasis": frozenset({"level"}),
    "lang": frozenset({"xml:lang"}),
    "p": frozenset(),
    "phoneme": frozenset({"alphabet", "ph"}),
    "prosody": frozenset({"volume", "rate", "pitch"}),
    "s": frozenset(),
    "say-as": frozenset({"interpret-as", "format"}),
    "sub": frozenset({"alias"}),
    "w": frozenset({"role"}),
}
# Polly: what its neural voices do not know, and what a voice's name says of its language.
_NOT_NEURAL = frozenset({"emphasis"})
_NOT_NEURAL_ATTRIBUTES = frozenset({("prosody", "pitch")})
_POLLY_LANGUAGES: Mapping[str, frozenset[str]] = {
    "ja-JP": frozenset({"Mizuki", "Takumi", "Takumi-Neural", "Kazuha-Neural", "Tomoko-Neural"}),
    "en-US": frozenset(
        {
            *("Ivy", "Joanna", "Joey", "Justin", "Kendra", "Kimberly", "Matthew", "Salli"),
            *("Danielle-Neural", "Gregory-Neural", "Ivy-Neural", "Joanna-Neural", "Joey-Neural", "Justin-Neural"),
            *("Kendra-Neural", "Kevin-Neural", "Kimberly-Neural", "Matthew-Neural", "Ruth-Neural", "Salli-Neural"),
            *("Stephen-Neural", "Danielle-Generative", "Joanna-Generative", "Matthew-Generative", "Ruth-Generative"),
            "Stephen-Generative",
        }
    ),
}
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_BREAK_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def checked_body(answer: Answer) -> bytes:
    """The document that an application has answered with. Raises TwimlError 12300 for a media type that is none of TwiML's."""
    if answer.content_type.partition(";")[0].strip().lower() not in _TYPES:
        raise TwimlError(12300, f"Invalid Content-Type: {answer.content_type or 'none'}")
    return answer.body


def parse(document: str | bytes) -> list[Verb]:
    """The verbs of a TwiML document, in order.

    Raises TwimlError: 12100 no XML, 12102 another root than Response, 12200 not Twilio's schema, 133xx and 135xx for
    what has a code of its own.
    """
    try:
        root = ET.fromstring(document)  # noqa: S314 -- comes from the application under test, on this machine
    except ET.ParseError as error:
        raise TwimlError(12100, f"Document parse failure: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12102, f"The root element must be Response, not {root.tag}")
    _check(root)
    _no_text(root)
    return [_verb(element) for element in root]


def _check(element: ET.Element) -> None:
    for name, value in element.attrib.items():
        valid = ATTRIBUTES[element.tag].get(name)
        if valid is None:
            raise TwimlError(12200, f"Schema validation: {element.tag} has no attribute {name!r}")
        if not valid(value):
            code = _CODES.get((element.tag, name), 12200)
            raise TwimlError(code, f"{element.tag}: invalid {name} value {value!r}")


def _no_text(element: ET.Element) -> None:
    """Between verbs there may only be white space, and only verbs that may stand there."""
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise TwimlError(12200, f"Schema validation: text is not allowed directly in {element.tag}")
    for child in element:
        if child.tag not in CHILDREN.get(element.tag, frozenset()):
            code = 13320 if element.tag == "Gather" else 12200
            raise TwimlError(code, f"Schema validation: {child.tag} is not allowed in {element.tag}")


def _verb(element: ET.Element) -> Verb:
    _check(element)
    if element.tag == "Gather":
        return _gather(element)
    if element.tag == "Redirect":
        url = (element.text or "").strip()
        if not url or len(element):
            raise TwimlError(12200, "Schema validation: Redirect needs a URL and nothing else")
        return Redirect(url, element.get("method", "POST"))
    if element.tag == "Hangup":
        _no_text(element)
        return Hangup()
    return _prompt(element)


def _prompt(element: ET.Element) -> Say | Pause | Play:
    _check(element)
    if element.tag == "Say":
        return _say(element)
    if element.tag == "Pause":
        _no_text(element)
        return Pause(int(element.get("length", "1")))
    url = (element.text or "").strip()
    if len(element) or bool(url) == ("digits" in element.attrib):
        raise TwimlError(12200, "Schema validation: Play needs either a URL or digits")
    return Play(url, int(element.get("loop", "1")), element.get("digits", ""))


def _gather(element: ET.Element) -> Gather:
    _no_text(element)
    timeout = element.get("timeout", "5")
    digits = element.get("numDigits")
    return Gather(
        prompts=tuple(_prompt(child) for child in element),
        action=element.get("action"),
        method=element.get("method", "POST"),
        timeout=5.0 if timeout == "auto" else float(timeout),
        num_digits=None if digits is None else int(digits),
        finish_on_key=element.get("finishOnKey", "#"),
        action_on_empty_result=element.get("actionOnEmptyResult") == "true",
        keys="dtmf" in element.get("input", "dtmf"),
    )


def _say(element: ET.Element) -> Say:
    voice = element.get("voice", "")
    ssml = voice.startswith(("Polly.", "Google."))
    if len(element) and not ssml:
        raise TwimlError(13520, "Say: SSML needs a Polly or Google voice")
    language = element.get("language", "")
    if voice.startswith("Polly.") and voice.removeprefix("Polly.") not in _POLLY_LANGUAGES.get(
        language, frozenset({voice.removeprefix("Polly.")})
    ):
        raise TwimlError(13512, f"Say: {voice} does not speak {language}")
    if voice.endswith("-Neural"):
        _only_neural(element)
    pieces: list[str] = []
    breaks = _speech(element, pieces)
    text = " ".join("".join(pieces).split())
    if not text:
        raise TwimlError(13520, "Say: the text is empty")
    limit = _POLLY_LIMIT if ssml else _BASIC_LIMIT
    if len(text) > limit:
        raise TwimlError(13521, f"Say: {len(text)} characters, at most {limit} can be said")
    return Say(text, _JAPANESE.search(text) is not None, int(element.get("loop", "1")), breaks)


def _only_neural(element: ET.Element) -> None:
    """Refuses the SSML that neural voices cannot speak."""
    for child in element.iter():
        if child.tag in _NOT_NEURAL or any((child.tag, name) in _NOT_NEURAL_ATTRIBUTES for name in child.attrib):
            raise TwimlError(13520, f"Say: a neural voice cannot speak {child.tag} with {', '.join(child.attrib)}")
        if child.tag == "say-as" and child.get("interpret-as") in {"characters", "spell-out"}:
            raise TwimlError(13520, "Say: a neural voice cannot spell")


def _speech(element: ET.Element, pieces: list[str]) -> float:
    """Collect what is heard of `element` in `pieces`; return the seconds that its breaks add."""
    breaks = 0.0
    pieces.append(element.text or "")
    for child in element:
        if child.tag not in SSML:
            raise TwimlError(12200, f"Schema validation: {child.tag} is not allowed in Say")
        for name in child.attrib:
            known = "xml:lang" if name == _XML_LANG else name
            if known not in SSML[child.tag]:
                raise TwimlError(12200, f"Schema validation: {child.tag} has no attribute {name!r}")
        if child.tag == "break":
            breaks += _break(child)
            pieces.append(" ")
        elif child.tag == "sub":
            pieces.append(child.get("alias") or child.text or "")
        else:
            breaks += _speech(child, pieces)
            if child.tag in {"p", "s"}:
                pieces.append(" ")
        pieces.append(child.tail or "")
    return breaks


def _break(element: ET.Element) -> float:
    time = element.get("time")
    if time is None:
        return 0.5
    match = _BREAK_TIME.fullmatch(time)
    if match is None:
        raise TwimlError(12200, f"Schema validation: break time {time!r} is not like 500ms or 2s")
    seconds = float(match[1]) * (0.001 if match[2] == "ms" else 1.0)
    if seconds > 10:
        raise TwimlError(12200, "Schema validation: break time is at most 10s")
    return seconds
