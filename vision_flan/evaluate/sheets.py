"""Answers in tables: .csv, .tsv and .xlsx, every fault with its file and line."""

from __future__ import annotations

import csv
import importlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vision_flan.errors import Location, VflanError, install_command
from vision_flan.evaluate.files import Record, read_bytes, read_text
from vision_flan.evaluate.values import AnswerError

#: A cell may hold an image in base64, as MMBench's tables do.
MAX_CELL = 64 * 1024 * 1024
#: What a workbook may unpack to; MMBench's largest has 60 MB of images in base64.
MAX_BOOK = 1 << 30


def table(path: Path, columns: Sequence[str]) -> list[Record]:
    """The rows of a .csv, .tsv or .xlsx table; empty cells are left out.

    Args:
        columns: those the table must have.

    Raises:
        AnswerError: a column is missing, a row has another length, or the kind of file is not known.
    """
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        rows = _xlsx(path)
    elif suffix in (".csv", ".tsv"):
        rows = _delimited(path, "," if suffix == ".csv" else "\t")
    else:
        raise AnswerError(f"{suffix or 'no'} ending", where=Location(path), hint="use .xlsx, .tsv or .csv")
    header: list[str] | None = None
    found = []
    for line, cells in rows:
        place = Location(path, line)
        if header is None:
            header = cells
            if len(set(cells)) != len(cells):
                raise AnswerError("a column stands twice in the header", where=place)
            missing = [name for name in columns if name not in cells]
            if missing:
                raise AnswerError(
                    f"no column {missing[0]!r}", where=place, hint=f"columns are {', '.join(cells)}"
                )
        elif len(cells) != len(header):
            raise AnswerError(f"{len(cells)} cells, the header has {len(header)}", where=place)
        else:
            found.append(
                Record({name: cell for name, cell in zip(header, cells, strict=True) if cell}, place)
            )
    if not found:
        raise AnswerError("the table has no rows", where=Location(path))
    return found


def _delimited(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    before = csv.field_size_limit(MAX_CELL)
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
        line = 1
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise AnswerError(f"not a table: {error}", where=Location(path, reader.line_num)) from error
    finally:
        csv.field_size_limit(before)


def _xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    _refuse_large_book(path)
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ModuleNotFoundError as error:
        raise VflanError("openpyxl is not installed", hint=install_command("evaluate")) from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except Exception as error:  # a damaged file raises errors of zipfile, of the XML parser and of openpyxl
        raise AnswerError(f"not an Excel table: {error}", where=Location(path)) from error
    width = max(
        (number for row in rows[:1] for number, cell in enumerate(row, 1) if cell is not None), default=0
    )
    for line, row in enumerate(rows, start=1):
        if any(cell is not None for cell in row):
            yield (
                line,
                ["" if cell is None else str(cell) for cell in row[:width]] + [""] * (width - len(row)),
            )


def _refuse_large_book(path: Path) -> None:
    """A workbook is a zip file, whose parts are read whole.

    Raises:
        AnswerError: it is not there, or none, or it unpacks to more than `MAX_BOOK`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as book:
            size = sum(part.file_size for part in book.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise AnswerError(f"not an Excel table: {error}", where=Location(path)) from error
    if size > MAX_BOOK:
        raise AnswerError(
            f"the table unpacks to {size:,} bytes; the limit is {MAX_BOOK:,}", where=Location(path)
        )
