"""The interface of readers: the declared table, the protocol, references to images.

A reader knows one file format. It yields annotation columns as Arrow record batches, and never images:
if a format contains images (arrays, LMDB, Parquet), its rows carry references, and the reader opens them
later, for the selected instances only.

Readers add two columns to those a spec declares:

- `_file`: the file the row comes from, relative to the dataset's raw folder;
- `_index`: position of the row in that file, from 0.

A reference to an image is a string, so that SQL can pass and build it:

- `train_images/0a1b.jpg`: a file in upstream's layout, on disk or inside an archive;
- `@train/stl10_binary/train_X.bin#17`: record 17 of a file of the table `train`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from vision_flan.errors import Location
from vision_flan.raw.folder import RawDataset


@dataclass(frozen=True)
class TableSpec:
    """One entry of `tables:` in a dataset.yaml.

    Attributes:
        name: the table's name in SQL and in image references.
        reader: name of a registered reader.
        file: path pattern below the dataset's raw folder, see `vision_flan.raw.patterns`.
        options: the reader's own options, already checked against the JSON schema.
        columns: declared columns and their Arrow types, in order (only those read from the file).
        place: where the table is declared, for errors.
    """

    name: str
    reader: str
    file: str
    options: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, pa.DataType] = field(default_factory=dict)
    place: Location | None = None


class Reader(Protocol):
    """A format. Created from a `TableSpec`; stateless except for caches of opened files."""

    def __init__(self, table: TableSpec) -> None: ...

    def schema(self) -> pa.Schema:
        """All columns of the table; known without any raw file, so that SQL can be checked."""
        ...

    def batches(self, raw: RawDataset) -> Iterator[pa.RecordBatch]:
        """Stream the table, in a stable order.

        Raises:
            MissingRawError: no file matches `table.file`.
            BadRawError: a file does not match its format; names file, line or record.
        """
        ...

    def open_image(self, raw: RawDataset, locator: str) -> bytes:
        """Encoded bytes of the image behind `@<table>/<locator>`; arrays are encoded as PNG."""
        ...


@runtime_checkable
class ReadsInOrder(Protocol):
    """A reader of files that are quick to read only from front to back.

    Attributes:
        has_images: whether the table declares a column of images; else it takes no other call.
        image_hint: what to do about a record that has no image.
    """

    has_images: bool
    image_hint: str

    def entries(self, raw: RawDataset, file: str) -> Sequence[int]:
        """Rows from which on a file can be read by itself, sorted.

        Raises:
            MissingRawError, BadRawError: the file is missing, or not such a file.
        """
        ...

    def images_in_order(
        self, raw: RawDataset, file: str, rows: Sequence[int]
    ) -> Iterator[tuple[int, bytes | str]]:
        """The images of some rows, sorted, or what is wrong with them; rows beyond the last are left out.

        Raises:
            MissingRawError, BadRawError: the file is missing, or not such a file.
        """
        ...
