"""Twilio's signature, which stands on each of its webhooks. Twilio: "Security"."""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from devstack.shared import webhooks
from devstack.shared.webhooks import Answer, WebhookError, parse_url

__all__ = ["Answer", "WebhookError", "parse_url", "send", "sign", "signed_url"]


def signed_url(url: str) -> str:
    """The form of `url` that is signed.

    Twilio leaves user and password out, and the port for https; for http the port stays.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https" and parts.port is not None:
        host = host.rpartition(":")[0]
    return urlunsplit(parts._replace(netloc=host))


def sign(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """`X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL and the sorted names and values of the form."""
    text = signed_url(url) + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def send(auth_token: str, url: str, method: str, parameters: Mapping[str, str]) -> Answer:
    """Send one webhook, signed, and return the 2xx answer. Raises WebhookError."""

    def headers(target: str, form: Mapping[str, str], body: str) -> Mapping[str, str]:
        del body
        return {
            "X-Twilio-Signature": sign(auth_token, target, form),
            "I-Twilio-Idempotency-Token": str(uuid.uuid4()),
            "User-Agent": "TwilioProxy/1.1",
        }

    return webhooks.send(headers, url, method, parameters)
