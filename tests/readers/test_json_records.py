"""Records decoded to the declared types have the rows, and the errors, of values converted one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.errors import BadRawError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers import text_stream
from vision_flan.readers.json_bulk import BulkDecoder
from vision_flan.readers.json_records import RecordType
from vision_flan.readers.json_table import JsonReader
from vision_flan.readers.layout import Layout
from vision_flan.readers.reader import TableSpec

S, N, F, B = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_NAMES = ["a", "from", "é", "0-first", "_key", 'quo"te', "c1", "c2"]
_TYPES = st.recursive(
    st.sampled_from([S, S, N, F, B, pa.int32(), pa.uint8(), pa.float32(), pa.date32(), pa.list_(F, 2)]),
    lambda inner: (
        inner.map(pa.list_)
        | st.dictionaries(st.sampled_from(_NAMES), inner, min_size=1, max_size=3).map(
            lambda fields: pa.struct(list(fields.items()))
        )
    ),
    max_leaves=4,
)
_COLUMNS = st.dictionaries(st.sampled_from([*_NAMES, "_value"]), _TYPES, min_size=1, max_size=4)
#: Texts of values that parsers differ about, or that fit few columns.
_ODD = [
    "NaN", "-Infinity", "1e999", "1e-400", "-0", "1e5", "7.0", "1.5", "12345678901234567890123", "9" * 5000,
    "9223372036854775808", "9007199254740993", "300", "true", "null", '"7"', '"1_0"', '" 7 "', '"yes"',
    '"x"', '"2020-02-03"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u00e9"', '"\t"', '"\\x"', "01",
    "[1,]", "[]", "{}", "[null]", '["a"]', "[[1, 2]]", '{"a": 1, "a": "x"}', '{"a": {"a": 1}}', "tru", "",
    '"}, {\\"a\\": 1"', "[" * 300 + "]" * 300,
]  # fmt: skip


@st.composite
def _value(draw: st.DrawFn, kind: pa.DataType) -> str:
    """A value of this type as JSON text."""
    if draw(st.integers(0, 20)) == 0:
        return "null"
    if pa.types.is_struct(kind):
        fields = [field for field in kind if draw(st.integers(0, 9))]
        return "{" + ", ".join(f"{json.dumps(f.name)}: {draw(_value(f.type))}" for f in fields) + "}"
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        size = 2 if pa.types.is_fixed_size_list(kind) else draw(st.integers(0, 3))
        return "[" + ", ".join(draw(_value(kind.value_type)) for _ in range(size)) + "]"
    if pa.types.is_string(kind):
        return json.dumps(
            draw(st.sampled_from(["a", "", "ü", "]}, {", '"'])), ensure_ascii=draw(st.booleans())
        )
    if pa.types.is_date(kind):
        return '"2020-02-03"'
    return draw(st.sampled_from(["true", "false"] if pa.types.is_boolean(kind) else ["1", "0", "25"]))


@st.composite
def _document(draw: st.DrawFn, columns: dict[str, pa.DataType]) -> str:
    """A list or object of records of these columns, some with an odd value, and perhaps cut off."""
    is_object, odd = draw(st.booleans()), draw(st.sampled_from([0, 0, 10, 100]))
    space = draw(st.sampled_from(["", " ", "\n  "]))
    templates = [draw(_record(columns)) for _ in range(draw(st.integers(1, 4)))]
    entries = []
    for number in range(draw(st.integers(0, 25))):
        members = dict(draw(st.sampled_from(templates)))
        if odd and draw(st.integers(0, odd)) == 0:
            members[draw(st.sampled_from([*columns, "undeclared"]))] = draw(st.sampled_from(_ODD))
        whole = members.pop("_value", None)
        record = "{" + ", ".join(f"{json.dumps(name)}:{space}{text}" for name, text in members.items()) + "}"
        record = whole if whole is not None and len(columns) == 1 else record
        entries.append(f'"k{number % 23}":{space}{record}' if is_object else record)
    text = f",{space}".join(entries)
    text = f"{{{text}}}" if is_object else f"[{text}]"
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@st.composite
def _record(draw: st.DrawFn, columns: dict[str, pa.DataType]) -> dict[str, str]:
    members = {name: draw(_value(kind)) for name, kind in columns.items() if draw(st.integers(0, 9))}
    return {**members, "undeclared": draw(st.sampled_from(["1", '[{"a": 1}]', '"x"']))}


def read(folder: Path, columns: dict[str, pa.DataType]) -> tuple[list[Any], str]:
    """The batches of the documents in a folder, up to the error."""
    found: list[Any] = []
    try:
        with RawDataset(folder, "toy") as raw:
            for batch in JsonReader(TableSpec("t", "json", "{name}.json", {}, columns)).batches(raw):
                batch.validate(full=True)
                found.append((batch.schema, repr(batch.to_pylist())))
    except BadRawError as error:
        return found, str(error)
    return found, ""


def one_by_one(patch: pytest.MonkeyPatch) -> None:
    """Decode by Python's parser, and convert value by value."""
    patch.setattr(BulkDecoder, "decode", lambda *_: None)
    patch.setattr(RecordType, "is_known", False)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([16, 200, 1 << 20]))
def test_any_documents_give_the_same_rows_or_error_whichever_way_they_are_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, chunk: int
) -> None:
    columns = data.draw(_COLUMNS)
    folder = tmp_path_factory.mktemp("documents")
    for name in ("a", "b"):
        text = data.draw(_document(columns)).encode("utf-8", "surrogatepass")
        if data.draw(st.integers(0, 20)) == 0:
            text += b"\xff"
        (folder / f"{name}.json").write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_stream.TextStream.__init__, "__defaults__", (chunk,))
        typed = read(folder, columns)
        one_by_one(patch)
        assert typed == read(folder, columns)


def test_plain_documents_are_read_column_by_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = pa.struct([("x", N), ("label", S)])
    records = [
        {"id": i, "boxes": [{"x": i, "label": None}] * (i % 3), "o": {"x": "7"}} for i in range(20_000)
    ]
    records[77] |= {"boxes": None, "o": None}
    for name, document in (("a", records), ("b", {str(i): record for i, record in enumerate(records)})):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    columns = {"id": S, "boxes": pa.list_(box), "o": box}
    with pytest.MonkeyPatch.context() as patch:
        one_by_one(patch)
        expected = read(tmp_path, columns)
    rows = []
    of_rows = Layout.of_rows
    monkeypatch.setattr(Layout, "of_rows", lambda self, found: rows.extend(found) or of_rows(self, found))
    assert read(tmp_path, columns) == expected
    assert not rows


def test_batches_are_bounded_and_keep_the_order_whatever_the_pieces(tmp_path: Path) -> None:
    long = [{"id": i, "text": "x" * 10_000} for i in range(3_000)]
    short = [{"id": i} for i in range(20_000)]
    (tmp_path / "a.json").write_text(json.dumps(long))
    (tmp_path / "b.json").write_text(json.dumps(short))
    reader = JsonReader(TableSpec("t", "json", "{name}.json", {}, {"id": N, "text": S}))
    batches = list(reader.batches(RawDataset(tmp_path, "toy")))
    assert max(batch.num_rows for batch in batches) <= 8192
    assert max(batch.nbytes for batch in batches) < 10 << 20
    table = pa.Table.from_batches(batches)
    assert table["id"].to_pylist() == table["_index"].to_pylist() == [*range(3_000), *range(20_000)]
    assert table["name"].to_pylist() == ["a"] * 3_000 + ["b"] * 20_000
    assert table["_file"].to_pylist()[2_999:3_001] == ["a.json", "b.json"]
