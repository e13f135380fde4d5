"""Certificates and RSA signatures, against those that OpenSSL makes."""

from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from oncall.alerts import certificates
from oncall.alerts.certificates import Hash
from tests.certificates import END, NAME, START, certificate_of, new_key

KEY = new_key()
HASHES: dict[Hash, HashAlgorithm] = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  SNS's version 1


def test_a_certificate_says_whose_it_is_and_when_it_counts() -> None:
    found = certificates.read(certificate_of(KEY))
    numbers = KEY.public_key().public_numbers()
    assert (found.name, found.modulus, found.exponent) == (NAME, numbers.n, numbers.e)
    assert (found.begins_at, found.ends_at) == (START, END)


def test_of_a_chain_it_is_the_first_certificate() -> None:
    assert certificates.read(certificate_of(KEY) + certificate_of(new_key(), name="ca")).name == NAME


@pytest.mark.parametrize("by", HASHES)
def test_what_the_key_has_signed_is_signed_and_nothing_else(by: Hash) -> None:
    certificate, message = certificates.read(certificate_of(KEY)), b"Message\n\xf0\x9f\x98\x80\n"
    signature = KEY.sign(message, padding.PKCS1v15(), HASHES[by])
    assert certificates.is_signed(certificate, message, signature, by)
    assert not certificates.is_signed(certificate, message + b"\n", signature, by)
    assert not certificates.is_signed(certificate, message, signature, "sha1" if by == "sha256" else "sha256")
    other = new_key().sign(message, padding.PKCS1v15(), HASHES[by])
    assert not certificates.is_signed(certificate, message, other, by)
    assert not certificates.is_signed(certificate, message, KEY.sign(message, _PSS, HASHES[by]), by)
    for bit in range(0, len(signature) * 8, 97):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not certificates.is_signed(certificate, message, bytes(changed), by)
    for odd in (b"", b"\0", signature[1:], b"\0" + signature, b"\xff" * len(signature), bytes(len(signature))):
        assert not certificates.is_signed(certificate, message, odd, by)


_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


def test_what_is_no_certificate_is_refused() -> None:
    pem = certificate_of(KEY)
    private = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for odd in (b"", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", private, pem[:400], pem[400:]):
        with pytest.raises(ValueError, match="certificate"):
            certificates.read(odd)


def test_another_kind_of_key_or_a_small_one_is_refused() -> None:
    with pytest.raises(ValueError, match="RSA"):
        certificates.read(certificate_of(ec.generate_private_key(ec.SECP256R1())))
    small = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # noqa: S505  to be refused
    with pytest.raises(ValueError, match="2048"):
        certificates.read(certificate_of(small))


def test_a_certificate_with_any_byte_changed_or_cut_off_is_read_or_refused_in_words() -> None:

    lines = certificate_of(KEY).splitlines()
    der = b64decode(b"".join(lines[1:-1]))
    for place in range(len(der)):
        for changed in (der[:place], der[:place] + bytes([der[place] ^ 0xFF]) + der[place + 1 :]):
            pem = b"\n".join((lines[0], b64encode(changed), lines[-1]))
            try:
                certificates.read(pem)
            except ValueError as error:
                assert str(error)  # noqa: PT017  either is right
