"""TwiML as TeXML, Telnyx's dialect of it."""

import xml.etree.ElementTree as ET

# Telnyx, "Gather": these attributes of TwiML are not TeXML's. It asks `action` with the method of its application.
_NOT_TEXML = {"Gather": ("method", "actionOnEmptyResult")}


def texml(document: str) -> str:
    """A TwiML document of ours without what Telnyx does not know."""
    root = ET.fromstring(document)  # noqa: S314  our own
    for tag, names in _NOT_TEXML.items():
        for element in root.iter(tag):
            for name in names:
                element.attrib.pop(name, None)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode")
