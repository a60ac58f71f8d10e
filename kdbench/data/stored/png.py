"""Pixels as PNG files without compression: the same bytes on every machine, quick to decode.

Compressed files differ between versions of zlib, and a data set's fingerprint is one of its files.
"""

import struct
import zlib

import numpy as np

from kdbench.data.stored.fingerprint import Images

SIGNATURE = b"\x89PNG\r\n\x1a\n"
EIGHT_BITS, RGB = 8, 2
LARGEST_BLOCK = 0xFFFF  # bytes of a stored block of deflate


def encode_png(pixels: Images) -> bytes:
    """A picture's (H, W, 3) uint8 pixels as a file.

    Source: PNG specification (third edition), sections 5 and 11; RFC 1950 and RFC 1951, 3.2.4.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter's number, 0
    rows[:, 1:] = np.asarray(pixels).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, EIGHT_BITS, RGB, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored(rows.tobytes())), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Length, kind, content and checksum."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _stored(data: bytes) -> bytes:
    """A zlib stream whose blocks are stored as they are."""
    blocks = []
    for start in range(0, len(data), LARGEST_BLOCK):
        block = data[start : start + LARGEST_BLOCK]
        last = start + LARGEST_BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))
