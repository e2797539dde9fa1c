"""Images of many records, copied once from files that are quick to read only from front to back.

The candidates of a task are in random order, and a row group of Parquet is read as a whole for any image in
it. So each block of a thousand rows would read the whole table. Instead one pass over the table copies the
images of as many blocks as there is room for into a folder of the build, where every process finds an image
by its place. What is not there is read as if there were no such folder, so it decides no byte.

A spool is two files: the images, one after the other, and an index, which appears whole when they are there.
A pass makes one, or several from pieces of the table.
"""

from __future__ import annotations

import json
import os
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from vision_flan.errors import DamagedFileError, Location

_INDEX, _IMAGES = ".index", ".images"
#: In place of a size: the record has no image that can be read.
_DAMAGED = -1
_FACTS = b"files"
_COLUMNS = ("row", "at", "size")

#: Digits of a row's number that fits.
_DIGITS = 18


class Source(NamedTuple):
    """The images of some records of one file.

    Attributes:
        file: the file, as references begin with it: `@table/file`.
        stamp: of the file, from before it is read.
        images: rows in order, each with its image, or with what is wrong with it.
        hint: what to do about one that is wrong.
    """

    file: str
    stamp: str
    images: Iterator[tuple[int, bytes | str]]
    hint: str = ""


def spool_name(number: int, piece: int) -> str:
    """The name of a piece of a pass; those of later passes sort after it."""
    return f"{number:05}-{piece:03}"


def write_spool(folder: Path, name: str, sources: Iterable[Source], most: int) -> None:
    """Copy images into a spool of a folder, which is there; those beyond `most` bytes are left out.

    Raises:
        OSError: a full disk, no permission. Nothing is left then.
    """
    index, images = _paths(folder, name)
    index_part, images_part = index.with_suffix(f"{_INDEX}.tmp"), images.with_suffix(f"{_IMAGES}.tmp")
    columns = {name: array("q") for name in _COLUMNS}
    files, end = [], 0
    try:
        with images_part.open("wb") as out:
            for source in sources:
                first, damaged = len(columns["row"]), {}
                for row, image in source.images:
                    size = len(image)
                    if isinstance(image, str):
                        damaged[row], size = image, _DAMAGED
                    elif end + size > most:
                        break
                    else:
                        out.write(image)
                    for column, value in zip(_COLUMNS, (row, end, size), strict=True):
                        columns[column].append(value)
                    end += max(size, 0)
                files.append([source.file, source.stamp, source.hint, first, damaged])
                if end > most:
                    break
        _write_index(index_part, columns, files)
        images_part.replace(images)
        index_part.replace(index)
    except BaseException:
        for path in (index_part, images_part, index, images):
            with suppress(OSError):
                path.unlink()
        raise


def remove_spools(folder: Path, number: int) -> None:
    """Remove the spools of a pass, if they are there. Who has one open goes on reading it."""
    for path in folder.glob(f"{number:05}-*"):
        with suppress(OSError):
            path.unlink()


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}{_INDEX}", folder / f"{name}{_IMAGES}"


def _write_index(path: Path, columns: Mapping[str, array[int]], files: list[list[object]]) -> None:
    table = pa.table({name: pa.array(np.frombuffer(column, np.int64)) for name, column in columns.items()})
    table = table.replace_schema_metadata({_FACTS: json.dumps(files).encode("utf-8", "surrogatepass")})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@dataclass(frozen=True)
class _File:
    """The records of one file in a spool, by row; `last` is the greatest."""

    stamp: str
    hint: str
    damaged: Mapping[str, str]
    rows: memoryview[int]
    at: memoryview[int]
    sizes: memoryview[int]
    first: int
    last: int


class _Spool:
    """A spool that is open for reading."""

    def __init__(self, folder: Path, name: str) -> None:
        index, images = _paths(folder, name)
        table = pa.ipc.open_file(pa.memory_map(str(index))).read_all()
        self._images = os.open(images, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._images)
        rows, at, sizes = (memoryview(table.column(name).to_numpy()) for name in _COLUMNS)
        files = json.loads(table.schema.metadata[_FACTS])
        ends = [file[3] for file in files[1:]] + [len(rows)]
        self.files = {
            name: _File(
                stamp,
                hint,
                damaged,
                rows[first:end],
                at[first:end],
                sizes[first:end],
                rows[first],
                rows[end - 1],
            )
            for (name, stamp, hint, first, damaged), end in zip(files, ends, strict=True)
            if end > first
        }

    def read(self, file: _File, place: int) -> bytes:
        return os.pread(self._images, file.sizes[place], file.at[place])


class Spools:
    """The images in a folder of spools, for one process.

    Args:
        folder: which may not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Spool] = {}
        self._with: dict[str, list[tuple[_Spool, _File]]] = {}

    def look(self) -> None:
        """Look which spools there are now."""
        try:
            there = {path.stem for path in self._folder.glob(f"*{_INDEX}")}
        except OSError:
            there = set()
        if there == self._open.keys():
            return
        for name in self._open.keys() - there:
            del self._open[name]
        for name in there - self._open.keys():
            with suppress(OSError, ValueError, KeyError, pa.ArrowException):  # removed, or left by a crash
                self._open[name] = _Spool(self._folder, name)
        self._with = {}
        for name in sorted(self._open, reverse=True):  # the last pass first
            spool = self._open[name]
            for file, records in spool.files.items():
                self._with.setdefault(file, []).append((spool, records))

    def has(self, ref: str) -> bool:
        """Whether the image of a reference is here, or known to be damaged."""
        return bool(self._open) and self._find(ref) is not None

    def stamp(self, ref: str) -> str | None:
        """The stamp that a reference's file had before its image was copied; None if that is not here."""
        found = self._find(ref)
        return found[1].stamp if found else None

    def read(self, ref: str) -> bytes | None:
        """The image of a reference; None if it is not here.

        Raises:
            DamagedFileError: its record has no image.
        """
        found = self._find(ref)
        if found is None:
            return None
        spool, file, place = found
        if file.sizes[place] == _DAMAGED:
            name, _, row = ref.partition("/")[2].rpartition("#")
            raise DamagedFileError(file.damaged[str(int(row))], where=Location(name), hint=file.hint)
        return spool.read(file, place)

    def _find(self, ref: str) -> tuple[_Spool, _File, int] | None:
        name, _, number = ref.rpartition("#")
        spools = self._with.get(name)
        if spools is None or not number.isdecimal() or len(number) > _DIGITS:
            return None
        row = int(number)
        for spool, file in spools:
            if file.first <= row <= file.last:
                place = bisect_left(file.rows, row)
                if file.rows[place] == row:
                    return spool, file, place
        return None
