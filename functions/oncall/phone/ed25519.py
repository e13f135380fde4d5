"""Whether an Ed25519 signature is right. RFC 8032, 5.1.7, in plain Python: an artifact runs on any machine only without binaries.

It verifies and never signs, so that nothing here is secret and no timing tells anything. About ten milliseconds.
"""

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493  # the order of the base point
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)  # of -1

type _Point = tuple[int, int, int, int]  # x, y, z, t: the point is (x/z, y/z), and t is xy/z

_ZERO: _Point = (0, 1, 1, 0)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes over the message is by the owner of a public key of 32 bytes."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    owner, r = _decoded(public_key), _decoded(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if owner is None or r is None or s >= _L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _L
    return _is_same(_times(s, _BASE), _sum(r, _times(k, owner)))


def _decoded(encoded: bytes) -> _Point | None:
    """RFC 8032, 5.1.3. None for what is no point."""
    number = int.from_bytes(encoded, "little")
    y, is_odd = number & ((1 << 255) - 1), number >> 255
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _ROOT % _P
    elif v * x * x % _P != u:
        return None
    if x == 0 and is_odd:
        return None
    if x & 1 != is_odd:
        x = _P - x
    return x, y, 1, x * y % _P


def _sum(one: _Point, other: _Point) -> _Point:
    """RFC 8032, 5.1.4."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    product = _ZERO
    while factor:
        if factor & 1:
            product = _sum(product, point)
        point = _sum(point, point)
        factor >>= 1
    return product


def _is_same(one: _Point, other: _Point) -> bool:
    x1, y1, z1, _ = one
    x2, y2, z2, _ = other
    return (x1 * z2 - x2 * z1) % _P == 0 and (y1 * z2 - y2 * z1) % _P == 0


_y = 4 * pow(5, -1, _P) % _P
_found = _decoded(_y.to_bytes(32, "little"))
assert _found is not None  # noqa: S101  for mypy: RFC 8032, 5.1: B
_BASE: _Point = _found
