"""What an X.509 certificate says, and whether an RSA signature is by its owner.

RFC 5280, 4.1, and RFC 8017, 8.2.2 (RSASSA-PKCS1-v1_5), in plain Python: an artifact runs on any machine only without binaries.
It verifies and never signs, so that nothing here is secret and no timing tells anything.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Hash = Literal["sha1", "sha256"]

LEAST_BITS = 2048  # of a modulus
_RSA = bytes.fromhex("2a864886f70d010101")  # 1.2.840.113549.1.1.1, RFC 8017: rsaEncryption
_COMMON_NAME = bytes.fromhex("550403")  # 2.5.4.3
# RFC 8017, 9.2, notes: what stands before a digest.
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
_INTEGER, _BITS, _OID, _SEQUENCE, _SET, _UTC_TIME, _TIME, _VERSION = 0x02, 0x03, 0x06, 0x30, 0x31, 0x17, 0x18, 0xA0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whose key it is (the subject's common name), and when the certificate counts."""

    name: str
    modulus: int
    exponent: int
    begins_at: datetime
    ends_at: datetime


def read(pem: bytes) -> Certificate:
    """The first certificate of a PEM file. Raises ValueError for what is none, or has another key than RSA's."""
    found = re.search(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", pem)
    if not found:
        raise ValueError("it is no certificate in PEM form")
    try:
        (_, whole), *_ = _parts(base64.b64decode(found[1]))
        (_, signed), *_ = _parts(whole)
        fields = [part for part in _parts(signed) if part[0] != _VERSION]
        _, _, _, (_, validity), (_, subject), (_, key), *_ = fields
        begins_at, ends_at = (_time(*part) for part in _parts(validity))
        (_, algorithm), (kind, bits) = _parts(key)
        is_rsa = next(_parts(algorithm)) == (_OID, _RSA) and kind == _BITS
        (_, modulus), (_, exponent) = _parts(next(_parts(bits[1:]))[1]) if is_rsa else ((0, b""), (0, b""))
    except (ValueError, StopIteration, IndexError, binascii.Error) as error:
        raise ValueError("it is no certificate") from error
    if not is_rsa:
        raise ValueError("its key is not RSA's")
    if len(modulus) * 8 < LEAST_BITS:
        raise ValueError(f"its key has less than {LEAST_BITS} bits")
    return Certificate(_name(subject), int.from_bytes(modulus), int.from_bytes(exponent), begins_at, ends_at)


def is_signed(certificate: Certificate, message: bytes, signature: bytes, by: Hash) -> bool:
    """Whether the signature over the message is by the certificate's owner."""
    size = (certificate.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature)
    if len(signature) != size or number >= certificate.modulus:
        return False
    ending = b"\0" + _DIGEST_INFO[by] + hashlib.new(by, message, usedforsecurity=False).digest()
    wanted = b"\0\1" + b"\xff" * (size - 2 - len(ending)) + ending
    return pow(number, certificate.exponent, certificate.modulus).to_bytes(size) == wanted


def _parts(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of a constructed value in DER, each with its tag."""
    while encoded:
        tag, length, start = encoded[0], encoded[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(encoded[2:start])
        if len(encoded) < start + length:
            raise ValueError("it ends in the middle")
        yield tag, encoded[start : start + length]
        encoded = encoded[start + length :]


def _time(tag: int, written: bytes) -> datetime:
    """RFC 5280, 4.1.2.5: two digits of a year from 1950 on, or four."""
    text = written.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    if tag not in (_UTC_TIME, _TIME) or not re.fullmatch(r"[0-9]{14}Z", text):
        raise ValueError("it has no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _name(subject: bytes) -> str:
    for _, names in _parts(subject):
        for _, pair in _parts(names):
            (_, kind), (_, value) = _parts(pair)
            if kind == _COMMON_NAME:
                return value.decode("utf-8", "replace")
    return ""
