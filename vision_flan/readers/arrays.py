"""Readers `idx`, `binary` and `npz`: arrays of numbers."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np
import pyarrow as pa

from vision_flan.errors import BadRawError, Location, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.base import BatchReader, RowReader
from vision_flan.readers.layout import BATCH_ROWS, Parts, Row, no_images, split_locator
from vision_flan.readers.pickled import restricted_loads
from vision_flan.readers.pixels import Array, ArrayCache, encode_png, image_array, record_of
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.unfolded import has_no_end, refuse_no_characters
from vision_flan.readers.whole import read_unpacked, read_whole, refuse_bomb

#: Type codes of the idx format, numbers big-endian (description on the MNIST page).
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class _Records(BatchReader):
    """Tables with a row per record of one array: a number (`_value`) or an image (`image`)."""

    def __init__(self, table: TableSpec, images: bool, number: pa.DataType) -> None:
        self._images = images
        allowed = () if images else ("_value",)
        unknown = [name for name in table.columns if name not in allowed]
        if unknown:
            raise SpecError(
                f"table {table.name!r}: column {unknown[0]!r} is not a column of this format",
                where=table.place,
                hint="its records are images, in `image`" if images else "its numbers are in `_value`",
            )
        own = {"image": pa.string()} if images else {"_value": table.columns.get("_value", number)}
        super().__init__(table, own)

    def _batches_of(
        self, file: str, parts: Mapping[str, str], records: Array | int
    ) -> Iterator[pa.RecordBatch]:
        """Batches for the numbers of an array, or for a count of images."""
        total = records if isinstance(records, int) else len(records)
        for first in range(0, total, BATCH_ROWS):
            rows = range(first, min(first + BATCH_ROWS, total))
            if isinstance(records, int):
                refs = [f"@{self._table.name}/{file}#{row}" for row in rows]
                arrays = {"image": pa.array(refs, pa.string())}
            else:
                arrays = {"_value": self._numbers(records[first : rows.stop], file)}
            yield self._layout.batch(file, parts, first, arrays, len(rows))

    def _numbers(self, values: Array, file: str) -> pa.Array:
        wanted = self._layout.columns["_value"]
        try:
            return pa.array(values.astype(values.dtype.newbyteorder("="))).cast(wanted)
        except pa.ArrowException as error:
            raise BadRawError(f"its numbers are not valid {wanted}: {error}", where=Location(file)) from error


class IdxReader(_Records):
    """idx files, plain or .gz. With `_value` declared they are numbers, one dimension; else images."""

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, images="_value" not in table.columns, number=pa.int64())
        self._arrays = ArrayCache()

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        array = self._load(raw, file)
        if (array.ndim > 2) != self._images or array.ndim == 2:
            raise BadRawError(
                f"the file contains an array of shape {list(array.shape)}",
                where=Location(file),
                hint="declare `_value` for files of one dimension, and only for those",
            )
        yield from self._batches_of(file, parts, len(array) if self._images else array)

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._images:
            raise no_images(self._table, locator)
        file, number = split_locator(locator)
        array = self._arrays.get(file, lambda: self._load(raw, file))
        return encode_png(record_of(array, number, file), file)

    def _load(self, raw: RawDataset, file: str) -> Array:
        data = read_unpacked(raw, file)
        kind, dimensions = (data[2], data[3]) if len(data) >= 4 else (0, 0)
        if data[:2] != b"\0\0" or kind not in _IDX_TYPES or not dimensions or len(data) < 4 + 4 * dimensions:
            raise BadRawError("not an idx file: its header is wrong", where=Location(file))
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
        dtype = np.dtype(_IDX_TYPES[kind])
        start = 4 + 4 * dimensions
        if (shape[0] and 0 in shape) or len(data) - start != math.prod(shape) * dtype.itemsize:
            raise BadRawError(
                f"the header says {list(shape)} numbers of {dtype.itemsize} bytes, "
                f"but {len(data) - start} bytes follow",
                where=Location(file),
                hint="download the file again",
            )
        return np.frombuffer(data, dtype, offset=start).reshape(shape)


class BinaryReader(_Records):
    """Records of fixed size without a header, plain or .gz.

    Option `record`: {shape: [3, 96, 96], dtype: uint8, order: CWH} for images, {dtype: uint8} for numbers.
    Numbers of several bytes are little-endian.
    """

    accepts_anything = True

    def __init__(self, table: TableSpec) -> None:
        record = table.options.get("record")
        if not record or ("shape" in record) != ("order" in record):
            raise SpecError(
                f"table {table.name!r}: reader `binary` needs `record:`",
                where=table.place,
                hint="{dtype: uint8}, or with shape and order for images",
            )
        self._dtype = np.dtype(record["dtype"]).newbyteorder("<")
        self._shape: tuple[int, ...] = tuple(record.get("shape", ()))
        self._order = record.get("order", "HW")
        self._size: int = self._dtype.itemsize * math.prod(self._shape)
        super().__init__(table, bool(self._shape), pa.from_numpy_dtype(self._dtype.newbyteorder("=")))
        self._arrays = ArrayCache()

    def _file_batches(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[pa.RecordBatch]:
        if self._images and not file.lower().endswith(".gz"):
            yield from self._batches_of(file, parts, self._count(raw.stat(file).bytes, file))
            return
        data = read_unpacked(raw, file)
        count = self._count(len(data), file)
        yield from self._batches_of(file, parts, count if self._images else np.frombuffer(data, self._dtype))

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._images:
            raise no_images(self._table, locator)
        file, number = split_locator(locator)
        if file.lower().endswith(".gz"):
            records = self._arrays.get(file, lambda: np.frombuffer(read_unpacked(raw, file), np.uint8))
            data = records[number * self._size : (number + 1) * self._size].tobytes()
        else:
            with raw.open(file) as stream:
                stream.seek(number * self._size)
                data = stream.read(self._size)
        if len(data) < self._size:
            raise BadRawError(f"there is no record {number}", where=Location(file))
        values = np.frombuffer(data, self._dtype)
        return encode_png(image_array(values, self._order, file, self._shape), file)

    def _count(self, size: int, file: str) -> int:
        if size % self._size:
            raise BadRawError(
                f"{size} bytes are not a whole number of records of {self._size} bytes",
                where=Location(file),
                hint=f"download the file again, or fix `record:` of table {self._table.name!r}",
            )
        return size // self._size


class NpzReader(RowReader):
    """NumPy archives, one row each: columns are arrays by name; scalars are numbers, other arrays lists.

    Option `images`: {array: image, order: HW}. The column `image` is then `@<table>/<file>`, and
    `@<table>/<file>#<i>` is image i of the array (without `#`, the whole array is one image).
    """

    def __init__(self, table: TableSpec) -> None:
        super().__init__(table, images="images")
        self._images = table.options.get("images")
        self._arrays = ArrayCache(limit=1 << 26)

    def _image(self, raw: RawDataset, locator: str) -> bytes:
        if not self._images:
            raise no_images(self._table, locator)
        file, mark, number = locator.rpartition("#")
        if not mark or not number.isdecimal():
            file, number = locator, ""
        name = self._images["array"]
        array = self._arrays.get(file, lambda: self._required(raw, file, name))
        order = self._images.get("order") or ("HWC" if array.ndim - bool(number) == 3 else "HW")
        if number:
            image = record_of(array, int(number), file)
        else:
            image = array if isinstance(array, np.ndarray) else array[:]
        return encode_png(image_array(image, order, file), file)

    def _required(self, raw: RawDataset, file: str, name: str) -> Array:
        found = _npz_arrays(raw, file, [name]).get(name)
        if found is None:
            raise BadRawError(f"no array {name!r}", where=Location(file), hint="fix `images:` of the table")
        return found

    def _rows(self, raw: RawDataset, file: str, parts: Parts) -> Iterator[Row]:
        arrays = _npz_arrays(raw, file, list(self._table.columns))
        values: dict[str, Any] = {name: array.tolist() for name, array in arrays.items()}
        if self._images:
            values["image"] = f"@{self._table.name}/{file}"
        yield Row(file, parts, 0, values, sum(array.nbytes for array in arrays.values()))


def _npz_arrays(raw: RawDataset, file: str, names: list[str]) -> dict[str, Array]:
    """The arrays of these names that are in the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_whole(raw, file))) as archive:
            members = set(archive.namelist())
            return {
                name: _npy_member(archive, f"{name}.npy", file) for name in names if f"{name}.npy" in members
            }
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise BadRawError(
            f"not a valid npz file: {error}", where=Location(file), hint="download it again"
        ) from error


def _npy_member(archive: zipfile.ZipFile, name: str, file: str) -> Array:
    """An array of an npz; its sizes in the index and in its header are checked before it is decompressed."""
    info = archive.getinfo(name)
    refuse_bomb(info.file_size, info.compress_size, f"array {name!r}", file)
    with archive.open(name) as member:
        shape, in_columns, dtype = npy_header(member)
        left = info.file_size - member.tell()
        if dtype.hasobject:  # a pickle: text arrays of old NumPy, say
            return np.asarray(restricted_loads(member.read(left), file))
        if math.prod(shape) * dtype.itemsize != left or (not left and has_no_end(shape)):
            raise ValueError(f"an array of shape {list(shape)} with {left} bytes")
        data = member.read(left)
    array: Array = np.frombuffer(data, dtype) if left else np.empty(math.prod(shape), dtype)
    refuse_no_characters(array)
    return array.reshape(shape, order="F" if in_columns else "C")


def npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an .npy file; its data follows.

    Raises:
        ValueError: it is none.
    """
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)
