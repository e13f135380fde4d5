"""TeXML, Telnyx's markup: TwiML's verbs with attributes of its own. Telnyx: "TeXML verbs"."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace

from devstack.shared import twiml
from devstack.shared.twiml import TwimlError, Verb

# The attributes of the verbs that are simulated here. Telnyx passes over what it does not know; here that is an error, so
# that a test sees it.
ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Response": frozenset(),
    "Say": frozenset(
        {"voice", "language", "loop", "gender", "effect", "voiceSpeed", "api_key_ref", "region", "pronunciationDictId"}
    ),
    "Pause": frozenset({"length"}),
    "Play": frozenset({"loop", "digits", "mediaStorage", "failoverUrl", "continueOnError", "ringTone"}),
    "Gather": frozenset(
        {
            "action", "timeout", "input", "speechTimeout", "partialResultCallback", "partialResultCallbackMethod",
            "profanityFilter", "useEnhanced", "hints", "transcriptionEngine", "model", "apiKeyRef", "region",
            "finishOnKey", "numDigits", "language", "validDigits", "invalidDigitsAction", "minDigits", "maxDigits",
        }
    ),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
}  # fmt: skip


def parse(document: str | bytes) -> list[Verb]:
    """The verbs of a TeXML document, in order. Raises TwimlError with the code 12200 for what is not of TeXML.

    That its Gather asks `action` when no key was pressed is not documented, nor that it does not: here it does.
    """
    try:
        root = ET.fromstring(document)  # noqa: S314 -- comes from the application under test, on this machine
    except ET.ParseError as error:
        raise TwimlError(12100, f"Document parse failure: {error}") from error
    for element in root.iter():
        for name in element.attrib if element.tag in ATTRIBUTES else ():
            if name not in ATTRIBUTES[element.tag]:
                raise TwimlError(12200, f"TeXML: {element.tag} has no attribute {name!r}")
    return [
        replace(verb, action_on_empty_result=verb.action is not None) if isinstance(verb, twiml.Gather) else verb
        for verb in twiml.parse(document)
    ]
