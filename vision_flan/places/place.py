"""A place: a folder or file of this machine, or of a store by its URL."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TypeVar

from vision_flan.errors import Location, StoreError
from vision_flan.places.remote import Reading, RemotePath

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
#: URLs of files on this machine.
_HERE = re.compile(r"(?:file|local)://(?:localhost)?(?=/)")

Place = Path | RemotePath
P = TypeVar("P", Path, RemotePath, Path | RemotePath)


def place_of(text: str | os.PathLike[str] | RemotePath, work: Path | None = None) -> Place:
    """A place as a user writes it: a path, or a URL of a store.

    Args:
        work: for unfinished files of a store; None for one below the user's cache folder, the same each time.

    Raises:
        StoreError: the URL has a password, or names no place in a store.
    """
    if isinstance(text, RemotePath):
        return text
    url = os.fspath(text)
    if not URL.match(url) or _HERE.match(url):
        return Path(_HERE.sub("", url))
    scheme, _, rest = url.partition("://")
    parts = rest.rstrip("/").split("/")
    if re.match(r"[^/@]*:[^/@]*@", rest):
        raise StoreError("the URL has a password", hint="leave it to the environment (docs/scale.md)")
    if not parts[0] or any(part in (".", "..") for part in parts) or "::" in url:
        raise StoreError(
            f"{url!r:.200} names no place in a store", where=Location(scheme), hint="such as s3://bucket/name"
        )
    url = f"{scheme}://{'/'.join(parts)}"
    return RemotePath(url, work or _usual_work(url))


def _usual_work(url: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    name = re.sub(r"\W+", "-", url.rpartition("/")[2])[:40]
    return Path(base, "vision-flan", f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}")


def files_in(folder: Place, pattern: str) -> list[Place]:
    """What lies right in a folder and has such a name, sorted."""
    return [*sorted(folder.glob(pattern))] if isinstance(folder, Path) else [*folder.glob(pattern)]


def load_call(folder: Place, task: str, split: str) -> str:
    """How a config is loaded with `datasets`, which finds configs by name in folders of this machine only."""
    if isinstance(folder, Path):
        return f"load_dataset({str(folder)!r}, {task!r}, split={split!r})"
    files = str(folder / f"{task}/{split}-*.parquet")
    return f"load_dataset('parquet', data_files={{{split!r}: {files!r}}}, split={split!r})"


def source(place: Place) -> Path | Reading:
    """What pyarrow reads a file of a place from."""
    return place if isinstance(place, Path) else place.open()


def stamp_of(place: Place) -> list[int] | None:
    """Size and a number that differs between two versions of a file; None if there is none.

    Of a file on this machine the number is its time in nanoseconds.
    """
    try:
        if isinstance(place, Path):
            status = place.stat()
            return [status.st_size, status.st_mtime_ns]
        facts = place.stat()
    except OSError:
        return None
    return [facts.st_size, int.from_bytes(hashlib.sha256(facts.mark.encode()).digest()[:7])]
