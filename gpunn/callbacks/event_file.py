"""Event files, which TensorBoard reads: records of protocol buffers, written by hand.

A record: length (8 bytes), CRC of the length (4), data, CRC of the data (4), all little-endian; a
CRC is CRC-32C, rotated and shifted (tensorflow/core/lib/io/record_writer.h). The data is an `Event`
(tensorflow/core/util/event.proto) with a `Summary` (summary.proto) of one tensor (tensor.proto).
"""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from collections.abc import Sequence
from itertools import count
from typing import IO

import numpy as np

_FLOAT, _DOUBLE, _STRING = 1, 2, 7  # DataType of types.proto
_files = count()


# --- protocol buffers: a field is its number and wire type, then its value ---


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    groups = []
    while True:
        groups.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(groups)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor(dtype: int, shape: Sequence[int], values: bytes) -> bytes:
    """A TensorProto; `values` are its fields of values."""
    sizes = b"".join(_bytes(2, _number(1, n)) for n in shape)
    return _number(1, dtype) + _bytes(2, sizes) + values


# --- records ---


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class EventFile:
    """A new event file in a directory; each method writes one value of a tag at a step."""

    def __init__(self, directory: str):
        os.makedirs(directory, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        self.path = os.path.join(directory, f"{name}.{os.getpid()}.{next(_files)}.v2")
        self._file: IO[bytes] = open(self.path, "wb")  # noqa: SIM115  (open while training lasts)
        self._write(_bytes(3, "brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A number."""
        values = _bytes(4, struct.pack("<f", value))
        self._summary(tag, step, "scalars", _tensor(_FLOAT, (), values))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """How many values lie in each of 30 equal intervals."""
        counts, edges = np.histogram(values.astype(np.float64).ravel(), bins=30)
        rows = np.stack([edges[:-1], edges[1:], counts], axis=-1)
        data = _bytes(4, rows.astype("<f8").tobytes())
        self._summary(tag, step, "histograms", _tensor(_DOUBLE, rows.shape, data))

    def images(self, tag: str, pixels: np.ndarray, step: int) -> None:
        """Images (n, height, width, 1, 3 or 4) of uint8."""
        n, height, width, _ = pixels.shape
        parts = [b"%d" % width, b"%d" % height, *map(_png, pixels)]
        values = b"".join([_bytes(8, part) for part in parts])
        self._summary(tag, step, "images", _tensor(_STRING, (2 + n,), values))

    def text(self, tag: str, text: str, step: int, plugin: str, content: bytes = b"") -> None:
        """A string for one of TensorBoard's plugins."""
        self._summary(tag, step, plugin, _tensor(_STRING, (), _bytes(8, text)), content)

    def flush(self) -> None:
        """Let readers see what was written so far."""
        self._file.flush()

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _summary(
        self, tag: str, step: int, plugin: str, tensor: bytes, content: bytes = b""
    ) -> None:
        metadata = _bytes(1, _bytes(1, plugin) + (_bytes(2, content) if content else b""))
        value = _bytes(1, tag) + _bytes(8, tensor) + _bytes(9, metadata)
        self._write(_number(2, step) + _bytes(5, _bytes(1, value)))

    def _write(self, fields: bytes) -> None:
        data = _varint(1 << 3 | 1) + struct.pack("<d", time.time()) + fields
        length = struct.pack("<Q", len(data))
        checks = [struct.pack("<I", _masked_crc(part)) for part in (length, data)]
        self._file.write(length + checks[0] + data + checks[1])


def _png(image: np.ndarray) -> bytes:
    """An image (height, width, 1, 3 or 4) of uint8 as a PNG file."""
    height, width, channels = image.shape
    kind = {1: 0, 3: 2, 4: 6}[channels]
    rows = np.pad(image.reshape(height, -1), ((0, 0), (1, 0)))  # each row starts with filter 0

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    data = zlib.compress(rows.tobytes())
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
