"""What is in the work folder of a task: blocks, and small files that list many raw files, written quickly."""

from __future__ import annotations

import hashlib
import json

import msgspec

from vision_flan.dataset.manifest import write_bytes_atomically
from vision_flan.places.place import Place

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
    try:
        content = msgspec.json.encode(facts)
    except UnicodeEncodeError:  # the name of a file that is not UTF-8
        content = json.dumps(facts, default=vars).encode()
    write_bytes_atomically(path, content, sync=sync)
