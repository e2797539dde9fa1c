"""Tables in stores of many images: pickles as CIFAR's, npz archives as MNIST's, LMDB environments."""

from __future__ import annotations

import io
import math
import zipfile
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from vision_flan.errors import BadRawError
from vision_flan.propose.paths import Group
from vision_flan.propose.survey import Survey
from vision_flan.propose.table import Table
from vision_flan.propose.types import columns_of, sql_type
from vision_flan.readers.arrays import npy_header
from vision_flan.readers.pickled import plain_value, restricted_loads, text_key
from vision_flan.readers.whole import read_whole

#: Values of a column that are looked at for its type; the smallest side of an image in a flat row.
_LOOKED_AT, _SMALLEST = 500, 8
#: Entries of a pickled dict above which its keys are ids, and its values the records.
_MANY_KEYS = 8
_SHAPE = tuple[int, ...]


def is_pickle(survey: Survey, path: str) -> bool:
    """Whether a file without a suffix is a pickle, as CIFAR's are."""
    return survey.kind(path) == "pickle"


# --- pickle


def pickle_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of a pickled dict of columns, of one of records by key, or of a list of records.

    Raises:
        BadRawError: the pickle is damaged, or holds more than arrays and plain containers.
    """
    document = restricted_loads(read_whole(survey.raw, group.paths[0]), group.paths[0])
    if isinstance(document, dict):
        return _of_dict({str(text_key(key)): value for key, value in document.items()}, group)
    if isinstance(document, list | tuple):
        items = [plain_value(item) for item in document[:_LOOKED_AT]]
        records = [item for item in items if isinstance(item, dict)]
        kind = sql_type(items) if len(records) < len(items) else ""
        columns = {"_value": kind} if kind else columns_of(records)
        return [Table(group.name, "pickle", group.pattern, group.paths, columns)] if columns else []
    return []


def _of_dict(document: Mapping[str, object], group: Group) -> list[Table]:
    """A table for the columns of each length; the images are with those of theirs."""
    stored = next((name for name, value in document.items() if _image_shape(value)[1]), "")
    by_length: dict[int, dict[str, str]] = defaultdict(dict)
    for name, value in document.items():
        is_list = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
        if name != stored and is_list and isinstance(value, list | tuple | np.ndarray):
            kind = sql_type([plain_value(item) for item in value[:_LOOKED_AT]])
            if kind and len(value) > 1:
                by_length[len(value)][name] = kind
    options: dict[str, object] = {}
    images = document.get(stored)
    if isinstance(images, np.ndarray):
        shape, order = _image_shape(images)
        options = {"images": {"key": stored, "shape": list(shape), "order": order}}
        by_length.setdefault(len(images), {})
    tables = [
        Table(group.name, "pickle", group.pattern, group.paths, columns,
              options if isinstance(images, np.ndarray) and length == len(images) else {})
        for length, columns in by_length.items()
    ]  # fmt: skip
    if not tables and len(document) > _MANY_KEYS:
        return _by_key(document, group)
    return tables


def _by_key(document: Mapping[str, object], group: Group) -> list[Table]:
    values = [plain_value(value) for value in list(document.values())[:_LOOKED_AT]]
    records = [value for value in values if isinstance(value, dict)]
    kind = sql_type(values) if len(records) < len(values) else ""
    columns = {"_value": kind} if kind else columns_of(records)
    keyed = {"_key": "VARCHAR", **columns}
    return [Table(group.name, "pickle", group.pattern, group.paths, keyed)] if columns else []


def _image_shape(value: object) -> tuple[_SHAPE, str]:
    """The shape of an image and the order of its axes, if an array has one in each row; else nothing."""
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or len(value.shape) < 2:
        return (), ""
    shape = value.shape[1:]
    if len(shape) > 1:
        order = image_order(shape)
        return (shape, order) if order else ((), "")
    for channels, order in ((3, "CHW"), (1, "HW")):
        side = math.isqrt(shape[0] // channels)
        if side >= _SMALLEST and side * side * channels == shape[0]:
            return ((channels, side, side) if channels > 1 else (side, side)), order
    return (), ""


def image_order(shape: Sequence[int]) -> str:
    """The order of the axes of an image: HW, HWC or CHW; empty if it is none."""
    if len(shape) == 2:
        return "HW" if min(shape) >= _SMALLEST else ""
    if len(shape) != 3:
        return ""
    if shape[2] in (1, 3, 4) and min(shape[:2]) >= _SMALLEST:
        return "HWC"
    return "CHW" if shape[0] in (1, 3, 4) and min(shape[1:]) >= _SMALLEST else ""


# --- npz


def npz_tables(survey: Survey, group: Group) -> list[Table]:
    """A row a file: its numbers and lists, and the array that is its image or holds its images.

    Raises:
        BadRawError: it is no npz.
    """
    heads = _heads(read_whole(survey.raw, group.paths[0]), group.paths[0])
    columns = {name: kind for name, (shape, dtype) in heads.items() if (kind := _npz_type(shape, dtype))}
    options: dict[str, object] = {}
    labels: list[str] = []
    if images := _images_of(heads):
        shape = heads[images][0]
        is_one = bool(image_order(shape)) and not (len(shape) == 3 and image_order(shape[1:]))
        labels = [] if is_one else [name for name in columns if _belongs_to(name, images, heads)]
        if is_one or labels:
            order = image_order(shape if is_one else shape[1:])
            options = {"images": {"array": images, "order": order}}
            columns = {name: kind for name, kind in columns.items() if is_one or name in labels[:1]}
    made = Table(group.name, "npz", group.pattern, group.paths, columns, options)
    made.label_list = labels[0] if labels else ""
    return [made] if columns or options else []


def _heads(data: bytes, path: str) -> dict[str, tuple[_SHAPE, np.dtype[np.generic]]]:
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        shape, _, dtype = npy_header(member)
                    found[info.filename.removesuffix(".npy")] = (shape, dtype)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise BadRawError(f"not a valid npz file: {error}") from error
    return found


def _npz_type(shape: _SHAPE, dtype: np.dtype[np.generic]) -> str:
    kind = {"i": "BIGINT", "u": "BIGINT", "f": "DOUBLE", "b": "BOOLEAN", "U": "VARCHAR"}.get(dtype.kind, "")
    return kind + "[]" * len(shape) if kind and len(shape) <= 2 else ""


def _images_of(heads: Mapping[str, tuple[_SHAPE, np.dtype[np.generic]]]) -> str:
    """The array of images: that of the train split where there are several."""
    names = [
        name
        for name, (shape, dtype) in heads.items()
        if dtype.kind in "ui" and (image_order(shape) or (len(shape) > 2 and image_order(shape[1:])))
    ]
    return min(names, key=lambda name: ("train" not in name.lower(), -heads[name][0][0]), default="")


def _belongs_to(name: str, images: str, heads: Mapping[str, tuple[_SHAPE, np.dtype[np.generic]]]) -> bool:
    """Whether an array has a whole number for each image."""
    shape, dtype = heads[name]
    return dtype.kind in "ui" and shape in ((heads[images][0][0],), (heads[images][0][0], 1))


# --- LMDB


def lmdb_tables(survey: Survey, group: Group) -> list[Table]:
    """The table of environments whose values are images."""
    return [Table("records", "lmdb", group.pattern, group.paths)]
