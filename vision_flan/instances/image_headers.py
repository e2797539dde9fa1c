"""Headers of JPEG and PNG files, parsed without decoding: is the file plain enough to trust its pixels?

Each function returns None for anything unusual; `images` then decodes the file. Compressed data stays
unchecked: that of a JPEG, which has no checksums, and that of a PNG whose checksums are correct.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

#: Limits on segments in a JPEG's header, and on steps to walk them; photographs have 10 to 300.
MAX_SEGMENTS = 1_000
MAX_JPEG_STEPS = 10_000
#: Limit on chunks of a PNG; writers put 8 KB or more into each.
MAX_CHUNKS = 20_000

_DHT, _DQT, _DRI, _SOS = 0xC4, 0xDB, 0xDD, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, Huffman
_PROGRESSIVE = 0xC2
_WEIGHTS = tuple(1 << (15 - i) for i in range(16))
#: How a PNG begins: its signature and the IHDR chunk without its checksum.
_PNG_HEAD = Struct(">16sIIBBBBB")
#: How a chunk of a PNG begins, and its checksum.
_PNG_CHUNK, _PNG_SUM = Struct(">I4s"), Struct(">I")
#: Chunks of a PNG that do not change how Pillow decodes it.
_PNG_PLAIN = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD")
)


#: Bytes that Pillow needs of some of them.
_PNG_LENGTHS = {b"IHDR": (13, 13), b"gAMA": (4, 4), b"cHRM": (32, 32), b"sRGB": (1, 1), b"pHYs": (9, 9)}
#: Pairs of bit depth and color type, without those that need a palette.
_PNG_COLORS = frozenset(
    ((1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 4), (8, 6), (16, 6))
)


class BadHeaderError(Exception):
    """A header with so many parts that parsing takes seconds, or of a kind that viewers cannot open."""


class Plain(NamedTuple):
    """Size in pixels, and the EXIF block if there is one."""

    width: int
    height: int
    exif: bytes | None = None


def plain_jpeg(data: bytes) -> Plain | None:
    """The header of a JPEG (ITU-T T.81, B.2) that libjpeg can decode: tables, one 8-bit frame with 1, 3 or
    4 components, and a scan whose tables are defined.

    Raises:
        BadHeaderError: more than MAX_SEGMENTS segments.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at, end, tables, frame, size, exif = 2, len(data) - 4, 0, b"", 0, None
    for _ in range(MAX_SEGMENTS):
        if at >= end or data[at] != 0xFF:
            return None
        marker = data[at + 1]
        stop = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if marker in (_DHT, _DQT):
            found = _tables(data[at + 1 : stop])
            if not found:
                return None
            tables |= found
        elif marker in _FRAMES:
            if frame:
                return None
            frame, size = data[at + 1 : at + 5] + data[at + 9 : stop], at + 5
        elif marker == _SOS:
            if not frame or not _decodable(frame, data[at + 2 : stop], tables):
                return None
            return Plain(data[size + 2] << 8 | data[size + 3], data[size] << 8 | data[size + 1], exif)
        elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            if exif is not None:
                return None
            exif = data[at + 4 : stop]
        elif not _harmless(marker, data[at + 4 : at + 17], stop - at):
            return None
        at = stop
    raise BadHeaderError


def _harmless(marker: int, start: bytes, length: int) -> bool:
    """A segment that neither Pillow nor libjpeg fails on."""
    if marker == _DRI:
        return length == 6
    if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or length < 4:
        return False
    if start.startswith((b"JFIF", b"Adobe", b"ICC_PROFILE")):
        return length >= 16 if start[:1] == b"A" else length >= 18
    return not start.startswith((b"MPF", b"Photoshop"))


@lru_cache(maxsize=256)
def _tables(segment: bytes) -> int:
    """The tables that a DHT or DQT segment defines, one bit each; 0 if any is invalid.

    Bits 0 to 3 are the DC tables, 4 to 7 the AC tables, 8 to 11 the quantization tables.
    """
    marker, at, found = segment[0], 3, 0
    if int.from_bytes(segment[1:3]) != len(segment) - 1:
        return 0
    while at < len(segment):
        kind, number = segment[at] >> 4, segment[at] & 15
        if kind > 1 or number > 3:
            return 0
        if marker == _DQT:
            at += 129 if kind else 65
            found |= 256 << number
            continue
        counts = segment[at + 1 : at + 17]
        total = sum(counts)
        symbols = segment[at + 17 : at + 17 + total]
        # the all-ones code is reserved, so lengths must leave room for it; a DC symbol is a bit count
        room = sum(count * weight for count, weight in zip(counts, _WEIGHTS, strict=False))
        if not 0 < total <= 256 or room >= 1 << 16 or (kind == 0 and max(symbols, default=16) > 15):
            return 0
        at += 17 + total
        found |= 1 << (kind * 4 + number)
    return found if at == len(segment) else 0


@lru_cache(maxsize=256)
def _decodable(frame: bytes, scan: bytes, tables: int) -> bool:
    """Whether a frame (marker, length, precision, components) and its first scan are consistent."""
    marker, count = frame[0], (len(frame) - 5) // 3
    length, parts = int.from_bytes(frame[1:3]), scan[2] if len(scan) > 2 else 0
    if frame[3] != 8 or len(frame) < 5 or frame[4] not in (1, 3, 4):
        return False
    if length != 8 + 3 * frame[4] or count != frame[4] or len(frame) != 5 + 3 * count:
        return False
    layers = [frame[5 + 3 * i : 8 + 3 * i] for i in range(count)]
    across, down = [layer[1] >> 4 for layer in layers], [layer[1] & 15 for layer in layers]
    if not all(1 <= n <= 4 and max(across) % n == 0 for n in across):
        return False
    if not all(1 <= n <= 4 and max(down) % n == 0 for n in down):
        return False
    if not all(layer[2] < 4 and tables & (256 << layer[2]) for layer in layers):
        return False
    if not 1 <= parts <= count or len(scan) != 6 + 2 * parts or int.from_bytes(scan[:2]) != len(scan):
        return False
    ids = [layer[0] for layer in layers]
    chosen = [scan[3 + 2 * i] for i in range(parts)]
    if len(set(ids)) < count or len(set(chosen)) < parts or not set(chosen) <= set(ids):
        return False
    if parts > 1 and sum(across[ids.index(i)] * down[ids.index(i)] for i in chosen) > 10:
        return False
    first, last, bits = scan[-3:]
    if (marker == _PROGRESSIVE and (last or bits > 13)) or first or (marker != _PROGRESSIVE and bits):
        return False
    return all(_has_tables(scan[4 + 2 * i], tables, marker != _PROGRESSIVE) for i in range(parts))


def _has_tables(selector: int, tables: int, both: bool) -> bool:
    dc, ac = selector >> 4, selector & 15
    return dc < 4 and ac < 4 and bool(tables & (1 << dc)) and (not both or bool(tables & (16 << ac)))


def bound_jpeg(data: bytes) -> None:
    """Walk a JPEG's header as Pillow does, byte by byte over padding.

    Raises:
        BadHeaderError: more than MAX_JPEG_STEPS steps to the first scan, or an unsupported kind of frame.
    """
    at = 2
    for _ in range(MAX_JPEG_STEPS):
        if at + 4 > len(data):
            return
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0, 0xFF):
            at += 1
        elif 0xD0 <= marker <= 0xD9 or marker == 0xC8 or 0xF0 <= marker <= 0xFD:
            at += 2  # markers without a length
        elif 0xC3 <= marker <= 0xCF and marker not in (_DHT, 0xC8, 0xCC):
            raise BadHeaderError  # lossless, hierarchical, arithmetic: no browser opens it
        elif marker == _SOS:
            return
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    raise BadHeaderError


def plain_png(data: bytes) -> bool | None:
    """Whether a PNG can be trusted without decoding, by the kinds of its chunks; None if it is damaged.

    Raises:
        BadHeaderError: more than MAX_CHUNKS chunks.
    """
    at, plain, pixels, closed = 8, True, False, False
    view, size = memoryview(data), len(data)
    for _ in range(MAX_CHUNKS):
        if at + 12 > size:
            return None
        length, kind = _PNG_CHUNK.unpack_from(data, at)
        stop = at + 12 + length
        if stop > size or zlib.crc32(view[at + 4 : stop - 4]) != _PNG_SUM.unpack_from(data, stop - 4)[0]:
            return None
        if kind == b"IEND":
            return plain if pixels else None
        if kind == b"IDAT":
            plain, pixels = plain and not closed, True
        else:
            closed = pixels
            least, most = _PNG_LENGTHS.get(kind, (0, length))
            plain = plain and kind in _PNG_PLAIN and least <= length <= most and not closed
            plain = plain and (kind == b"IHDR") == (at == 8)
        at = stop
    raise BadHeaderError


def png_header(data: bytes) -> Plain | None:
    """The size of a PNG of a common kind; None for any other. Its chunks are for `plain_png` to check."""
    if len(data) < 33:
        return None
    start, width, height, depth, color, compression, method, interlace = _PNG_HEAD.unpack_from(data)
    if start != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR":
        return None
    if (depth, color) not in _PNG_COLORS or compression or method or interlace > 1:
        return None
    return Plain(width, height)
