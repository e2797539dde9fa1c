"""JSON decoded many entries at once has the values, and the refusals, of one entry after another."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_flan.errors import BadRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers.json_bulk import BulkDecoder
from vision_flan.readers.json_scan import JsonScanner
from vision_flan.readers.json_table import JsonReader
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.text_stream import TextStream

#: Values as text, ordinary ones and those that parsers differ about.
_PLAIN = [
    "1",
    "-0",
    "1.5",
    "true",
    "null",
    '"a"',
    '"}, {\\"id\\": 2"',
    '"\\u00e9"',
    "[]",
    "{}",
    '[{"id": 1}, {"id": 2}]',
]
_ODD = [
    "NaN", "-Infinity", "1E400", "-1e-400", "12345678901234567890123", "9" * 5000,
    '"\\ud800"', '"\\ud83d\\ude00"',
    '{"a": 1, "a": 2}', '"\t"', '"\\x"', "01", "[1,]", "tru", "[" * 2000 + "]" * 2000, '"\x7f"', "",
]  # fmt: skip
_SPACES = st.sampled_from(["", " ", "\n  ", "\t"])


@st.composite
def _documents(draw: st.DrawFn) -> str:
    """A list or an object with many similar entries, a few of them odd."""
    is_object = draw(st.booleans())
    space = draw(_SPACES)
    entries = []
    for number in range(draw(st.integers(0, 40))):
        odd = draw(st.integers(0, 40)) == 0
        value = draw(st.sampled_from(_ODD if odd else _PLAIN))
        whole = draw(st.integers(0, 30)) == 0
        record = value if whole else f'{{"id": {number},{space}"v": {value}}}'
        key = draw(st.integers(0, 60)) if is_object else 0
        entries.append(f'"k{key}":{space}{record}' if is_object else record)
    text = f",{space}".join(entries)
    return f"{{{text}}}" if is_object else f"[{text}]"


def entries_of(folder: Path, chunk: int) -> tuple[list[Any], str]:
    """Keys and values of a document, up to the error."""
    found: list[Any] = []
    with RawDataset(folder, "toy") as raw, TextStream(raw, "a.json", "utf-8-sig", chunk) as stream:
        try:
            for entries in JsonScanner(stream).entries(Any):
                keys = entries.keys or [None] * len(entries.values)
                found += [(key, repr(value)) for key, value in zip(keys, entries.values, strict=True)]
        except BadRawError as error:
            return found, str(error)
    return found, ""


@given(_documents(), st.sampled_from([16, 100, 1 << 20]))
def test_any_document_reads_as_one_entry_after_another(
    tmp_path_factory: pytest.TempPathFactory, document: str, chunk: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.json").write_text(document, "utf-8", "surrogatepass")
    many = entries_of(folder, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BulkDecoder, "decode", lambda *_: None)
        assert many == entries_of(folder, chunk)


@pytest.mark.parametrize("is_object", [False, True])
def test_entries_are_decoded_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_object: bool
) -> None:
    records = [{"id": i, "regions": [{"x": i, "t": "}, {"}], "name": f"é{i}"} for i in range(20_000)]
    document = {str(i): record for i, record in enumerate(records)} if is_object else records
    (tmp_path / "a.json").write_text(json.dumps(document))
    alone = []
    one = JsonScanner.value
    monkeypatch.setattr(JsonScanner, "value", lambda self: alone.append(1) or one(self))
    entries, error = entries_of(tmp_path, 1 << 20)
    assert (len(entries), error) == (20_000, "")
    assert len(alone) < 40


def test_a_key_that_occurs_twice_gives_both_records(tmp_path: Path) -> None:
    text = ", ".join(f'"k{i % 500}": {{"id": {i}}}' for i in range(1000))
    (tmp_path / "a.json").write_text(f"{{{text}}}")
    reader = JsonReader(TableSpec("t", "json", "a.json", {}, {"id": pa.int64()}))
    rows = [row for batch in reader.batches(RawDataset(tmp_path, "toy")) for row in batch.to_pylist()]
    assert [row["id"] for row in rows] == list(range(1000))
    assert rows[500]["_key"] == "k0"


@pytest.mark.parametrize("value", _ODD)
@pytest.mark.parametrize("is_read", [True, False])
def test_a_value_of_a_key_that_is_stepped_over_is_refused_as_if_it_were_read(
    tmp_path: Path, value: str, is_read: bool
) -> None:
    records = ", ".join(f'{{"id": {i}, "v": {value if i == 500 else 1}}}' for i in range(1000))
    (tmp_path / "a.json").write_text(
        f'{{"skipped": [{records}], "rows": [{records}]}}', "utf-8", "surrogatepass"
    )
    at = {"at": "rows"} if is_read else {"at": "none"}
    reader = JsonReader(TableSpec("t", "json", "a.json", at, {"id": pa.int64()}))

    def said() -> str:
        try:
            return str([batch.to_pylist() for batch in reader.batches(RawDataset(tmp_path, "toy"))])
        except BadRawError as error:
            return str(error)

    many = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BulkDecoder, "decode", lambda *_: None)
        assert many == said()


def test_lists_before_the_rows_are_stepped_over_many_entries_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = [{"n": i, "inside": [{"n": 1}]} for i in range(100_000)]
    by_key = {str(i): record for i, record in enumerate(skipped)}
    (tmp_path / "a.json").write_text(json.dumps({"list": skipped, "object": by_key, "rows": [{"id": 1}]}))
    alone = []
    one = JsonScanner._try_value
    monkeypatch.setattr(JsonScanner, "_try_value", lambda self: alone.append(1) or one(self))
    reader = JsonReader(TableSpec("t", "json", "a.json", {"at": "rows"}, {"id": pa.int64()}))
    assert [
        row["id"] for batch in reader.batches(RawDataset(tmp_path, "toy")) for row in batch.to_pylist()
    ] == [1]
    assert len(alone) < 200


def test_a_document_of_odd_values_takes_no_longer_than_one_by_one(tmp_path: Path) -> None:
    records = ", ".join(f'{{"id": {i}, "score": NaN}}' for i in range(60_000))
    (tmp_path / "a.json").write_text(f"[{records}]")
    began = time.process_time()
    found, _ = entries_of(tmp_path, 1 << 20)
    many = time.process_time() - began
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BulkDecoder, "decode", lambda *_: None)
        began = time.process_time()
        assert entries_of(tmp_path, 1 << 20)[0] == found
    assert many < 5 * (time.process_time() - began) + 1  # quadratic would be a hundred times
