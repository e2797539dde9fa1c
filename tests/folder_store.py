"""A store of objects for tests, in a folder: `test://bucket/key` is a file, but behaves as an object.

Every process of a test sees the same objects. An object appears whole, is made at most once where that is
asked for, and there are no folders. What is done is logged, and the store can be told to fail.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

REPOSITORY = Path(__file__).parents[1]
_ROOT = "VFLAN_TEST_STORE"


class FolderStore(AbstractFileSystem):
    """The store as fsspec calls it."""

    protocol = "test"
    cachable = False

    def _file(self, path: str) -> Path:
        path = self._strip_protocol(path)
        bucket = Path(os.environ[_ROOT], path.split("/")[0])
        if (Path(os.environ[_ROOT]) / ".gone").exists():
            raise ConnectionError("Connection reset by peer")
        if not bucket.is_dir():
            raise PermissionError("no such bucket for you")
        return Path(os.environ[_ROOT], path)

    def _log(self, what: str, path: str) -> None:
        root = Path(os.environ[_ROOT])
        with (root / ".log").open("a") as log:
            log.write(f"{what} {self._strip_protocol(path)}\n")
        fails = root / ".fails"
        if fails.exists() and what == "put":
            left = int(fails.read_text()) - 1
            fails.write_text(str(left))
            if left < 0:
                (root / ".gone").touch()
                raise ConnectionError("Connection reset by peer")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        folder = self._file(path)
        names = (
            [one for one in sorted(folder.iterdir()) if not one.name.endswith(".part")]
            if folder.is_dir()
            else []
        )
        if not names:
            raise FileNotFoundError(path)
        base = self._strip_protocol(path)
        found = [self._facts(one, f"{base}/{one.name}") for one in names]
        return found if detail else [one["name"] for one in found]

    def _facts(self, file: Path, name: str) -> dict[str, Any]:
        if file.is_dir():
            return {"name": name, "size": 0, "type": "directory"}
        status = file.stat()
        return {
            "name": name,
            "size": status.st_size,
            "type": "file",
            "ETag": f'"{status.st_ino}{status.st_mtime_ns}"',
        }

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        file = self._file(path)
        if not file.exists():
            raise FileNotFoundError(path)
        return self._facts(file, self._strip_protocol(path))

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        assert mode == "rb"
        return self._file(path).open("rb")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self._log("get", path)
        return self._file(path).read_bytes()[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self._log("put", path)
        with self._appearing(path, only_new=mode == "create") as part:
            part.write_bytes(value)

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        self._log("put", rpath)
        with self._appearing(rpath) as part:
            shutil.copyfile(lpath, part)
            time.sleep(float(os.environ.get("VFLAN_TEST_STORE_SLOW", "0")))

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        shutil.copyfile(self._file(rpath), lpath)

    def rm_file(self, path: str) -> None:
        self._log("delete", path)
        self._file(path).unlink()

    def _appearing(self, path: str, only_new: bool = False) -> _Appearing:
        file = self._file(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = Path(os.environ[_ROOT], ".parts")  # which nobody sees
        parts.mkdir(exist_ok=True)
        return _Appearing(file, parts / uuid.uuid4().hex, only_new)


@dataclass
class _Appearing:
    file: Path
    part: Path
    only_new: bool

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and self.only_new:
                os.link(self.part, self.file)
            elif kind is None:
                self.part.replace(self.file)
        finally:
            self.part.unlink(missing_ok=True)


class Bucket:
    """A bucket of the test store, from the side of a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "bucket"
        self.folder.mkdir(parents=True)
        self.url = "test://bucket/vision-flan"
        self.out = self.folder / "vision-flan"

    def environment(self) -> dict[str, str]:
        """What a process needs that is to see the store."""
        found = self.root / ".modules" / "folder_store-1.dist-info"
        found.mkdir(parents=True, exist_ok=True)
        (found / "METADATA").write_text("Metadata-Version: 2.1\nName: folder-store\nVersion: 1\n")
        (found / "entry_points.txt").write_text("[fsspec.specs]\ntest = tests.folder_store.FolderStore\n")
        modules = os.pathsep.join([str(found.parent), str(REPOSITORY)])
        return {
            _ROOT: str(self.root),
            "PYTHONPATH": modules,
            "XDG_CACHE_HOME": str(self.root / ".cache"),
        }

    def log(self) -> list[str]:
        """What was done, in order."""
        path = self.root / ".log"
        return path.read_text().splitlines() if path.exists() else []

    def written(self) -> list[str]:
        """Objects below the URL that were written, in order, as often as they were."""
        start = "put bucket/vision-flan/"
        return [line.removeprefix(start) for line in self.log() if line.startswith(start)]

    def fails_after(self, uploads: int | None) -> None:
        """Let the network end after so many objects were written; None: it is there again."""
        (self.root / ".gone").unlink(missing_ok=True)
        (self.root / ".fails").unlink(missing_ok=True)
        if uploads is not None:
            (self.root / ".fails").write_text(str(uploads))

    def work(self) -> list[Path]:
        """Files that lie in work folders of this machine."""
        cache = self.root / ".cache"
        return [path for path in sorted(cache.rglob("*")) if path.is_file()]


def use(bucket: Bucket, set_variable: Any) -> Iterator[Bucket]:
    """Let this process and its children see a bucket."""
    fsspec.register_implementation("test", FolderStore, clobber=True)
    for name, value in bucket.environment().items():
        set_variable(name, value)
    yield bucket
