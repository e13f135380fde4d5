"""Whether a provider has signed a request. Neither of them can be asked for anything here: this loads no library for requests."""

import base64
import binascii
import re
from collections.abc import Mapping

from twilio.request_validator import RequestValidator

from oncall.phone import ed25519

TOLERANCE_SECONDS = 300  # Telnyx's own library: how old a callback's timestamp may be, or how new


def is_twilios(headers: Mapping[str, str], url: str, form: Mapping[str, str], auth_token: str) -> bool:
    """Twilio: HMAC-SHA1 of the full public address and the sorted form, compared in constant time."""
    signature = headers.get("x-twilio-signature", "")
    return bool(signature) and signature.isascii() and bool(RequestValidator(auth_token).validate(url, form, signature))


def is_telnyxs(headers: Mapping[str, str], body: str, public_keys: str, *, now: int) -> bool:
    """Telnyx: Ed25519 over the time and the body, just now (`now` in epoch milliseconds). The address is not signed.

    `public_keys` are Base64 as Mission Control shows them; during a change two, separated by a space.
    """
    timestamp = headers.get("telnyx-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now // 1000 - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signature = _bytes(headers.get("telnyx-signature-ed25519", ""))
    message = f"{timestamp}|{body}".encode()
    return any(ed25519.is_signed(_bytes(key), message, signature) for key in public_keys.split())


def _bytes(written: str) -> bytes:
    """What Base64 stands for; nothing if it is not Base64."""
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        return b""
