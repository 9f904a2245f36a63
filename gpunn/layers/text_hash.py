"""Hashes of strings, 64 bits wide, the same everywhere and always.

`siphash64`: SipHash-2-4 with a key. `farmhash64`: FarmHash's Fingerprint64 (farmhashna::Hash64).

Sources: Aumasson, Bernstein, SipHash: a fast short-input PRF (INDOCRYPT 2012); Pike, Alakuijala,
FarmHash (https://github.com/google/farmhash).
"""

from __future__ import annotations

_MASK = (1 << 64) - 1


def _rotate_left(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & _MASK


def _rotate(x: int, bits: int) -> int:
    """To the right."""
    return (x >> bits | x << (64 - bits)) & _MASK


# --- SipHash-2-4 ---


def _rounds(v: list[int], count: int) -> None:
    a, b, c, d = v
    for _ in range(count):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _rotate_left(b, 13) ^ a, _rotate_left(d, 16) ^ c
        a = _rotate_left(a, 32)
        a, c = (a + d) & _MASK, (c + b) & _MASK
        d, b = _rotate_left(d, 21) ^ a, _rotate_left(b, 17) ^ c
        c = _rotate_left(c, 32)
    v[:] = a, b, c, d


def siphash64(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 of a string under a key of two numbers of 64 bits."""
    k0, k1 = (k & _MASK for k in key)
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# --- FarmHash Fingerprint64 ---

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def _word(s: bytes, at: int) -> int:
    return int.from_bytes(s[at : at + 8], "little")


def _mix(x: int) -> int:
    return x ^ x >> 47


def _pair(u: int, v: int, factor: int) -> int:
    """Two numbers of 64 bits as one."""
    a = _mix((u ^ v) * factor & _MASK)
    return _mix((v ^ a) * factor & _MASK) * factor & _MASK


def _up_to_16(s: bytes) -> int:
    n = len(s)
    if n >= 8:
        factor = _K2 + 2 * n
        a, b = _word(s, 0) + _K2, _word(s, n - 8)
        c = _rotate(b, 37) * factor + a
        d = (_rotate(a & _MASK, 25) + b) * factor
        return _pair(c & _MASK, d & _MASK, factor)
    if n >= 4:
        first, last = (int.from_bytes(part, "little") for part in (s[:4], s[-4:]))
        return _pair(n + (first << 3), last, _K2 + 2 * n)
    if n:
        y = s[0] + (s[n // 2] << 8)
        z = n + (s[-1] << 2)
        return _mix((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _up_to_32(s: bytes) -> int:
    n = len(s)
    factor = _K2 + 2 * n
    a, b = _word(s, 0) * _K1 & _MASK, _word(s, 8)
    c, d = _word(s, n - 8) * factor & _MASK, _word(s, n - 16) * _K2
    u = _rotate((a + b) & _MASK, 43) + _rotate(c, 30) + d
    v = a + _rotate((b + _K2) & _MASK, 18) + c
    return _pair(u & _MASK, v & _MASK, factor)


def _up_to_64(s: bytes) -> int:
    n = len(s)
    factor = _K2 + 2 * n
    a, b = _word(s, 0) * _K2 & _MASK, _word(s, 8)
    c, d = _word(s, n - 8) * factor & _MASK, _word(s, n - 16) * _K2
    y = (_rotate((a + b) & _MASK, 43) + _rotate(c, 30) + d) & _MASK
    z = _pair(y, (a + _rotate((b + _K2) & _MASK, 18) + c) & _MASK, factor)
    e, f = _word(s, 16) * factor & _MASK, _word(s, 24)
    g, h = (y + _word(s, n - 32)) * factor & _MASK, (z + _word(s, n - 24)) * factor
    u = _rotate((e + f) & _MASK, 43) + _rotate(g, 30) + h
    v = e + _rotate((f + a) & _MASK, 18) + g
    return _pair(u & _MASK, v & _MASK, factor)


def _weak(s: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes and two numbers as two numbers."""
    w, x, y, z = (_word(s, at + i) for i in (0, 8, 16, 24))
    a = (a + w) & _MASK
    b = _rotate((b + a + z) & _MASK, 21)
    c, a = a, (a + x + y) & _MASK
    return (a + z) & _MASK, (b + _rotate(a, 44) + c) & _MASK


def _long(s: bytes) -> int:
    """In blocks of 64 bytes; the last one overlaps the one before it."""
    x, seed = 81, 81
    y = (seed * _K1 + 113) & _MASK
    z = _mix((y * _K2 + 113) & _MASK) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + _word(s, 0)) & _MASK
    end = (len(s) - 1) // 64 * 64
    for at in range(0, end, 64):
        x = _rotate((x + y + v[0] + _word(s, at + 8)) & _MASK, 37) * _K1 & _MASK
        y = _rotate((y + v[1] + _word(s, at + 48)) & _MASK, 42) * _K1 & _MASK
        x ^= w[1]
        y = (y + v[0] + _word(s, at + 40)) & _MASK
        z = _rotate((z + w[0]) & _MASK, 33) * _K1 & _MASK
        v = _weak(s, at, v[1] * _K1 & _MASK, (x + w[0]) & _MASK)
        w = _weak(s, at + 32, (z + w[1]) & _MASK, (y + _word(s, at + 16)) & _MASK)
        z, x = x, z
    factor = _K1 + ((z & 0xFF) << 1)
    at = len(s) - 64
    w = (w[0] + ((len(s) - 1) & 63)) & _MASK, w[1]
    v = (v[0] + w[0]) & _MASK, v[1]
    w = (w[0] + v[0]) & _MASK, w[1]
    x = _rotate((x + y + v[0] + _word(s, at + 8)) & _MASK, 37) * factor & _MASK
    y = _rotate((y + v[1] + _word(s, at + 48)) & _MASK, 42) * factor & _MASK
    x ^= w[1] * 9 & _MASK
    y = (y + v[0] * 9 + _word(s, at + 40)) & _MASK
    z = _rotate((z + w[0]) & _MASK, 33) * factor & _MASK
    v = _weak(s, at, v[1] * factor & _MASK, (x + w[0]) & _MASK)
    w = _weak(s, at + 32, (z + w[1]) & _MASK, (y + _word(s, at + 16)) & _MASK)
    z, x = x, z
    left = _pair(v[0], w[0], factor) + _mix(y) * _K0 + z
    return _pair(left & _MASK, (_pair(v[1], w[1], factor) + x) & _MASK, factor)


def farmhash64(data: bytes) -> int:
    """FarmHash's Fingerprint64 of a string."""
    if len(data) <= 16:
        return _up_to_16(data)
    if len(data) <= 32:
        return _up_to_32(data)
    return _up_to_64(data) if len(data) <= 64 else _long(data)


def bucket(data: bytes, buckets: int, salt: tuple[int, int] | None = None) -> int:
    """hash mod buckets: FarmHash, or, with a salt, SipHash. As TensorFlow's hash buckets."""
    return (farmhash64(data) if salt is None else siphash64(data, salt)) % buckets


# --- several values ---

_KEY, _FACTOR = 0xDECAFCAFFE, 0xC6A4A7935BD1E995  # TensorFlow's


def crossed(values: tuple) -> int:
    """The hash of integers and strings together, as TensorFlow's `cross_hashed`."""
    total = _KEY
    for value in values:
        part = farmhash64(value.encode()) if isinstance(value, str) else int(value) & _MASK
        total ^= _FACTOR ^ (_mix(part * _FACTOR & _MASK) * _FACTOR & _MASK)
        total = _mix(_mix(total * _FACTOR & _MASK) * _FACTOR & _MASK)
    return total
