"""Reads whole files into memory, for parsers that need that, and refuses decompression bombs."""

from __future__ import annotations

import zlib

from vision_flan.errors import BadRawError, Location
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.streams import CHUNK
from vision_flan.readers.text_stream import open_unpacked

#: Most bytes of a file, or of an array in it, that are read into memory.
LARGEST = 4 << 30
#: Above this size, data compressed to less than 1/500 are a bomb, not a dataset.
_ANY_RATIO = 256 << 20
_HIGHEST_RATIO = 500


def read_whole(raw: RawDataset, file: str) -> bytes:
    """The bytes of a file.

    Raises:
        BadRawError: it is larger than `LARGEST`.
    """
    data = raw.read_bytes(file, LARGEST + 1)
    refuse_bomb(len(data), len(data), "the file", file)
    return data


def read_unpacked(raw: RawDataset, file: str) -> bytes:
    """The bytes of a file; of one that ends in .gz, the decompressed bytes.

    Raises:
        BadRawError: its compression is damaged, or it is larger than `LARGEST`.
    """
    if not file.lower().endswith(".gz"):
        return read_whole(raw, file)
    packed, size = raw.stat(file).bytes, 0
    parts: list[bytes] = []
    try:
        with open_unpacked(raw, file) as stream:
            while data := stream.read(CHUNK):
                size += len(data)
                refuse_bomb(size, packed, "the file", file)
                parts.append(data)
    except (EOFError, OSError, zlib.error) as error:
        raise BadRawError(
            f"the file's compression is damaged: {error}", where=Location(file), hint="download it again"
        ) from error
    return b"".join(parts)


def is_bomb(size: int, packed: int) -> bool:
    """Whether data are larger than `LARGEST`, or far larger than the bytes that they came from."""
    return size > LARGEST or (size > _ANY_RATIO and size > packed * _HIGHEST_RATIO)


def refuse_bomb(size: int, packed: int, what: str, file: str) -> None:
    """Refuse data too large for memory, or far larger than its compressed bytes can justify.

    Args:
        size: decompressed bytes.
        packed: bytes in the file.

    Raises:
        BadRawError: it is.
    """
    if size > LARGEST:
        raise BadRawError(
            f"{what} has more than {LARGEST >> 30} GiB, the most that is read into memory",
            where=Location(file),
            hint="check that it is upstream's file; split it, or convert it to Parquet",
        )
    if is_bomb(size, packed):
        raise BadRawError(
            f"{what} grows to {size:,} bytes or more from {packed:,}",
            where=Location(file),
            hint="this looks like a decompression bomb: check that it is upstream's file",
        )
