"""Images of many records, copied once from files that are quick to read only from front to back.

The candidates of a task are in random order, and a row group of Parquet is read as a whole for any image in
it. So each block of a thousand rows would read the whole table. Instead one pass over the table copies the
images of as many blocks as there is room for into a folder of the build, where every process finds an image
by its place. What is not there is read as if there were no such folder, so it decides no byte.

A spool is two files: the images, one after the other, and an index, which appears whole when they are there.
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


def write_spool(folder: Path, number: int, sources: Iterable[Source], most: int) -> None:
    """Copy images into the spool of a number; those beyond `most` bytes are left out.

    Raises:
        OSError: a full disk, no permission. Nothing is left then.
    """
    folder.mkdir(exist_ok=True)
    index, images = _paths(folder, number)
    part = index.with_suffix(".tmp")
    columns = {name: array("q") for name in _COLUMNS}
    files, end = [], 0
    try:
        with images.open("wb") as out:
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
                    for name, value in zip(_COLUMNS, (row, end, size), strict=True):
                        columns[name].append(value)
                    end += max(size, 0)
                files.append([source.file, source.stamp, source.hint, first, damaged])
                if end > most:
                    break
        _write_index(part, columns, files)
        part.replace(index)
    except BaseException:
        for path in (part, index, images):
            with suppress(OSError):
                path.unlink()
        raise


def remove_spool(folder: Path, number: int) -> None:
    """Remove a spool, if it is there. Who has it open goes on reading it."""
    for path in _paths(folder, number):
        with suppress(OSError):
            path.unlink()


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number:05}{_INDEX}", folder / f"{number:05}{_IMAGES}"


def _write_index(path: Path, columns: Mapping[str, array[int]], files: list[list[object]]) -> None:
    table = pa.table({name: pa.array(np.frombuffer(column, np.int64)) for name, column in columns.items()})
    table = table.replace_schema_metadata({_FACTS: json.dumps(files).encode("utf-8", "surrogatepass")})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@dataclass(frozen=True)
class _File:
    """The records of one file in a spool, by row."""

    stamp: str
    hint: str
    damaged: Mapping[str, str]
    rows: memoryview[int]
    at: memoryview[int]
    sizes: memoryview[int]


class _Spool:
    """A spool that is open for reading."""

    def __init__(self, folder: Path, number: int) -> None:
        index, images = _paths(folder, number)
        table = pa.ipc.open_file(pa.memory_map(str(index))).read_all()
        self._images = os.open(images, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._images)
        rows, at, sizes = (memoryview(table.column(name).to_numpy()) for name in _COLUMNS)
        files = json.loads(table.schema.metadata[_FACTS])
        ends = [file[3] for file in files[1:]] + [len(rows)]
        self.files = {
            name: _File(stamp, hint, damaged, rows[first:end], at[first:end], sizes[first:end])
            for (name, stamp, hint, first, damaged), end in zip(files, ends, strict=True)
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
        self._open: dict[int, _Spool] = {}

    def look(self) -> None:
        """Look which spools there are now."""
        try:
            there = {int(path.stem) for path in self._folder.glob(f"*{_INDEX}")}
        except OSError:
            there = set()
        for number in self._open.keys() - there:
            del self._open[number]
        for number in sorted(there - self._open.keys()):
            with suppress(OSError, ValueError, KeyError, pa.ArrowException):  # removed, or left by a crash
                self._open[number] = _Spool(self._folder, number)

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
        for spool in reversed(self._open.values()):
            file = spool.files.get(name)
            if file is not None and number.isdecimal() and len(number) <= _DIGITS:
                row = int(number)
                place = bisect_left(file.rows, row)
                if place < len(file.rows) and file.rows[place] == row:
                    return spool, file, place
        return None
