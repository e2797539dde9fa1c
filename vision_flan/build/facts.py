"""What is in the work folder of a task: blocks, and small files that list many raw files, written quickly."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from vision_flan.dataset.manifest import write_bytes_atomically
from vision_flan.places.place import Place
from vision_flan.places.remote import RemotePath

#: Folder of finished blocks.
BLOCKS = "blocks"
#: Folder of other records' values, for workers.
POOLS = "pools"
#: Folder of images that were copied out of tables.
SPOOLS = "spools"


def is_whole(path: Place, sha256: str) -> bool:
    """Whether a file has this checksum."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def write_facts(path: Place, facts: object, *, sync: bool = True) -> None:
    """Write dicts, lists and data classes atomically.

    Args:
        sync: see `write_bytes_atomically`.
    """
    write_bytes_atomically(path, encoded(facts), sync=sync)


def encoded(facts: object) -> bytes:
    """Dicts, lists and data classes as JSON in one line."""
    try:
        return msgspec.json.encode(facts)
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        return json.dumps(facts, default=vars).encode()


def write_lines(path: Place, lines: Iterable[bytes], *, sync: bool = True) -> int:
    """Write lines atomically as they come, however many; returns their number.

    Args:
        sync: see `write_bytes_atomically`.
    """
    folder = Path(tempfile.gettempdir()) if isinstance(path, RemotePath) else path.parent
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    written = 0
    try:
        with temporary.open("wb") as file:
            for line in lines:
                file.write(line)
                written += 1
            if sync and not isinstance(path, RemotePath):
                file.flush()
                os.fsync(file.fileno())
        if isinstance(path, RemotePath):
            path.upload(temporary)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return written
