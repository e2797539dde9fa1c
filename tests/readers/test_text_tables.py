import base64
import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_flan.errors import BadRawError, DamagedFileError, MissingRawError, SpecError
from vision_flan.raw.folder import Archive, RawDataset
from vision_flan.readers.reader import TableSpec
from vision_flan.readers.registry import READERS, make_reader

S, N, F = pa.string(), pa.int64(), pa.float64()


def test_files_gives_the_parts_of_each_path_in_order(folder: Any) -> None:
    for path in (
        "train/cat/2.PNG",
        "train/cat/1.png",
        "train/dog/1.png",
        "train/dog/notes.txt",
        "test/dog/1.png",
    ):
        folder.write(path, b"")
    columns = {"split": S, "class": S, "name": S}
    rows = folder.rows("files", "{split}/{class}/{name}", columns, suffixes=[".png"])
    assert [(row["split"], row["class"], row["path"]) for row in rows] == [
        ("test", "dog", "test/dog/1.png"),
        ("train", "cat", "train/cat/1.png"),
        ("train", "cat", "train/cat/2.PNG"),
        ("train", "dog", "train/dog/1.png"),
    ]
    assert all(row["_file"] == row["path"] and row["_index"] == 0 for row in rows)
    assert folder.rows("files", "{a}/{b}/{n:d}.png", {"n": N})[0]["n"] == 1


def test_files_lists_an_archive_of_many_members(folder: Any) -> None:
    with zipfile.ZipFile(folder.root / "x.zip", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number % 7}/{number}.jpg", b"")
    folder.archives = [Archive("x.zip", into="images")]
    batches = folder.batches(folder.reader("files", "images/{class}/{name}.jpg"))
    paths = [path for batch in batches for path in batch.column("path").to_pylist()]
    assert len(paths) == 20_000
    assert paths == sorted(paths)
    assert max(batch.num_rows for batch in batches) <= 8192


def test_files_refuses_columns_that_no_path_gives(folder: Any) -> None:
    with pytest.raises(SpecError, match="'label' is not a part of the path"):
        folder.reader("files", "{class}/{name}.png", {"label": S})
    with pytest.raises(SpecError, match="'path'"):
        folder.reader("files", "{path*}")
    with pytest.raises(MissingRawError, match=r"matches '\{n\}.png' and ends in .png"):
        folder.rows("files", "{n}.png", suffixes=[".png"])
    folder.write("a.png", b"")
    with pytest.raises(BadRawError, match="'a' is not a valid int64"):
        folder.rows("files", "{n}.png", {"n": N})


def test_lines_are_taken_apart_by_the_pattern(folder: Any) -> None:
    folder.write("list.txt", "\ufeffhead\r\n# note\r\na b.jpg 3\r\n\r\nc.jpg -1")
    rows = folder.rows("lines", "list.txt", {"label": N}, line="{path} {label:d}", skip_rows=1, comment="#")
    assert [(row["path"], row["label"], row["_index"]) for row in rows] == [
        ("a b.jpg", 3, 0),
        ("c.jpg", -1, 1),
    ]


def test_lines_without_a_pattern_are_values(folder: Any) -> None:
    folder.write("names.txt.gz", gzip.compress(b"one\ntwo\n\nthree"))
    assert [row["_value"] for row in folder.rows("lines", "names.txt.gz")] == ["one", "two", "three"]


def test_a_line_that_does_not_match_is_an_error_or_counted(folder: Any) -> None:
    folder.write("list.txt", "a 1\nb two\nc 3\n")
    with pytest.raises(BadRawError, match=r"list.txt:2: the line does not match .* 'b two'"):
        folder.rows("lines", "list.txt", line="{path} {n:d}")
    reader = folder.reader("lines", "list.txt", line="{path} {n:d}", on_mismatch="skip")
    assert [row["path"] for batch in folder.batches(reader) for row in batch.to_pylist()] == ["a", "c"]
    assert reader.skipped == 1
    with pytest.raises(BadRawError, match=r"line 2, column 'n': 'two' is not a valid int64"):
        folder.rows("lines", "list.txt", {"n": N}, line="{path} {n}")
    with pytest.raises(SpecError, match="'label' is not a field"):
        folder.reader("lines", "list.txt", {"label": N}, line="{path} {n:d}")
    folder.write("bad.txt", b"ok\n\xff\n")
    with pytest.raises(BadRawError, match=r"bad.txt:2: byte 3 \(0xff\) is not UTF-8"):
        folder.rows("lines", "bad.txt")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), max_size=9),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
def test_lines_read_back_whatever_ends_them(tmp_path: Path, lines: list[str], end: str, closed: bool) -> None:
    (tmp_path / "a.txt").write_bytes((end.join(lines) + (end if closed else "")).encode())
    reader = make_reader(TableSpec("t", "lines", "a.txt"))
    found = [
        row["_value"] for batch in reader.batches(RawDataset(tmp_path, "toy")) for row in batch.to_pylist()
    ]
    assert found == lines


def test_text_is_the_whole_file(folder: Any) -> None:
    folder.write("cap/1.txt", "\ufeffA dog\non a mat\n")
    folder.write("cap/2.txt", "Caf\xe9".encode("latin-1"))
    assert folder.rows("text", "cap/1.txt")[0]["_value"] == "A dog\non a mat\n"
    assert folder.rows("text", "cap/{n:d}.txt", encoding="latin-1")[1] == {
        "n": "2", "_value": "Café", "_file": "cap/2.txt", "_index": 0
    }  # fmt: skip


def test_json_lines_are_read_by_schema(folder: Any) -> None:
    records = [{"id": 1, "c": {"x": [1.5], "y": "n"}, "z": 0}, {"id": 2}, {"c": None}]
    text = "\n\n".join(json.dumps(record) for record in records) + "\n"
    folder.write("a.jsonl", text)
    folder.write("b.jsonl.gz", gzip.compress(text.encode()))
    columns = {"id": N, "c": pa.struct([("x", pa.list_(F)), ("w", S)])}
    for file in ("a.jsonl", "b.jsonl.gz"):
        rows = folder.rows("json_lines", file, columns)
        assert [row["id"] for row in rows] == [1, 2, None]
        assert rows[0]["c"] == {"x": [1.5], "w": None}
        assert [row["_index"] for row in rows] == [0, 1, 2]


def test_json_lines_of_mixed_types_are_converted_from_where_they_mix(folder: Any) -> None:
    lines = [json.dumps({"v": "text " * 40}) for _ in range(60_000)] + ['{"v": 5}', '{"v": true}']
    folder.write("a.jsonl", "\n".join(lines))
    rows = folder.rows("json_lines", "a.jsonl", {"v": S})
    assert len(rows) == 60_002
    assert [row["v"] for row in rows[-2:]] == ["5", "true"]
    assert [row["_index"] for row in rows] == list(range(60_002))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"v": "a"}\n{"v": "b"\n', r"a.jsonl:2:\d+: not valid JSON"),
        (b'{"v": "a"}\n[1]\n', r"a.jsonl:2: the line is not a JSON object"),
        (b'{"v": "a"}\n{"v": "\xff"}\n', r"a.jsonl:2: byte 18 \(0xff\) is not UTF-8"),
    ],
)
def test_a_broken_json_line_tells_its_number(folder: Any, text: bytes, message: str) -> None:
    folder.write("a.jsonl", text)
    with pytest.raises(BadRawError, match=message):
        folder.rows("json_lines", "a.jsonl", {"v": S})


def test_a_json_line_of_the_wrong_type_tells_its_number(folder: Any) -> None:
    folder.write("a.jsonl", '{"v": 1}\n\n{"v": "a"}\n')
    with pytest.raises(BadRawError, match="line 3, column 'v': 'a' is not a valid int64"):
        folder.rows("json_lines", "a.jsonl", {"v": N})


def test_a_json_line_that_is_longer_than_what_arrow_parses_at_a_time_is_read(folder: Any) -> None:
    texts = ["short", "long " * 600_000, "after"]
    folder.write("a.jsonl", "".join(json.dumps({"t": text}) + "\n" for text in texts))
    rows = folder.rows("json_lines", "a.jsonl", {"t": S})
    assert [row["t"] for row in rows] == texts
    assert [row["_index"] for row in rows] == [0, 1, 2]


def test_json_lines_in_another_encoding(folder: Any) -> None:
    folder.write("a.jsonl", '{"v": "é"}\n'.encode("latin-1"))
    assert folder.rows("json_lines", "a.jsonl", {"v": S}, encoding="latin-1")[0]["v"] == "é"
    folder.write("empty.jsonl", "")
    assert folder.rows("json_lines", "empty.jsonl", {"v": S}) == []


def test_delimited_takes_declared_columns_by_their_header(folder: Any) -> None:
    folder.write("a.csv", 'Id,"My name",x\n1,"a, ""b""",9\n2,NA,9\n,,9\n')
    rows = folder.rows("delimited", "a.csv", {"My name": S, "Id": N})
    assert [(row["Id"], row["My name"]) for row in rows] == [(1, 'a, "b"'), (2, "NA"), (None, "")]
    nulls = folder.rows("delimited", "a.csv", {"My name": S}, null_values=["NA"])
    assert [row["My name"] for row in nulls] == ['a, "b"', None, ""]


def test_delimited_options(folder: Any) -> None:
    folder.write("a.tsv", 'q\ta\n"who\tyes\n')
    assert folder.rows("delimited", "a.tsv", {"q": S}, quote=None)[0]["q"] == '"who'
    folder.write("b.csv", "junk\n1;x\n2;y\n")
    b = folder.rows(
        "delimited", "b.csv", {"n": N}, delimiter=";", header=False, names_in_file=["n", "t"], skip_rows=1
    )
    assert [row["n"] for row in b] == [1, 2]
    folder.write("c.csv", "1,x\n")
    assert folder.rows("delimited", "c.csv", {"n": N, "t": S}, header=False)[0]["t"] == "x"
    folder.write("d.csv.gz", gzip.compress('t,u\n"a\nb",é\n'.encode("utf-16")))
    assert folder.rows("delimited", "d.csv.gz", {"t": S, "u": S}, encoding="utf-16", allow_newlines=True) == [
        {"t": "a\nb", "u": "é", "_file": "d.csv.gz", "_index": 0}
    ]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (b"a,b\n1,x\n2\n", {"a": N}, "a.csv:3: .*Expected 2 columns, got 1"),
        (b"a,b\n1,x\nz,y\n", {"a": N}, "a.csv:3: .*invalid value 'z'"),
        (b"a,b\n1,x\n", {"c": N}, "Column 'c' .* does not exist(.|\n)*header begins 'a,b'"),
        (b"a,b\n1,x\n2,\xff\n", {"b": S}, r"a.csv:3: byte 10 \(0xff\) is not UTF-8"),
        (b'a,b\n1,x\n"2,y\n3,z\n', {"b": S}, "a.csv:3: .*this record opens a quote that is never closed"),
        (b'a,b\n1,x\n2,"y\n3,z\n', {"b": S}, "a.csv:3: .*this record opens a quote that is never closed"),
        (b'a,b\n1,x\n2,"y\n3,z\n', {"a": N}, "a.csv:3: .*this record opens a quote that is never closed"),
        (b'a,b\n1,x\n2,"y', {"b": S}, "a.csv:3: .*never closed(.|\n)*fetch the file again"),
        (b'a,b\n1,"x\ny"\n2,z\n', {"b": S}, "a.csv:2: .*a quoted cell spans lines(.|\n)*allow_newlines"),
        (b"", {"b": S}, "a.csv: the file is empty(.|\n)*fetch it again"),
        (b"\n\n", {"b": S}, "a.csv: the file (is empty|has no lines)(.|\n)*fetch it again"),
    ],
)
def test_bad_delimited_text_tells_the_row(folder: Any, text: bytes, columns: Any, message: str) -> None:
    folder.write("a.csv", text)
    with pytest.raises(BadRawError, match=message):
        folder.rows("delimited", "a.csv", columns)


def test_a_lone_quote_inside_a_cell_is_read_as_it_is(folder: Any) -> None:
    folder.write("a.csv", 'a,b\n1,5" pipe\n2,y\n')
    assert [row["b"] for row in folder.rows("delimited", "a.csv", {"b": S})] == ['5" pipe', "y"]


@pytest.mark.parametrize("options", [{"header": False}, {"skip_rows": 3}, {"encoding": "utf-16"}])
def test_an_empty_csv_is_refused_whatever_its_options(folder: Any, options: dict[str, Any]) -> None:
    folder.write("a.csv", "")
    with pytest.raises(BadRawError, match="the file is empty"):
        folder.rows("delimited", "a.csv", {"a": S}, **options)
    folder.write("a.csv.gz", gzip.compress(b""))
    with pytest.raises(BadRawError, match="the file is empty"):
        folder.rows("delimited", "a.csv.gz", {"a": S}, **options)


def test_skipping_all_lines_of_a_csv_names_the_option(folder: Any) -> None:
    folder.write("a.csv", "x\ny\n")
    with pytest.raises(BadRawError, match="skip_rows"):
        folder.rows("delimited", "a.csv", {"a": S}, skip_rows=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", min_codepoint=0x7F, max_codepoint=0xA0), max_size=4)))
@pytest.mark.parametrize("reader", ["delimited", "lines", "json", "json_lines", "text"])
def test_control_characters_in_valid_utf8_are_text(folder: Any, reader: str, texts: list[str]) -> None:
    """U+0085 is a line end to some libraries; in a file it is a character as any other."""
    cells = [f"x{text}y" for text in texts]
    if reader == "json":
        folder.write("a", json.dumps(cells, ensure_ascii=False))
    elif reader == "json_lines":
        folder.write("a", "".join(json.dumps({"_value": cell}, ensure_ascii=False) + "\n" for cell in cells))
    else:
        head = "_value\n" if reader == "delimited" else ""
        folder.write("a", head + "".join(cell + "\n" for cell in cells))
    columns = {} if reader in ("lines", "text") else {"_value": S}
    found = [row["_value"] for row in folder.rows(reader, "a", columns)]
    assert found == (["".join(cell + "\n" for cell in cells)] if reader == "text" else cells)


def test_delimited_wants_scalar_columns(folder: Any) -> None:
    with pytest.raises(SpecError, match="parse it in SQL"):
        folder.reader("delimited", "a.csv", {"v": pa.list_(S)})
    with pytest.raises(SpecError, match="declares no columns"):
        folder.reader("delimited", "a.csv")


def test_delimited_images_in_base64_are_references(folder: Any) -> None:
    images = [bytes([number]) * 5000 for number in range(20)]
    lines = [f"{number}\t{base64.b64encode(image).decode()}" for number, image in enumerate(images)]
    folder.write("a.tsv", "index\timage\n" + "\n".join([*lines, "20\t", "21\t!!"]) + "\n")
    reader = folder.reader("delimited", "a.tsv", {"index": N}, image_column="image", image_encoding="base64")
    rows = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    assert rows[3]["image"] == "@t/a.tsv#3"
    with pytest.raises(DamagedFileError, match="record 21: the image is not base64"):
        reader.open_image(folder.raw, "a.tsv#21")
    assert [reader.open_image(folder.raw, f"a.tsv#{number}") for number in range(20)] == images
    with pytest.raises(DamagedFileError, match="record 20 has no image"):
        reader.open_image(folder.raw, "a.tsv#20")
    with pytest.raises(MissingRawError, match="record 99"):
        reader.open_image(folder.raw, "a.tsv#99")
    only = folder.reader("delimited", "a.tsv", image_column="image")
    assert sum(batch.num_rows for batch in folder.batches(only)) == 22


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.sampled_from([",", "\t", ";", "|"]))
def test_delimited_reads_back_what_the_csv_module_writes(
    tmp_path: Path, cells: list[tuple[str, str]], delimiter: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *cells])
    (tmp_path / "x.csv").write_bytes(out.getvalue().encode())
    reader = make_reader(TableSpec("t", "delimited", "x.csv", {"delimiter": delimiter}, {"a": S, "b": S}))
    rows = [row for batch in reader.batches(RawDataset(tmp_path, "toy")) for row in batch.to_pylist()]
    assert [(row["a"], row["b"]) for row in rows] == cells


def test_an_unknown_reader_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match="readers are binary, delimited"):
        make_reader(TableSpec("t", "excel", "a.xlsx"))
    assert set(READERS) == {
        "files", "json", "json_lines", "delimited", "lines", "text", "parquet", "xml", "matlab", "pickle",
        "idx", "binary", "npz", "lmdb",
    }  # fmt: skip
