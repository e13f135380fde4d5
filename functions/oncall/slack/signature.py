"""Slack's signature of a request. Checked here and not by Slack's library, which would take a cold start's time to load."""

import hashlib
import hmac
import re

SKEW_SECONDS = 300  # Slack: older requests may be somebody's replay


def is_valid(secret: str, *, timestamp: str, body: str, signature: str, now: float) -> bool:
    """Slack: v0= and the HMAC-SHA256 of v0:{timestamp}:{raw body}, compared in constant time. `now` in epoch seconds."""
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(now - int(timestamp)) > SKEW_SECONDS:
        return False
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
    return signature.isascii() and hmac.compare_digest(f"v0={signed.hexdigest()}", signature)
