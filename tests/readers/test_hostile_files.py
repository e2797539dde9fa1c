"""Damaged and hostile files: each is read, or refused with its name; no reader raises anything else."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import signal
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toy import DATASET, Toy
from vision_flan.errors import BadRawError, VflanError
from vision_flan.readers import matlab_file
from vision_flan.readers.matlab_child import CrashError, MatlabParser
from vision_flan.readers.pickled import restricted_loads

S, N, F = pa.string(), pa.int64(), pa.float64()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><body>Log in</body></html>"
#: reader -> options and columns of a table over one file
TABLES: dict[str, tuple[dict[str, Any], dict[str, pa.DataType]]] = {
    "json": ({}, {"v": S}),
    "json_lines": ({}, {"v": S}),
    "delimited": ({}, {"v": S}),
    "lines": ({}, {}),
    "text": ({}, {}),
    "parquet": ({"image_column": "i"}, {"v": S}),
    "xml": ({}, {"v": S}),
    "matlab": ({"variable": "v"}, {"_value": F}),
    "pickle": ({"images": {"key": "i", "shape": [2, 2], "order": "HW"}}, {"v": S}),
    "idx": ({}, {}),
    "binary": ({"record": {"shape": [2, 2], "dtype": "uint8", "order": "HW"}}, {}),
    "npz": ({"images": {"array": "i"}}, {"v": pa.list_(F)}),
}


def _saved(save: Callable[[Any], None]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def whole_file(reader: str) -> bytes:
    """A small file in the reader's format."""
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    texts = {
        "json": '[{"v": "a"}, {"v": 1}]',
        "json_lines": '{"v": "a"}\n{"v": 1}\n',
        "delimited": 'v,w\n"a",1\n',
    }
    if reader in texts:
        return texts[reader].encode()
    if reader == "matlab":
        savemat = pytest.importorskip("scipy.io").savemat
        return _saved(lambda out: savemat(out, {"v": np.array([[1.0, 2.0]])}))
    table = pa.table({"v": ["a", "b"], "i": [b"x", b"y"]})
    made: dict[str, Callable[[], bytes]] = {
        "lines": lambda: b"a b\nc\n",
        "text": lambda: "caf\xe9".encode(),
        "parquet": lambda: _saved(lambda out: pq.write_table(table, out)),
        "xml": lambda: b"<a><v>x</v></a>",
        "pickle": lambda: pickle.dumps({"v": ["a", "b"], "i": images.reshape(2, 4)}),
        "binary": images.tobytes,
        "idx": lambda: struct.pack(">HBBIII", 0, 8, 3, 2, 2, 2) + images.tobytes(),
        "npz": lambda: _saved(lambda out: np.savez(out, v=np.array([1.0, 2.0]), i=images)),
    }
    return made[reader]()


def read_all(folder: Any, name: str) -> list[Any]:
    """Rows and images of the table over the file `a`."""
    options, columns = TABLES[name]
    reader = folder.reader(name, "a", columns, **options)
    rows = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    if "image" in reader.schema().names:
        for row in rows:
            reference = row["image"].removeprefix("@t/")
            reader.open_image(folder.raw, reference if "#" in reference else reference + "#0")
    return rows


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cut_or_changed_file_is_read_or_refused(folder: Any, name: str, data: st.DataObject) -> None:
    whole = whole_file(name)
    at = data.draw(st.integers(0, len(whole) - 1), "at")
    byte = data.draw(st.none() | st.integers(0, 255), "byte")
    folder.write("a", whole[:at] if byte is None else whole[:at] + bytes([byte]) + whole[at + 1 :])
    try:
        read_all(folder, name)
    except VflanError:
        return


@pytest.mark.parametrize("name", TABLES)
def test_whole_files_are_read(folder: Any, name: str) -> None:
    folder.write("a", whole_file(name))
    assert read_all(folder, name)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("content", "message"), [(POINTER, "a Git LFS pointer"), (PAGE, "a web page")])
def test_what_lies_in_a_files_stead_is_named(folder: Any, name: str, content: bytes, message: str) -> None:
    folder.write("a", content)
    with pytest.raises(BadRawError, match=rf"a: the file is {message}"):
        read_all(folder, name)


@pytest.mark.parametrize("reader", ["json", "json_lines", "delimited", "lines"])
def test_text_named_gz_is_read_whether_or_not_it_is_compressed(folder: Any, reader: str) -> None:
    folder.write("a.gz", whole_file(reader))
    plain = folder.rows(reader, "a.gz", TABLES[reader][1])
    folder.write("a.gz", gzip.compress(whole_file(reader)))
    assert plain and folder.rows(reader, "a.gz", TABLES[reader][1]) == plain


def test_a_header_that_names_a_column_twice_is_refused(folder: Any) -> None:
    folder.write("a", "v,w,v\n1,2,3\n")
    with pytest.raises(BadRawError, match="names the column 'v' twice"):
        folder.rows("delimited", "a", {"v": S})
    assert folder.rows("delimited", "a", {"w": S})[0]["w"] == "2"


def _array_pickle(shape: str, code: str, data: str) -> bytes:
    """A pickle of an array, written by hand."""
    return (
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        f"(I1\n({shape}tcnumpy\ndtype\n(S'{code}'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n{data}tb."
    ).encode()


@pytest.mark.parametrize(
    "payload",
    [
        _array_pickle("I4\n", "O8", "S'AAAAAAAABBBBBBBBCCCCCCCCDDDDDDDD'\n"),
        _array_pickle("I4611686018427387904\n", "u1", "S'a'\n"),
        _array_pickle("I-1\n", "u1", "S'a'\n"),
        _array_pickle("I1099511627776\nI0\n", "u1", "S''\n"),
        b"cnumpy\nndarray\n(I64\ntR.",
        b"cnumpy\nndarray\n((I1\ntS'O'\nS'AAAAAAAA'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\nI0\nI1\ntRS'AAAAAAAA'\ntR.",
        b"c__builtin__\nbytes\n(I8589934592\ntR.",
        b"c__builtin__\nbytearray\n(I8589934592\ntR.",
    ],
)
def test_a_pickle_cannot_make_arrays_of_pointers_or_of_memory_it_does_not_hold(payload: bytes) -> None:
    try:
        made = restricted_loads(payload, "a")
    except BadRawError:
        return
    assert isinstance(made, bytes) or type(made).__name__ == "_Type"  # the bytes themselves, or nothing


def test_an_idx_header_cannot_ask_for_rows_that_no_bytes_back(folder: Any) -> None:
    folder.write("a", struct.pack(">HBBIII", 0, 8, 3, 2**32 - 1, 0, 0))
    with pytest.raises(BadRawError, match="the header says"):
        folder.rows("idx", "a")


@pytest.mark.parametrize("kind", ["storage", "link", "soft", "virtual"])
def test_hdf5_that_reads_another_file_is_refused(folder: Any, kind: str) -> None:
    h5py = pytest.importorskip("h5py")
    secret = folder.root.parent / "secret"
    secret.write_bytes(b"s" * 60)
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other.create_dataset("v", data=np.ones((1, 60)))
    with h5py.File(folder.root / "a", "w") as file:
        if kind == "storage":
            file.create_dataset("v", (1, 60), dtype="u1", external=[(str(secret), 0, 60)])
        elif kind == "link":
            file["v"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/v")
        elif kind == "soft":
            file["#refs#"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/")
            file["v"] = h5py.SoftLink("/#refs#/v")
        else:
            layout = h5py.VirtualLayout((1, 60), "f8")
            layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "v", (1, 60))
            file.create_virtual_dataset("v", layout)
    with pytest.raises(BadRawError, match="another file"):
        folder.rows("matlab", "a", {"_value": F}, variable="v")


def test_a_matlab_character_matrix_loses_its_padding(folder: Any) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    folder.write("a", _saved(lambda out: savemat(out, {"v": np.array(["cat", "horse"])})))
    rows = folder.rows("matlab", "a", {"_value": S}, variable="v")
    assert [row["_value"] for row in rows] == ["cat", "horse"]


@pytest.mark.parametrize("reader", ["delimited", "lines", "text"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_text_of_windows_is_told_with_its_encoding(folder: Any, reader: str, encoding: str) -> None:
    folder.write("a", "v\nit\u2019s\n".encode("cp1252"))
    columns = {"v": S} if reader == "delimited" else {}
    with pytest.raises(BadRawError, match=r"a:2: byte 4 \(0x92\)(.|\n)*encoding: cp1252"):
        folder.rows(reader, "a", columns, encoding=encoding)
    assert "it\u2019s" in str(folder.rows(reader, "a", columns, encoding="cp1252"))


@pytest.mark.parametrize("reader", ["delimited", "json", "json_lines", "lines", "text", "parquet"])
def test_a_text_with_nul_is_read_as_it_is(folder: Any, reader: str) -> None:
    if reader == "parquet":
        pq.write_table(pa.table({"v": ["x", "a\0b"], "i": [b"x", b"y"]}), folder.root / "a")
    else:
        nul = {"json": '[{"v": "a\\u0000b"}]', "json_lines": '{"v": "a\\u0000b"}', "delimited": "v\na\0b\n"}
        folder.write("a", nul.get(reader, "a\0b\n"))
    assert "a\\x00b" in str(read_all(folder, reader))


def test_parquet_text_that_is_no_utf8_is_refused(folder: Any) -> None:
    pq.write_table(
        pa.table({"v": ["plain words"]}), folder.root / "a", compression="none", use_dictionary=False
    )
    folder.write("a", (folder.root / "a").read_bytes().replace(b"plain", b"pl\xffin"))
    with pytest.raises(BadRawError, match="not valid Parquet"):
        folder.rows("parquet", "a", {"v": S})


@pytest.mark.parametrize("name", ["idx", "binary"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 16), mask=st.integers(0, 255))
def test_arrays_in_a_cut_or_changed_gzip_are_read_or_refused(
    folder: Any, name: str, at: int, mask: int
) -> None:
    packed = bytearray(gzip.compress(whole_file(name)))
    packed[at % len(packed)] ^= mask
    folder.write("a.gz", packed if mask else packed[: at % len(packed)])
    options, columns = TABLES[name]
    reader = folder.reader(name, "a.gz", columns, **options)
    try:
        for batch in folder.batches(reader):
            for row in batch.to_pylist():
                reader.open_image(folder.raw, row["image"].removeprefix("@t/"))
    except VflanError:
        return


CSV = "name,color\n" + "".join(f"{number:04}.png,{'rgby'[number % 4]}\n" for number in range(12))
ROWS = [json.dumps({"name": f"{number:04}.png", "color": "rgby"[number % 4]}) for number in range(12)]


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        ("delimited", "", "toy.json: the file is empty\n  next: fetch it again"),
        (
            "delimited",
            CSV.replace(",b", ',"b', 1),
            "toy.json:4: not valid delimited text: this record opens",
        ),
        (
            "delimited",
            CSV + '0000.png,"r',
            "toy.json:14: not valid delimited text: this record opens",
        ),
        ("json", "[" + ",".join(ROWS)[:200], "the file is cut off"),
        ("json_lines", "\n".join(ROWS)[:-10], "toy.json:12:22: not valid JSON: the file is cut off"),
        ("json", '[{"name": ' + "[" * 10**6 + "]" * 10**6 + "}]", "values are nested too deep"),
    ],
)
def test_a_compile_of_a_broken_table_says_what_to_do(
    toy: Toy, compile_toy: Any, reader: str, content: str, message: str
) -> None:
    toy.write_specs(DATASET.replace("reader: json", f"reader: {reader}"))
    whole = {"delimited": CSV, "json": f"[{','.join(ROWS)}]", "json_lines": "\n".join(ROWS)}[reader]
    (toy.raw / "toy/toy.json").write_text(whole)
    assert compile_toy()[0] == 0
    (toy.raw / "toy/toy.json").write_text(content)
    code, shown = compile_toy()
    assert code == 4 and message in shown, shown
    assert "Traceback" not in shown


def test_a_matlab_file_that_crashes_its_parser_is_an_error_and_the_next_one_is_read(folder: Any) -> None:
    name = "matlab"
    folder.write("a", whole_file(name))
    before = read_all(folder, name)
    process = matlab_file._PARSER._process
    assert process is not None
    process.kill()
    process.wait()
    assert read_all(folder, name) == before
    with pytest.raises(CrashError):
        _crash(MatlabParser())


def _crash(parser: MatlabParser) -> None:
    """Have the child crash between a request and its answer."""
    child = parser._running()
    child.send_signal(signal.SIGSTOP)

    def crash() -> None:
        child.send_signal(signal.SIGSEGV)
        child.send_signal(signal.SIGCONT)

    threading.Timer(0.5, crash).start()
    parser.parse(b"anything", None)


def test_a_parser_that_the_system_kills_is_asked_once_more(folder: Any) -> None:
    folder.write("a", whole_file("matlab"))
    before = read_all(folder, "matlab")
    child = matlab_file._PARSER._running()
    child.send_signal(signal.SIGSTOP)
    threading.Timer(0.3, child.kill).start()
    assert read_all(folder, "matlab") == before
