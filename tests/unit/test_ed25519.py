"""Ed25519 signatures: those of RFC 8032 are right, and nothing near them is; the same as with OpenSSL."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from oncall.phone.ed25519 import _L, is_signed

# RFC 8032, 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465514143"
            "8e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d2916"
            "12bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027bece"
            "ea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_signatures_of_the_rfc_are_right_and_with_one_bit_changed_wrong(
    key: str, message: str, signature: str
) -> None:
    public, said, signed = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature)
    assert is_signed(public, said, signed)
    assert not is_signed(public, said + b"1", signed)
    for place in (0, 31, 32, 63):
        wrong = bytearray(signed)
        wrong[place] ^= 1
        assert not is_signed(public, said, bytes(wrong))
    other = bytearray(public)
    other[0] ^= 1
    assert not is_signed(bytes(other), said, signed)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_a_signature_has_one_form(key: str, message: str, signature: str) -> None:
    """Adding the group's order to s must not give another right signature (RFC 8032, 5.1.7: malleability)."""
    signed = bytes.fromhex(signature)
    s = int.from_bytes(signed[32:], "little") + _L
    assert not is_signed(bytes.fromhex(key), bytes.fromhex(message), signed[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 1, 31, 33, 63, 65, 128])
def test_another_size_is_refused(size: int) -> None:
    key, message, signature = (bytes.fromhex(one) for one in VECTORS[1])
    assert not is_signed(key, message, bytes(size))
    assert size == 32 or not is_signed(bytes(size), message, signature)


@pytest.mark.parametrize("key", [b"\xff" * 32, b"\xed" + b"\xff" * 30 + b"\x7f", b"\x02" + b"\x00" * 31])
def test_what_is_no_point_of_the_curve_is_refused(key: bytes) -> None:
    _, message, signature = (bytes.fromhex(one) for one in VECTORS[1])
    assert not is_signed(key, message, signature)
    assert not is_signed(bytes.fromhex(VECTORS[1][0]), message, key + signature[32:])


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_it_agrees_with_openssl(seed: bytes, message: bytes) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = private.sign(message)
    assert is_signed(public, message, signature)
    assert not is_signed(public, message, signature[:32] + bytes(32))
