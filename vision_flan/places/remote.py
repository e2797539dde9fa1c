"""An object of a store, or what is below a URL of one: what compiled folders need of `pathlib.Path`.

Objects appear whole or not at all; there are no folders to make, no renaming and no links. All goes through
fsspec. The store's options (endpoint, profile, region) are those that its library takes from the environment,
so no credentials pass through here.
"""

from __future__ import annotations

import errno
import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from vision_flan.errors import StoreError
from vision_flan.places.refusals import said

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_Info = Mapping[str, object]
#: What tells two versions of an object apart, the best first.
_MARKS = ("ETag", "etag", "md5Hash", "md5", "mtime", "created", "LastModified", "last_modified", "modified")
#: Parts of 50 MB of an upload that are in memory at a time; s3fs takes ten.
_PARTS = 2
#: Bytes read ahead, and those of small objects that a process remembers.
_AHEAD, _REMEMBERED, _SMALL = 4 * 2**20, 64 * 2**20, 2 * 2**20


class Store(Protocol):
    """What is used of fsspec's `AbstractFileSystem`."""

    protocol: str | tuple[str, ...]

    def ls(self, path: str, detail: bool = True) -> list[_Info]: ...
    def info(self, path: str) -> _Info: ...
    def open(self, path: str, mode: str = "rb", *, block_size: int, cache_type: str) -> BinaryIO: ...
    def cat_file(self, path: str) -> bytes: ...
    def pipe_file(self, path: str, value: bytes, **options: str) -> object: ...
    def put_file(self, lpath: str, rpath: str, **options: int) -> None: ...
    def get_file(self, rpath: str, lpath: str) -> None: ...
    def rm_file(self, path: str) -> None: ...
    def call_s3(self, method: str, **named: str) -> Mapping[str, list[dict[str, str]]]: ...


@dataclass(frozen=True)
class Facts:
    """What is known of an object without reading it; named as in `os.stat_result`.

    Attributes:
        st_size: bytes.
        mark: differs between two versions of it.
    """

    st_size: int
    mark: str


@dataclass
class _Listing:
    """What was in some folders at one time."""

    folders: tuple[str, ...]
    infos: dict[str, _Info]

    def knows(self, url: str) -> bool:
        return url.rpartition("/")[0] in self.folders


_recent: OrderedDict[tuple[str, str], bytes] = OrderedDict()


@dataclass(frozen=True)
class RemotePath:
    """An object, or the part of a store below a URL.

    Attributes:
        url: without a slash at its end.
        work: a folder of this machine for unfinished files.
    """

    url: str
    work: Path
    _listing: _Listing | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    def __lt__(self, other: RemotePath) -> bool:
        return self.url < other.url

    def __truediv__(self, name: str | Path) -> RemotePath:
        text = name.as_posix() if isinstance(name, Path) else name
        return RemotePath(f"{self.url}/{text}", self.work, self._listing)

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.name.rpartition(".")[0] or self.name

    def absolute(self) -> Self:
        """The same, for a process with another working folder."""
        return type(self)(self.url, self.work.absolute(), self._listing)

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: a store has no folders."""

    # ---- reading

    def stat(self) -> Facts:
        """Size and version.

        Raises:
            FileNotFoundError: there is no such object.
        """
        info = self._info()
        size, mark = info.get("size"), next((info[key] for key in _MARKS if info.get(key)), "")
        return Facts(size if isinstance(size, int) else 0, f"{size} {mark}")

    def exists(self) -> bool:
        """Whether there is such an object."""
        try:
            self._info()
        except FileNotFoundError:
            return False
        return True

    is_file = exists

    def open(self, mode: str = "rb") -> Reading:
        """The object, to read."""
        if mode != "rb":
            raise ValueError(f"an object is opened to read, not with {mode!r}")
        with said(self):
            store, path = self._store()
            return Reading(self, store.open(path, block_size=_AHEAD, cache_type="readahead"))

    def read_bytes(self) -> bytes:
        """The content of a small object; one whose version is known from a listing is read once a process.

        Raises:
            FileNotFoundError: there is no such object.
        """
        key = None
        if self._listing is not None and self._listing.knows(self.url):
            key = (self.url, self.stat().mark)
            if key in _recent:
                _recent.move_to_end(key)
                return _recent[key]
        with said(self):
            store, path = self._store()
            content = store.cat_file(path)
        if key and len(content) <= _SMALL:
            _recent[key] = content
            while sum(map(len, _recent.values())) > _REMEMBERED:
                _recent.popitem(last=False)
        return content

    def read_text(self, encoding: str = "utf-8") -> str:
        """The content of a small object as text."""
        return self.read_bytes().decode(encoding)

    def download(self, target: Path) -> None:
        """Copy the object to a file of this machine."""
        with said(self):
            store, path = self._store()
            store.get_file(path, str(target))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Objects right below this URL whose names match; none if there is nothing."""
        listing = self._listing
        if listing is None or self.url not in listing.folders:
            listing = _Listing((self.url,), self._ls())
        for url in sorted(listing.infos):
            folder, _, name = url.rpartition("/")
            if folder == self.url and fnmatchcase(name, pattern):
                yield RemotePath(url, self.work, self._listing)

    def listed(self, *folders: str) -> RemotePath:
        """The same, knowing what is in some folders now: what is not there, or has not changed, is not asked
        for again. In the order given."""
        infos: dict[str, _Info] = {}
        for name in folders:
            infos |= (RemotePath(self.url, self.work) / name)._ls()
        return RemotePath(
            self.url, self.work, _Listing(tuple(f"{self.url}/{name}" for name in folders), infos)
        )

    def marks(self, folder: str) -> dict[str, str]:
        """Name -> version of what is in a folder now."""
        there = RemotePath(self.url, self.work).listed(folder)
        return {path.name: path.stat().mark for path in (there / folder).glob("*")}

    # ---- writing

    def write_bytes(self, data: bytes, *, new: bool = False, replaces: str = "") -> None:
        """Write a small object.

        Args:
            new: only if there is none.
            replaces: only if this is the ETag of the object there; for stores that know such conditions.

        Raises:
            FileExistsError: there is one, or another one.
        """
        with said(self):
            store, path = self._store()
            options = {"mode": "create"} if new else {}
            if replaces and "s3" in store.protocol:
                options["IfMatch"] = replaces
            store.pipe_file(path, data, **options)
        self._changed()

    def etag(self) -> str:
        """The store's mark of the object's version; "" where it has none."""
        return str(RemotePath(self.url, self.work)._info().get("ETag") or "")

    def upload(self, source: Path) -> None:
        """Write a file of any size; it appears whole."""
        with said(self):
            store, path = self._store()
            at_once = {"max_concurrency": _PARTS} if "s3" in store.protocol else {}
            store.put_file(str(source), path, **at_once)
        self._changed()

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove the object."""
        try:
            self._info()
            with said(self):
                store, path = self._store()
                store.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise
        self._changed(gone=True)

    def abandon_uploads(self) -> None:
        """Remove the parts of uploads below this URL that were begun and not ended.

        S3 keeps them, for money. Who may not list them leaves them to the rules of the bucket.
        """
        store, path = self._store()
        if "s3" not in store.protocol:
            return
        bucket, _, key = path.partition("/")
        with suppress(StoreError, OSError), said(self):
            begun = store.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
            for one in begun.get("Uploads", []):
                store.call_s3(
                    "abort_multipart_upload", Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"]
                )

    # ---- within

    def _store(self) -> tuple[Store, str]:
        from fsspec.core import url_to_fs

        with said(self):
            return cast("tuple[Store, str]", url_to_fs(self.url, use_listings_cache=False))

    def _info(self) -> _Info:
        """Raises FileNotFoundError."""
        if self._listing is not None and self._listing.knows(self.url):
            found = self._listing.infos.get(self.url)
        else:
            with said(self):
                store, path = self._store()
                found = store.info(path)
        if found is None or found.get("type") == "directory":
            raise FileNotFoundError(errno.ENOENT, "there is no such object", self.url)
        return found

    def _ls(self) -> dict[str, _Info]:
        try:
            with said(self):
                store, path = self._store()
                return {
                    f"{self.url}/{name}": info
                    for info in store.ls(path, detail=True)
                    if (name := str(info["name"]).rstrip("/").rpartition("/")[2])
                    and info.get("type") != "directory"
                }
        except FileNotFoundError:
            return {}

    def _changed(self, *, gone: bool = False) -> None:
        """Keep the listing true after a change of ours."""
        if self._listing is not None and self._listing.knows(self.url):
            self._listing.infos.pop(self.url, None)
            if not gone:
                self._listing.infos[self.url] = RemotePath(self.url, self.work)._info()


class Reading(io.RawIOBase):
    """An object that is read; errors of the store are said as such."""

    def __init__(self, place: RemotePath, file: BinaryIO) -> None:
        self._place, self._file = place, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with said(self._place):
            return self._file.read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
