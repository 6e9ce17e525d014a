"""The CRC-32 of a part of a file, by two cores."""

from __future__ import annotations

import os
import zlib

_BLOCK = 1 << 18  # bytes: what is read at a time fits the cache
# Less than this is read in the time that a thread takes to start, many times over.
_LEAST = 16 << 20
_POLYNOMIAL = 0xEDB88320


def compute_crc32(descriptor: int, start: int, length: int) -> int:
    """Compute the CRC-32 of a part of a file.

    Args:
        descriptor: The file.
        start: Where the part begins, in bytes.
        length: How long it is, in bytes. Where the file is shorter, what is there counts.
    """
    if length < _LEAST:
        return _compute(descriptor, start, length)
    from concurrent.futures import ThreadPoolExecutor  # takes long, and few files are so large

    half = length // 2
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(_compute, descriptor, start, half)
        second = pool.submit(_compute, descriptor, start + half, length - half)
        return combine_crc32(first.result(), second.result(), length - half)


def combine_crc32(first: int, second: int, length: int) -> int:
    """Give the CRC-32 of two parts, one behind the other, as zlib's `crc32_combine` does.

    Args:
        first: That of the first part.
        second: That of the second one.
        length: The length of the second one, in bytes.
    """
    # The first is moved by as many bits: multiplied by x ** (8 * length), by squaring.
    factor, power = 1 << 31, 1 << 23
    while length:
        if length & 1:
            factor = _multiply(factor, power)
        power = _multiply(power, power)
        length >>= 1
    return _multiply(factor, first) ^ second


def _multiply(a: int, b: int) -> int:
    """Multiply polynomials modulo CRC-32's; the highest bit is the lowest power."""
    product = 0
    for place in range(31, -1, -1):
        if a >> place & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


def _compute(descriptor: int, start: int, length: int) -> int:
    checksum, end = 0, start + length
    buffer = memoryview(bytearray(min(_BLOCK, length)))
    while start < end and (count := os.preadv(descriptor, [buffer[: end - start]], start)):
        checksum = zlib.crc32(buffer[:count], checksum)
        start += count
    return checksum
