"""Small files of the work folder that list many raw files: written quickly, read back as JSON."""

from __future__ import annotations

import json

import msgspec

from vision_flan.dataset.manifest import write_bytes_atomically
from vision_flan.places.place import Place


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
