"""MATLAB files with a few of their records, version 5 and 7.3 (HDF5), in the same form as they were."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vision_flan.errors import BadRawError, MachineError, install_command
from vision_flan.miniatures.cut_arrays import Cut
from vision_flan.readers.matlab_file import hdf5, is_hdf5, member, refuse_elsewhere
from vision_flan.readers.pixels import Array
from vision_flan.readers.unfolded import Again

if TYPE_CHECKING:
    import h5py

#: Bytes of a variable that no table reads, above which it is left out.
_UNREAD = 1 << 16
#: The text at the start of a file of version 5, into which scipy writes the time.
_HEAD = 116


def cut_matlab(data: bytes, cuts: list[Cut]) -> bytes:
    """The file with the elements that stay; several tables may read several of its variables.

    Raises:
        MachineError: the package that reads such files is not installed.
        BadRawError: data that lies in another file.
    """
    try:
        return _cut_hdf5(data, cuts) if is_hdf5(data) else _cut_v5(data, cuts)
    except ImportError as error:
        needed = f"MATLAB files need the package {error.name}"
        raise MachineError(needed, hint=install_command("matlab")) from None


def _axis(cut: Cut) -> int | None:
    """The axis that the table's rows are along; None for the elements of a vector."""
    return {"rows": 0, "columns": 1}.get(str(cut.options.get("axis")))


def _steps(cut: Cut) -> list[str]:
    return [step for step in str(cut.options.get("field", "")).split(".") if step]


def _variables(cut: Cut, there: Sequence[str]) -> tuple[list[str], bool]:
    """The variables that a table reads, and whether each of them is a column of it."""
    wanted = cut.options.get("variable")
    columns = [name for name in there if name in cut.columns]
    if wanted is None and columns:
        return columns, True
    return [str(wanted)] if wanted is not None else list(there)[:1], False


# --- version 5


def _cut_v5(data: bytes, cuts: list[Cut]) -> bytes:
    from scipy.io import loadmat, savemat

    found = loadmat(io.BytesIO(data), squeeze_me=False, chars_as_strings=True)
    variables: dict[str, Array] = {name: value for name, value in found.items() if not name.startswith("__")}
    read = set()
    for cut in cuts:
        names, are_columns = _variables(cut, list(variables))
        for name in names:
            read.add(name)
            value = variables[name]
            variables[name] = _column(value, cut) if are_columns else _inside(value, _steps(cut), cut)
    variables = {name: value for name, value in variables.items() if name in read or _size(value) <= _UNREAD}
    out = io.BytesIO()
    savemat(out, variables, do_compression=True, oned_as="row")
    return data[:_HEAD] + out.getvalue()[_HEAD:]


def _size(value: Array) -> int:
    if value.dtype.names:
        return sum(_size(value[name]) for name in value.dtype.names)
    if value.dtype.kind == "O":
        return sum(_size(item) if isinstance(item, np.ndarray) else 8 for item in value.ravel())
    return value.nbytes


def _inside(value: Array, steps: Sequence[str], cut: Cut) -> Array:
    """A variable whose records, within the struct that `steps` lead to, are those that stay."""
    struct = _only_struct(value) if steps or _axis(cut) == 0 else None
    if struct is None:
        return _records(value, cut)
    for name in [steps[0]] if steps else [name for name in struct.dtype.names or () if name in cut.columns]:
        inner = struct[name]
        at = (0,) * inner.ndim
        inner[at] = _inside(inner[at], steps[1:], cut) if steps else _column(inner[at], cut)
    return value


def _only_struct(value: object) -> Array | None:
    """The array of the only struct in an array, also inside cells of one element."""
    while isinstance(value, np.ndarray) and value.size == 1:
        if value.dtype.names:
            return value
        if value.dtype.kind != "O":
            return None
        value = value.flat[0]
    return None


def _records(value: Array, cut: Cut) -> Array:
    axis = _axis(cut)
    if axis is not None and value.dtype.names is None:
        return np.take(np.atleast_2d(value), sorted(cut.kept), axis=axis)
    return _elements(value, cut)


def _column(value: Array, cut: Cut) -> Array:
    """A variable as a column: an element of a vector, or a row of a matrix, is of one record."""
    if value.dtype.kind in "US" or value.ndim < 2 or min(value.shape) <= 1:
        return _elements(value, cut)
    return np.take(value, sorted(cut.kept), axis=0)


def _elements(value: Array, cut: Cut) -> Array:
    """Elements in MATLAB's order, columns first; a column stays one, anything else becomes a row."""
    taken = value.ravel(order="F")[sorted(cut.kept)]
    if value.ndim < 2 or value.dtype.kind in "US":
        return taken
    return taken.reshape((-1, 1) if value.shape[1] == 1 else (1, -1))


# --- version 7.3: an HDF5 file whose axes are reversed


def _cut_hdf5(data: bytes, cuts: list[Cut]) -> bytes:
    h5py = hdf5()
    start = 0 if data[:4] == b"\x89HDF" else 512
    with tempfile.TemporaryDirectory(prefix="vflan-") as work, h5py.File(io.BytesIO(data), "r") as old:
        path = Path(work) / "cut.mat"
        copy = _Copy(old, _takes(old, cuts), Again(len(data)))
        with h5py.File(path, "w", userblock_size=start) as new:
            copy.into(new)
        made = path.read_bytes()
    return data[:start] + made[start:]


#: Name of a dataset -> the places that stay, and the axis as stored; None for the elements of a vector.
_Takes = MutableMapping[str, tuple[Sequence[int], int | None]]


def _takes(file: h5py.File, cuts: list[Cut]) -> _Takes:
    takes: _Takes = {}
    for cut in cuts:
        names, are_columns = _variables(cut, [name for name in file if not name.startswith("#")])
        for name in names:
            item = member(file, name)
            for step in [] if are_columns else _steps(cut):
                item = member(_group_of(file, item), step)
            if are_columns:
                _take_column(takes, item, cut)
            elif _axis(cut) == 0 and _is_struct(item):
                for field in (one for one in item if one in cut.columns):
                    _take_column(takes, member(item, field), cut)
            else:
                _take_records(takes, item, cut)
    return takes


def _group_of(file: h5py.File, item: h5py.Group | h5py.Dataset) -> h5py.Group:
    """The struct that an item is, also one in a cell."""
    import h5py

    while isinstance(item, h5py.Dataset):
        if item.dtype != h5py.ref_dtype or item.size != 1:
            raise BadRawError(f"{item.name!r} is not a single struct")
        item = file[item[()].flat[0]]
    return item


def _is_struct(item: h5py.Group | h5py.Dataset) -> bool:
    """Whether it is a single struct; in an array of structs each field is a list of references."""
    return hasattr(item, "keys") and not all(_is_split(member(item, name)) for name in item)


def _is_split(item: h5py.Group | h5py.Dataset) -> bool:
    import h5py

    is_references = isinstance(item, h5py.Dataset) and item.dtype == h5py.ref_dtype
    return is_references and "MATLAB_class" not in item.attrs


def _take_records(takes: _Takes, item: h5py.Group | h5py.Dataset, cut: Cut) -> None:
    import h5py

    kept, axis = sorted(cut.kept), _axis(cut)
    if isinstance(item, h5py.Group):
        for name in item:
            takes[member(item, name).name] = (kept, None)
    elif axis is not None and item.ndim > 1:
        takes[item.name] = (kept, item.ndim - 1 - axis)
    else:
        takes[item.name] = (kept, item.ndim - 1 if _is_text(item) else None)


def _take_column(takes: _Takes, item: h5py.Group | h5py.Dataset, cut: Cut) -> None:
    import h5py

    if isinstance(item, h5py.Group):
        return _take_records(takes, item, cut)
    is_vector = item.ndim < 2 or min(item.shape) <= 1
    takes[item.name] = (sorted(cut.kept), None if is_vector and not _is_text(item) else item.ndim - 1)
    return None


def _is_text(item: h5py.Dataset) -> bool:
    return bool(item.attrs.get("MATLAB_class", b"") == b"char")


class _Copy:
    """Copies an HDF5 file member by member, with fewer elements where records are left out."""

    def __init__(
        self, old: h5py.File, takes: Mapping[str, tuple[Sequence[int], int | None]], again: Again
    ) -> None:
        self._old, self._takes, self._again = old, takes, again
        self._made: dict[str, h5py.Reference] = {}

    def into(self, new: h5py.File) -> None:
        """Write all variables that a table reads, and the small ones beside them."""
        read = {name.split("/")[1] for name in self._takes}
        for name in self._old:
            item = member(self._old, name)
            is_large = not hasattr(item, "keys") and item.nbytes > _UNREAD and name not in read
            if not name.startswith("#") and not is_large:
                self._copied(item, new, name, new)

    def _copied(
        self, item: h5py.Group | h5py.Dataset, parent: h5py.Group, name: str, new: h5py.File
    ) -> h5py.Group | h5py.Dataset:
        import h5py

        if isinstance(item, h5py.Group):
            self._again.count(item)
            made = parent.create_group(name)
            for field in item:
                self._copied(member(item, field), made, field, new)
        else:
            refuse_elsewhere(item)
            values = self._values(item)
            if item.dtype == h5py.ref_dtype:
                values = np.array(
                    [self._referred(ref, new) for ref in values.ravel()], dtype=h5py.ref_dtype
                ).reshape(values.shape)
            made = parent.create_dataset(name, data=values, dtype=item.dtype)
        for key, value in item.attrs.items():
            made.attrs[key] = value
        return made

    def _values(self, item: h5py.Dataset) -> Array:
        values: Array = np.asarray(item[()])
        kept, axis = self._takes.get(item.name, ((), None))
        if item.name not in self._takes:
            return values
        if axis is not None:
            return np.take(values, kept, axis=axis)
        taken = values.ravel()[list(kept)]
        return taken.reshape((1, -1) if values.ndim > 1 and values.shape[0] == 1 else (-1, 1))

    def _referred(self, ref: h5py.Reference, new: h5py.File) -> h5py.Reference:
        """A reference to the copy of what a cell holds."""
        item = self._old[ref]
        if item.name not in self._made:
            store = new.require_group("#refs#")
            name = item.name.rpartition("/")[2]
            name = name if name not in store else f"{name}_{len(store)}"
            self._made[item.name] = self._copied(item, store, name, new).ref
        return self._made[item.name]
