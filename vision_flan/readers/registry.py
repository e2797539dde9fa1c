"""The readers by the names that `reader:` takes in a dataset.yaml."""

from __future__ import annotations

from vision_flan.errors import SpecError
from vision_flan.readers.arrays import BinaryReader, IdxReader, NpzReader
from vision_flan.readers.delimited import DelimitedReader
from vision_flan.readers.files_table import FilesReader
from vision_flan.readers.json_lines import JsonLinesReader
from vision_flan.readers.json_table import JsonReader
from vision_flan.readers.lines_table import LinesReader, TextReader
from vision_flan.readers.lmdb_table import LmdbReader
from vision_flan.readers.matlab import MatlabReader
from vision_flan.readers.parquet_table import ParquetReader
from vision_flan.readers.pickled import PickleReader
from vision_flan.readers.reader import Reader, TableSpec
from vision_flan.readers.xml_table import XmlReader

READERS: dict[str, type[Reader]] = {
    "files": FilesReader,
    "json": JsonReader,
    "json_lines": JsonLinesReader,
    "delimited": DelimitedReader,
    "lines": LinesReader,
    "text": TextReader,
    "parquet": ParquetReader,
    "xml": XmlReader,
    "matlab": MatlabReader,
    "pickle": PickleReader,
    "idx": IdxReader,
    "binary": BinaryReader,
    "npz": NpzReader,
    "lmdb": LmdbReader,
}


def make_reader(table: TableSpec) -> Reader:
    """The reader of a declared table.

    Raises:
        SpecError: no such reader, or options and columns it does not support.
    """
    reader = READERS.get(table.reader)
    if reader is None:
        raise SpecError(
            f"table {table.name!r}: there is no reader {table.reader!r}",
            where=table.place,
            hint=f"readers are {', '.join(sorted(READERS))}",
        )
    return reader(table)
