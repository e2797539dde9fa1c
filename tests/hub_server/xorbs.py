"""Files back out of a folder that hf_xet wrote through `X-Xet-Cas-Url: local:///FOLDER`.

A commit names a file by the sha256 of its content only. The shards (`xet/xorbs/shards/*.mdb`) say which
Xet hash has that sha256 and which chunks of which xorb make it up. Layouts as hf_xet 1.8 writes
them: a shard is a 48-byte header and 48-byte records, a xorb is a row of chunks with 8-byte headers.
Only one process at a time can have such a folder open for upload, so each user gets one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

RECORD = 48
LAST_RECORD = b"\xff" * 32
HAS_VERIFICATION = 1 << 31
HAS_SHA256 = 1 << 30


@dataclass(frozen=True)
class XetFile:
    """One file of a shard: its Xet hash, its sha256 and its pieces as (xorb, first chunk, end chunk)."""

    xet_hash: str
    sha256: str
    size: int
    pieces: tuple[tuple[str, int, int], ...]


def hash_text(raw: bytes) -> str:
    """Xet writes a hash as four little-endian 64-bit words and prints it as four big-endian ones."""
    return "".join(raw[at : at + 8][::-1].hex() for at in range(0, 32, 8))


def files_of_shard(shard: Path) -> Iterator[XetFile]:
    """The files a shard describes that carry a sha256."""
    data = shard.read_bytes()
    at = RECORD
    while data[at : at + 32] != LAST_RECORD:
        xet_hash = hash_text(data[at : at + 32])
        flags, count = struct.unpack_from("<II", data, at + 32)
        at += RECORD
        pieces, size = [], 0
        for record in range(at, at + RECORD * count, RECORD):
            _, length, first, end = struct.unpack_from("<IIII", data, record + 32)
            pieces.append((hash_text(data[record : record + 32]), first, end))
            size += length
        at += RECORD * count
        if flags & HAS_VERIFICATION:
            at += RECORD * count
        if flags & HAS_SHA256:
            yield XetFile(xet_hash, hash_text(data[at : at + 32]), size, tuple(pieces))
            at += RECORD


def chunks(xorb: Path, first: int, end: int) -> Iterator[bytes]:
    """Chunks `first` to `end` (exclusive) of a xorb, decompressed."""
    data = xorb.read_bytes()
    at = 0
    for index in range(end):
        packed, scheme = int.from_bytes(data[at + 1 : at + 4], "little"), data[at + 4]
        size = int.from_bytes(data[at + 5 : at + 8], "little")
        if index >= first:
            body = data[at + 8 : at + 8 + packed]
            if scheme:  # 1: LZ4 frame, 2: LZ4 of bytes grouped by their place in a word of four
                body = bytes(pa.decompress(body, decompressed_size=size, codec="lz4", asbytes=True))
            yield ungrouped(body) if scheme == 2 else body
        at += 8 + packed


def ungrouped(data: bytes) -> bytes:
    """Undo the grouping of every fourth byte."""
    out = bytearray(len(data))
    at = 0
    for group in range(4):
        count = len(range(group, len(data), 4))
        out[group::4] = data[at : at + count]
        at += count
    return bytes(out)


class XetFolders:
    """The folders of all users below one, `ROOT/USER`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def url(self, user: str) -> str:
        """What to answer as the address of the storage to this user."""
        folder = self.root / user
        folder.mkdir(parents=True, exist_ok=True)
        return f"local://{folder}"

    def share_with(self, user: str) -> None:
        """Link everybody's xorbs and shards into this user's folder, for reading."""
        for kind in ("xorbs", "shards"):
            target = self.root / user / "xet" / "xorbs" / kind
            target.mkdir(parents=True, exist_ok=True)
            for file in self.root.glob(f"*/xet/xorbs/{kind}/*"):
                if not (target / file.name).exists():
                    os.link(file, target / file.name)

    def find(self, sha256: str) -> tuple[XetFile, bytes] | None:
        """The file with this sha256 as uploaded, put together and checked; None where there is none."""
        for shard in self.root.glob("*/xet/xorbs/shards/*.mdb"):
            for file in files_of_shard(shard):
                if file.sha256 == sha256:
                    xorbs = shard.parent.parent / "xorbs"
                    content = b"".join(
                        chunk
                        for xorb, first, end in file.pieces
                        for chunk in chunks(xorbs / f"default.{xorb}", first, end)
                    )
                    if hashlib.sha256(content).hexdigest() != sha256:
                        raise ValueError(f"the xorbs of {file.xet_hash} do not give sha256 {sha256}")
                    return file, content
        return None

    def stored_bytes(self) -> int:
        """Bytes of all distinct xorbs: what uploads through Xet have cost so far."""
        sizes = {file.name: file.stat().st_size for file in self.root.glob("*/xet/xorbs/xorbs/default.*")}
        return sum(size for name, size in sizes.items() if not name.endswith(".tagset"))
