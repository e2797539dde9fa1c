"""Loads variables of .mat files, v5 (scipy) and v7.3 (HDF5, h5py), in the same form.

A value is an array of two or more dimensions, as in MATLAB: of numbers or booleans; of `str`, one per row of
characters; or of objects, the elements of a cell or struct array, where a struct is a dict of values.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from vision_flan.errors import BadRawError, Location, MachineError, install_command
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.matlab_child import CrashError, MatlabParser
from vision_flan.readers.pixels import Array
from vision_flan.readers.unfolded import Again
from vision_flan.readers.whole import is_bomb, read_whole

_HDF5 = b"\x89HDF\r\n\x1a\n"
_PARSER = MatlabParser()
_INSTALL = install_command("matlab")


def load_variables(raw: RawDataset, file: str, variable: str | None) -> dict[str, Array]:
    """The variables of a file, or one of them.

    Raises:
        BadRawError: the file is damaged.
        MachineError: the package that reads such files is not installed.
    """
    data = read_whole(raw, file)
    try:
        found: dict[str, Array] = _PARSER.parse(data, variable)
        return found
    except ImportError as error:
        raise MachineError(f"MATLAB files need the package {error.name}", hint=_INSTALL) from None
    except _ElsewhereError as error:
        raise BadRawError(
            f"not a valid MATLAB file: {error}, which is not supported",
            where=Location(file),
            hint="store the data in the file itself",
        ) from None
    except CrashError as error:
        raise BadRawError(
            f"not a valid MATLAB file: {error}", where=Location(file), hint="download it again"
        ) from None
    except Exception as error:  # parsers raise anything for damaged files
        raise BadRawError(
            f"not a valid MATLAB file: {type(error).__name__}: {error}",
            where=Location(file),
            hint="download it again",
        ) from error


def parse(data: bytes, variable: str | None) -> dict[str, Array]:
    """The variables of a file's bytes, or one of them; runs in a process of its own.

    Raises:
        Exception: whatever the parser of a damaged file raises.
    """
    return _load_hdf5(data, variable) if is_hdf5(data) else _load_v5(data, variable)


def is_hdf5(data: bytes) -> bool:
    """Whether a .mat file is of version 7.3."""
    return data[:8] == _HDF5 or data[512:520] == _HDF5


def elements(value: Array) -> Iterator[Any]:
    """Elements in MATLAB's order, columns first; struct arrays of scipy as dicts."""
    names = value.dtype.names
    if value.dtype.kind in "US":
        yield from text_rows(value)
        return
    for element in value.ravel(order="F"):
        yield {name: element[name] for name in names} if names else element


def text_rows(value: Array) -> list[str]:
    """Rows of characters, without the padding of a matrix."""
    padding = "\0" if value.size == 1 else " \0"
    return [str(line).rstrip(padding) for line in value.ravel(order="F")]


def text_of(value: Array) -> str:
    """Rows of characters as one text."""
    return "\n".join(text_rows(value))


def _load_v5(data: bytes, variable: str | None) -> dict[str, Array]:
    from scipy.io import loadmat

    found = loadmat(
        io.BytesIO(data), variable_names=None if variable is None else [variable], chars_as_strings=True
    )
    return {name: value for name, value in found.items() if not name.startswith("__")}


def hdf5() -> ModuleType:
    """The package h5py, which loads no filters from shared libraries: a file says which it needs."""
    import h5py

    package: ModuleType = h5py
    while package.h5pl.size():
        package.h5pl.remove(0)
    return package


def _load_hdf5(data: bytes, variable: str | None) -> dict[str, Array]:
    with hdf5().File(io.BytesIO(data), "r") as file:
        names = [name for name in file if not name.startswith("#") and variable in (None, name)]
        values = _Values(file, len(data))
        return {name: values.of(member(file, name)) for name in names}


def member(group: Any, name: str) -> Any:
    """A member of a group; links are refused, since they may lead out of the file."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        # MATLAB writes hard links only; a soft link may lead to an external one
        raise _ElsewhereError(f"{name!r} is a link, which may lead to another file")
    return group[name]


class _ElsewhereError(Exception):
    """Data in another file, which a dataset's file could choose freely."""


def refuse_elsewhere(dataset: Any) -> None:
    """Refuse a dataset whose data lies in another file."""
    if dataset.external or dataset.is_virtual:
        raise _ElsewhereError(f"the data of {dataset.name!r} is in another file")


class _Values:
    """The values of an HDF5 file; their axes are reversed compared with MATLAB.

    Args:
        size: bytes of the file, which what is in it must fit.
    """

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._size = file, size
        self._again, self._bytes = Again(size), 0

    def of(self, item: Any) -> Array:
        """The value of a dataset or group."""
        import h5py

        if isinstance(item, h5py.Group):
            self._again.count(item)
            return self._struct({name: member(item, name) for name in item})
        refuse_elsewhere(item)
        kind = item.attrs.get("MATLAB_class", b"").decode()
        if "MATLAB_empty" in item.attrs:
            return np.array([], dtype="<U1" if kind == "char" else "f8").reshape(0, 0)
        self._bytes += item.nbytes
        if is_bomb(self._bytes, self._size):
            raise ValueError(f"its values take {self._bytes:,} bytes or more, and it has {self._size:,}")
        values = item[()].T
        if item.dtype == h5py.ref_dtype:
            self._again.count(item)
            return _objects([self.of(self._file[ref]) for ref in values.ravel(order="F")], values.shape)
        if kind == "char":
            return np.array(["".join(map(chr, line)) for line in np.atleast_2d(values)])
        return np.asarray(values.astype(np.bool_) if kind == "logical" else values)

    def _struct(self, fields: dict[str, Any]) -> Array:
        """A struct is a group; an array of them has a dataset of references for each field."""
        import h5py

        def is_split(item: Any) -> bool:
            is_references = isinstance(item, h5py.Dataset) and item.dtype == h5py.ref_dtype
            return is_references and "MATLAB_class" not in item.attrs

        values = {name: self.of(item) for name, item in fields.items()}
        if not fields or not all(is_split(item) for item in fields.values()):
            return _objects([values], (1, 1))
        shape = next(iter(values.values())).shape
        columns = {name: list(value.ravel(order="F")) for name, value in values.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return _objects(rows, shape)


def _objects(items: list[Any], shape: tuple[int, ...]) -> Array:
    flat = np.empty(len(items), dtype=object)
    for at, item in enumerate(items):  # assigning the whole list would create arrays of arrays
        flat[at] = item
    return flat.reshape(shape, order="F")
