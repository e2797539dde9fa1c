"""Archives that upstream split into parts, and nobody has joined."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset

_PART = re.compile(r"\.(?:[zZ]?\d{1,4}|part_?\w{1,4}|[a-z]{2})$")


def split_archives(raw: RawDataset) -> dict[str, Sequence[str]]:
    """Parts of split archives, by archive, where the whole one is missing."""
    missing = [one for one in raw.archives if not has_on_disk(raw, one.path)]
    found = {one.path: _parts_of(each.root, one) for one in missing for each in raw.parts}
    return {path: parts for path, parts in found.items() if parts}


def has_on_disk(raw: RawDataset, path: str) -> bool:
    """Whether a file or folder of this name is in one of the dataset's folders, unpacked."""
    return any((each.root / path).exists() for each in raw.parts)


def _parts_of(root: Path, archive: Archive) -> list[str]:
    """Names of the parts of a split archive, where the whole one is missing."""
    folder = (root / archive.path).parent
    name = Path(archive.path).name
    if "*" in archive.path or not folder.is_dir() or (root / archive.path).exists():
        return []
    stem = name.rpartition(".")[0]
    starts = (name.lower(), stem.lower())
    found = []
    for other in sorted(entry.name for entry in folder.iterdir()):
        suffix = _PART.search(other)
        if suffix and other[: suffix.start()].lower() in starts:
            zipped = suffix[0][1] in "zZ" and suffix[0][2:].isdigit()
            if zipped or other[: suffix.start()].lower() == name.lower():
                found.append(other)
    return found
