import gzip
import json
import math
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_flan.errors import BadRawError, MissingRawError, SpecError
from vision_flan.raw.folder import RawDataset
from vision_flan.readers import json_scan
from vision_flan.readers.json_scan import JsonScanner
from vision_flan.readers.text_stream import TextStream

S, N, F = pa.string(), pa.int64(), pa.float64()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=25,
)


def test_rows_of_a_list_have_their_declared_keys_only(folder: Any) -> None:
    records = [{"id": 1, "q": "a", "other": [1]}, {"id": 2, "q": None}, {"q": "c"}]
    folder.write("q.json", json.dumps({"info": {"x": [1, 2]}, "data": {"questions": records}}))
    assert folder.rows("json", "q.json", {"id": N, "q": S}, at="data.questions") == [
        {"_key": None, "id": 1, "q": "a", "_file": "q.json", "_index": 0},
        {"_key": None, "id": 2, "q": None, "_file": "q.json", "_index": 1},
        {"_key": None, "id": None, "q": "c", "_file": "q.json", "_index": 2},
    ]


def test_rows_of_an_object_have_its_keys_and_keep_both_of_a_double_key(folder: Any) -> None:
    folder.write("a.json", '{"imgs": {"7": {"w": 1}, "8": {"w": 2}, "7": {"w": 3}}}')
    rows = folder.rows("json", "a.json", {"w": N}, at="imgs")
    assert [(row["_key"], row["w"]) for row in rows] == [("7", 1), ("8", 2), ("7", 3)]
    typed = folder.rows("json", "a.json", {"_key": N, "w": N}, at="imgs")
    assert [row["_key"] for row in typed] == [7, 8, 7]


def test_values_that_are_no_objects_are_in_value(folder: Any) -> None:
    folder.write("list.json", '["red", "blue"]')
    folder.write("map.json", '{"a": [1, 2], "b": []}')
    assert [row["_value"] for row in folder.rows("json", "list.json", {"_value": S})] == ["red", "blue"]
    rows = folder.rows("json", "map.json", {"_value": pa.list_(N)})
    assert [(row["_key"], row["_value"]) for row in rows] == [("a", [1, 2]), ("b", [])]


def test_single_makes_one_row_a_document(folder: Any) -> None:
    form = {"form": [{"id": 0, "text": "A", "box": [1, 2]}], "size": {"w": 5}, "more": [[[]]]}
    folder.write("ann/x.json", json.dumps(form))
    folder.write("ann/y.json", json.dumps(form))
    kind = pa.list_(pa.struct([("id", N), ("text", S)]))
    rows = folder.rows("json", "ann/{name}.json", {"form": kind}, single=True)
    assert [(row["name"], row["form"]) for row in rows] == [
        ("x", [{"id": 0, "text": "A"}]),
        ("y", rows[0]["form"]),
    ]
    assert folder.rows("json", "ann/x.json", {"w": N}, single=True, at="size")[0]["w"] == 5


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (5, S, "5"),
        (True, S, "true"),
        (1.5, S, "1.5"),
        ("7", N, 7),
        (" 7 ", N, 7),
        (7.0, N, 7),
        ("7.0", N, 7),
        (True, N, 1),
        ("1e3", F, 1000.0),
        (3, F, 3.0),
        (1, pa.bool_(), True),
        ("false", pa.bool_(), False),
        ("2020-02-03", pa.date32(), __import__("datetime").date(2020, 2, 3)),
        ({"a": "1", "b": 2}, pa.struct([("a", N), ("b", S)]), {"a": 1, "b": "2"}),
        ([1, "2", None], pa.list_(N), [1, 2, None]),
        ("\ud83d", S, "�"),
    ],
)
def test_values_become_the_declared_type(folder: Any, value: Any, kind: pa.DataType, expected: Any) -> None:
    folder.write("a.json", json.dumps([{"v": value}, {"v": None}]))
    assert [row["v"] for row in folder.rows("json", "a.json", {"v": kind})] == [expected, None]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("seven", N),
        (7.5, N),
        ("", N),
        (2**40, pa.int32()),
        (-1, pa.uint8()),
        ([1], N),
        ({"a": ["é", 1]}, S),
        ([], S),
        (["a", ["b"]], pa.list_(S)),
        ("1_000", N),
        ("1_0.5", F),
        ("x", F),
        ("ab", pa.list_(S)),
        (2, pa.bool_()),
        ("soon", pa.date32()),
        ({"a": 1}, pa.list_(N)),
        ([1], pa.struct([("a", N)])),
        ({"a": ["x"]}, pa.struct([("a", pa.list_(N))])),
    ],
)
def test_a_value_that_does_not_fit_names_file_record_column_and_value(
    folder: Any, value: Any, kind: pa.DataType
) -> None:
    folder.write("a.json", json.dumps([{"v": None}, {"v": value}]))
    with pytest.raises(BadRawError, match=r"a.json: record 1, column 'v': .*") as caught:
        folder.rows("json", "a.json", {"v": kind})
    assert isinstance(value, dict | list) or json.dumps(value).strip('"')[:1] in caught.value.what


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("reader", ["json", "json_lines"])
@pytest.mark.parametrize(
    "kind", [S, N, F, pa.bool_(), pa.list_(S), pa.list_(F), pa.struct([("x", F), ("y", S)])], ids=str
)
def test_a_number_that_is_not_finite_is_null(
    folder: Any, number: str, reader: str, kind: pa.DataType
) -> None:
    value, expected = number, None
    if pa.types.is_list(kind):
        value, expected = f"[{number}]", [None]
    elif pa.types.is_struct(kind):
        value, expected = f'{{"x": {number}, "y": {number}}}', {"x": None, "y": None}
    line = f'{{"v": {value}}}'
    folder.write("a.json", f"[{line}]" if reader == "json" else line)
    assert [row["v"] for row in folder.rows(reader, "a.json", {"v": kind})] == [expected]


JSON_TYPES = st.recursive(
    st.sampled_from([S, N, F, pa.bool_()]),
    lambda inner: inner.map(pa.list_) | inner.map(lambda kind: pa.struct([("a", kind)])),
    max_leaves=3,
)


def promised(value: Any, kind: pa.DataType) -> bool:
    """Whether docs/spec.md lets a value be read as this type."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return True
    if pa.types.is_list(kind):
        return isinstance(value, list) and all(promised(item, kind.value_type) for item in value)
    if pa.types.is_struct(kind):
        return isinstance(value, dict) and all(promised(value.get(part.name), part.type) for part in kind)
    return not isinstance(value, list | dict)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON, JSON_TYPES, st.sampled_from(["json", "json_lines"]))
def test_any_value_in_any_type_is_what_the_docs_promise_or_an_error_of_its_record(
    folder: Any, value: Any, kind: pa.DataType, reader: str
) -> None:
    text = json.dumps({"v": value})
    folder.write("a.json", f"[{text}]" if reader == "json" else text)
    try:
        (row,) = folder.rows(reader, "a.json", {"v": kind})
    except BadRawError as error:
        assert re.search(r"(record 0|line 1), column 'v'", str(error)), error
        return
    assert promised(value, kind), row
    if pa.types.is_string(kind) and isinstance(value, str):
        assert row["v"] == value


def test_byte_order_mark_gz_and_other_encodings_are_read(folder: Any) -> None:
    text = '[{"v": "é"}]'
    folder.write("bom.json", b"\xef\xbb\xbf" + text.encode())
    folder.write("packed.json.gz", gzip.compress(text.encode()))
    folder.write("wide.json", text.encode("utf-16"))
    folder.write("latin.json", text.encode("latin-1"))
    assert folder.rows("json", "bom.json", {"v": S})[0]["v"] == "é"
    assert folder.rows("json", "packed.json.gz", {"v": S})[0]["v"] == "é"
    assert folder.rows("json", "wide.json", {"v": S}, encoding="utf-16")[0]["v"] == "é"
    assert folder.rows("json", "latin.json", {"v": S}, encoding="latin-1")[0]["v"] == "é"


@pytest.mark.parametrize("cut", range(1, 62))
def test_a_truncated_document_is_never_read_as_whole(folder: Any, cut: int) -> None:
    whole = '{"x": [1, {"y": "\\u00e9"}],\n "data": [{"v": 12.5},\n {"v": "a"}, {"v": null}]}'
    assert len(whole) > cut
    folder.write("a.json", whole[: len(whole) - cut])
    with pytest.raises(BadRawError) as caught:
        folder.rows("json", "a.json", {"data": pa.list_(pa.struct([("v", S)]))}, single=True)
    assert "not valid JSON at byte" in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.line >= 1


def test_truncation_tells_line_and_byte(folder: Any) -> None:
    folder.write("a.json", '[{"é": 1},\n{"v": 2},\n{"v"')
    with pytest.raises(BadRawError, match=r"a.json:3: not valid JSON at byte 26: the file is cut off"):
        folder.rows("json", "a.json", {"v": N})


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "not valid JSON"),
        ("[{} {}]", {}, "expected"),
        ('{"a" 1}', {"single": True}, "expected"),
        ("[{'a': 1}]", {}, "property name"),
        ('[{"a": 1}] {"b": 2}', {}, "more after the end"),
        ('{"a": {"b": 1}}', {"at": "a.c"}, "no key 'c' in a"),
        ("[1]", {"at": "a"}, "no key 'a' in the document"),
        ('{"a": 5}', {"at": "a"}, "neither a list nor an object: 5"),
        ("[5]", {}, "record 0 is not an object: 5"),
        ("[" * 100_000, {}, "nested too deep"),
        ("[" + "9" * 5000 + "]", {}, "integer"),
    ],
)
def test_what_is_no_such_document_is_refused(folder: Any, text: str, options: Any, message: str) -> None:
    folder.write("a.json", text)
    with pytest.raises(BadRawError, match=message):
        folder.rows("json", "a.json", {"v": N}, **options)


def test_text_that_is_not_utf8_tells_line_and_byte(folder: Any) -> None:
    folder.write("a.json", b'[{"v": "a"},\n{"v": "\xe9"}]')
    with pytest.raises(BadRawError, match=r"a.json:2: byte 20 \(0xe9\) is not UTF-8 text"):
        folder.rows("json", "a.json", {"v": S})


def test_no_file_and_wrong_specs_are_told(folder: Any) -> None:
    with pytest.raises(MissingRawError, match="vflan fetch toy"):
        folder.rows("json", "a.json", {"v": S})
    with pytest.raises(SpecError, match="no text encoding"):
        folder.reader("json", "a.json", {"v": S}, encoding="klingon")
    with pytest.raises(SpecError, match="the path already gives it"):
        folder.reader("json", "{v}.json", {"v": S})
    with pytest.raises(BadRawError, match="has no images"):
        folder.reader("json", "a.json").open_image(folder.raw, "a.json#1")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(JSON, max_size=6),
    st.integers(1, 64),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.integers(17, 200),
)
def test_any_window_gives_what_json_loads_gives(
    tmp_path: Path, items: list[Any], chunk: int, ascii_only: bool, indent: int | None, short: int
) -> None:
    text = json.dumps({"skipped": items, "read": items}, ensure_ascii=ascii_only, indent=indent)
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "replace"))
    whole = (tmp_path / "a.json").read_text()
    expected = json.loads(whole, parse_constant=lambda _: None)["read"]
    stream = TextStream(RawDataset(tmp_path, "toy"), "a.json", "utf-8-sig", chunk)
    scanner = JsonScanner(stream)
    found = []
    with patch.object(json_scan, "_SHORT", short):
        for key in scanner.members():
            if key == "read":
                found = [scanner.value() for _ in scanner.items()]
            else:
                scanner.skip()
    assert scanner.peek() == ""
    assert found == expected
    stream.close()


def test_a_long_document_is_read_and_skipped_in_bounded_memory(folder: Any) -> None:
    with (folder.root / "long.json").open("w") as file:
        file.write('{"skipped": [')
        for number in range(200_000):
            file.write(f'{{"n": {number}, "text": "{"x" * 60}"}}, ')
        file.write('0], "read": [')
        file.write(", ".join(f'{{"n": {number}}}' for number in range(50_000)))
        file.write("]}")
    batches = folder.batches(folder.reader("json", "long.json", {"n": N}, at="read"))
    assert sum(batch.num_rows for batch in batches) == 50_000
    assert max(batch.num_rows for batch in batches) <= 8192
    assert batches[-1].to_pylist()[-1]["n"] == 49_999
    scanner = JsonScanner(TextStream(folder.raw, "long.json", "utf-8-sig"))
    longest = 0
    for _ in scanner.members():
        scanner.skip()
        longest = max(longest, len(scanner._text))
    assert longest < 4 << 20


COLUMNS = {"v": S}


def said(folder: Any, reader: str) -> str:
    """What a person is told of the file `a`, "" when it is read."""
    try:
        folder.rows(reader, "a", COLUMNS)
    except BadRawError as error:
        return str(error)
    return ""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=4), st.data())
def test_json_cut_at_any_character_is_called_cut_off(
    folder: Any, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    text = json.dumps([{**row, "v": "text"} for row in rows], indent=data.draw(st.sampled_from([None, 1])))
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    folder.write("a", cut)
    assert "cut off" in said(folder, "json") and "fetch the file again" in said(folder, "json")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=3), min_size=1, max_size=4), st.data())
def test_json_lines_cut_in_the_last_line_are_called_cut_off(
    folder: Any, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    lines = [json.dumps({**row, "v": "text"}) for row in rows]
    last = lines[-1][: data.draw(st.integers(1, len(lines[-1]) - 1))]
    folder.write("a", "\n".join([*lines[:-1], last]) + data.draw(st.sampled_from(["", "\n", "\n\n"])))
    assert "cut off" in said(folder, "json_lines") and "fetch the file again" in said(folder, "json_lines")
    folder.write("a", "\n".join([last, *lines]))
    assert "not valid JSON" in said(folder, "json_lines") and "cut off" not in said(folder, "json_lines")


@pytest.mark.parametrize("text", ['[{"v": tru3}]', '[{"v": "a"}; 1]', "[{'v': 1}]", "[nul]", '["\\u12x"]'])
def test_wrong_json_is_not_called_cut_off(folder: Any, text: str) -> None:
    folder.write("a", text)
    assert said(folder, "json") and "cut off" not in said(folder, "json")


@pytest.mark.parametrize("reader", ["json", "json_lines"])
@pytest.mark.parametrize("opening", ["[", '{"v": '])
def test_json_nested_a_million_deep_is_refused(folder: Any, reader: str, opening: str) -> None:
    closing = {"[": "]"}.get(opening, "}")
    deep = opening * 10**6 + "1" + closing * 10**6
    folder.write("a", f'{{"v": {deep}}}' if reader == "json_lines" else f'[{{"v": {deep}}}]')
    assert "nested too deep" in said(folder, reader)
    # of a column that the table does not declare it is skipped, or refused just so
    folder.write("a", f'{{"v": "x", "w": {deep}}}' if reader == "json_lines" else f'[{{"w": {deep}}}]')
    assert said(folder, reader) == "" or "nested too deep" in said(folder, reader)
