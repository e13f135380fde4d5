"""Telnyx's signature, which stands on each of its webhooks. Keys are Base64 of their 32 bytes."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign(key: str, timestamp: str, body: str) -> str:
    """`telnyx-signature-ed25519`: Base64 of Ed25519 over the timestamp, a bar, and the body as it is sent."""
    return base64.b64encode(_private(key).sign(f"{timestamp}|{body}".encode())).decode()


def public_key(key: str) -> str:
    """As Mission Control shows it."""
    return base64.b64encode(_private(key).public_key().public_bytes_raw()).decode()


def _private(key: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(key))
