"""Where a generator writes: a folder, or an archive filled member by member, with the same methods.

Everything is written deterministically: archive members have a fixed time, gzip none.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
from PIL import Image

from vision_flan.miniatures.json_stream import Add, JsonDocument, JsonList, Put

#: An image to write: a Pillow image, an array (H x W or H x W x C, uint8), or as encoded bytes.
Drawing = Image.Image | np.ndarray[Any, np.dtype[np.uint8]] | bytes

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".ppm": "PPM",
    ".webp": "WEBP",
}
_TAR_MODES = {".tar": "w", ".xz": "w:xz", ".txz": "w:xz", ".bz2": "w:bz2", ".tbz2": "w:bz2"}
_SPOOL_BYTES = 8 << 20
#: Color types of a PNG with 8 bits a channel, and one of its filters.
_PNG_COLORS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
_FILTER_UP = 2
_ZIP_TIME = (2020, 1, 1, 0, 0, 0)


def encode(drawing: Drawing, suffix: str, **options: Any) -> bytes:
    """The image as a file of the format that `suffix` names, in any case (".JPEG").

    JPEG has no alpha channel and no palette: such images are converted to RGB. `options` go to Pillow.
    """
    if isinstance(drawing, bytes):
        return drawing
    image = drawing if isinstance(drawing, Image.Image) else Image.fromarray(drawing)
    kind = _FORMATS[suffix.lower()]
    if kind == "JPEG":
        options.setdefault("quality", 85)
        if image.mode not in ("RGB", "L", "CMYK"):
            image = image.convert("RGB")
    elif kind == "PNG":
        if image.mode in _PNG_COLORS and not options and not image.info:
            return _png(image)
        options.setdefault("compress_level", 1)
    elif kind == "WEBP":
        options.setdefault("method", 0)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _png(image: Image.Image) -> bytes:
    """A PNG each row of which is stored as its difference from the one above.

    Pillow tries five filters for each row, which takes three times as long and saves a few percent.
    """
    values = np.asarray(image)
    rows = values.reshape(image.height, -1)
    filtered = np.empty((image.height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[:1, 1:] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, _PNG_COLORS[image.mode], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Tree(ABC):
    """Writers over `open`; `rel` is always relative to the tree, with forward slashes.

    Args:
        images: whether `image` writes anything.
    """

    def __init__(self, *, images: bool = True) -> None:
        self.images = images

    @abstractmethod
    def open(self, rel: str) -> AbstractContextManager[IO[bytes]]:
        """A new file to write to; its folders are created."""

    def write_bytes(self, rel: str, data: bytes) -> None:
        with self.open(rel) as out:
            out.write(data)

    def write_text(self, rel: str, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(rel, text.encode(encoding))

    def write_lines(self, rel: str, lines: Iterable[str], encoding: str = "utf-8", end: str = "\n") -> None:
        """Text of any length, line by line; `end` ends every line."""
        with self.open(rel) as out:
            for line in lines:
                out.write((line + end).encode(encoding))

    def write_json(self, rel: str, value: Any, **options: Any) -> None:
        """A small JSON file; `options` go to `json.dumps`."""
        self.write_text(rel, json.dumps(value, **options))

    def image(self, rel: str, drawing: Drawing | Callable[[], Drawing], **options: Any) -> None:
        """An image in the format of the suffix; bytes are written as they are.

        A function is called for the image only if images are written.
        """
        if self.images:
            drawn = drawing() if callable(drawing) else drawing
            self.write_bytes(rel, encode(drawn, PurePosixPath(rel).suffix, **options))

    @contextmanager
    def lines(self, rel: str, encoding: str = "utf-8", end: str = "\n") -> Iterator[Callable[[str], None]]:
        """`with tree.lines("list.txt") as add: add("one line")`."""
        with self.open(rel) as out:
            yield lambda line: _discard(out.write((line + end).encode(encoding)))

    @contextmanager
    def json_lines(self, rel: str, ensure_ascii: bool = True) -> Iterator[Add]:
        """JSON lines: `with tree.json_lines("x.jsonl") as add: add(record)`."""
        encoder = json.JSONEncoder(ensure_ascii=ensure_ascii).encode
        with self.open(rel) as out:
            yield lambda record: _discard(out.write((encoder(record) + "\n").encode()))

    @contextmanager
    def json_document(self, rel: str) -> Iterator[JsonDocument]:
        """A JSON object with any number of growing arrays and objects, filled in any order."""
        document = JsonDocument()
        yield document
        with self.open(rel) as out:
            document.copy_to(out)

    @contextmanager
    def json_array(
        self, rel: str, key: str | None = None, before: Mapping[str, Any] | None = None
    ) -> Iterator[Add]:
        """An array of records: the file itself, or the member `key` after the members `before`."""
        if key is None:
            with self.open(rel) as out:
                writer = JsonList(out)
                yield writer.add
                writer.close()
            return
        with self.json_document(rel) as document:
            for name, value in (before or {}).items():
                document.field(name, value)
            yield document.array(key)

    @contextmanager
    def json_object(
        self, rel: str, key: str | None = None, before: Mapping[str, Any] | None = None
    ) -> Iterator[Put]:
        """Records keyed by id: the file itself, or the member `key` after the members `before`."""
        if key is None:
            with self.open(rel) as out:
                writer = JsonList(out, "{", "}")
                yield writer.put
                writer.close()
            return
        with self.json_document(rel) as document:
            for name, value in (before or {}).items():
                document.field(name, value)
            yield document.object(key)

    @contextmanager
    def csv(
        self,
        rel: str,
        header: Sequence[str] | None = None,
        *,
        delimiter: str = ",",
        end: str = "\n",
        quoting: int = csv.QUOTE_MINIMAL,
        encoding: str = "utf-8",
    ) -> Iterator[Callable[[Sequence[Any]], None]]:
        """`with tree.csv("x.csv", ["id", "label"]) as add: add([1, "cat"])`; quoted where needed.

        A format that never quotes (most TSV) is written with `lines`.
        """
        with self.open(rel) as out:
            text = io.TextIOWrapper(out, encoding=encoding, newline="", write_through=True)
            writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
            if header is not None:
                writer.writerow(header)
            yield lambda row: _discard(writer.writerow(row))
            text.flush()
            text.detach()


class FolderTree(Tree):
    """A folder on disk."""

    def __init__(self, folder: Path, *, images: bool = True) -> None:
        super().__init__(images=images)
        self.folder = folder
        self._made: set[str] = set()

    def path(self, rel: str) -> Path:
        """Path of `rel`, with its parent folders created: for formats whose writers need a path."""
        parts = PurePosixPath(rel)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{rel!r} leads out of the dataset's folder")
        path = self.folder / rel
        parent = str(parts.parent)
        if parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return path

    def open(self, rel: str) -> AbstractContextManager[IO[bytes]]:
        return self.path(rel).open("wb")


class ArchiveTree(Tree):
    """An archive; a member is buffered while it is written, then added whole."""

    @contextmanager
    def open(self, rel: str) -> Iterator[IO[bytes]]:
        with SpooledTemporaryFile(_SPOOL_BYTES) as buffer:
            yield buffer
            size = buffer.tell()
            buffer.seek(0)
            self._add(rel, buffer, size)

    @abstractmethod
    def _add(self, rel: str, data: IO[bytes], size: int) -> None:
        """Append a member of `size` bytes."""


class ZipTree(ArchiveTree):
    """A zip archive, closed by its caller. Images are stored, other members deflated."""

    def __init__(self, archive: zipfile.ZipFile, *, images: bool = True) -> None:
        super().__init__(images=images)
        self._archive = archive

    def _add(self, rel: str, data: IO[bytes], size: int) -> None:
        member = zipfile.ZipInfo(rel, _ZIP_TIME)
        member.external_attr = 0o644 << 16
        packed = PurePosixPath(rel).suffix.lower() in _FORMATS
        member.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        member.file_size = size
        with self._archive.open(member, "w") as out:
            shutil.copyfileobj(data, out)


class TarTree(ArchiveTree):
    """A tar archive, closed by its caller."""

    def __init__(self, archive: tarfile.TarFile, *, images: bool = True) -> None:
        super().__init__(images=images)
        self._archive = archive

    def _add(self, rel: str, data: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(rel)
        member.size = size
        self._archive.addfile(member, data)


@contextmanager
def archive(path: Path, *, images: bool = True) -> Iterator[Tree]:
    """A `.zip` or `.tar`, also of `.gz`, `.bz2` or `.xz`, to fill; closed when the `with` block ends."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            yield ZipTree(zipped, images=images)
    elif path.suffix in _TAR_MODES:
        with tarfile.open(path, _TAR_MODES[path.suffix]) as plain:  # type: ignore[call-overload]
            yield TarTree(plain, images=images)
    else:
        # our own GzipFile: tarfile's writes the time into the header
        with (
            path.open("wb") as raw,
            gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            yield TarTree(tar, images=images)


def _discard(_: object) -> None:
    """Turns a call into a callback that ignores its result."""
