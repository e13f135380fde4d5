"""A certificate authority of the tests."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

NAME = "sns.amazonaws.com"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)
_AUTHORITY = ec.generate_private_key(ec.SECP256R1())


def new_key() -> rsa.RSAPrivateKey:
    """A private key."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certificate_of(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    name: str = NAME,
    begins_at: datetime = START,
    ends_at: datetime = END,
) -> bytes:
    """A certificate for a key, as a PEM file."""
    public: CertificatePublicKeyTypes = key.public_key()
    names = [
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
    ]
    made = x509.CertificateBuilder().subject_name(x509.Name(names)).issuer_name(x509.Name(names[:1]))
    made = made.public_key(public).serial_number(x509.random_serial_number())
    made = made.not_valid_before(begins_at).not_valid_after(ends_at)
    return made.sign(_AUTHORITY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
