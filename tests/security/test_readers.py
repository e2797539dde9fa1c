"""Raw files that are more than they say, each as the table of a task: one command compiles them all, and each
fails as a fault of its file."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import io
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.security.conftest import Victim
from tests.security.test_files import npy, zipped
from tests.toy import DATASET, INSTRUCTION, TASK

# --- MATLAB 5


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    return struct.pack("<II", kind, len(data) if size is None else size) + data + b"\0" * (-len(data) % 8)


def matrix(kind: int, shape: list[int], data: bytes, name: bytes = b"v") -> bytes:
    return element(
        14,
        element(6, struct.pack("<II", kind, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + element(1, name)
        + data,
    )


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(elements)


NUMBER = element(9, struct.pack("<d", 1))


def cells(depth: int) -> bytes:
    made = matrix(6, [1, 1], NUMBER, b"")
    for level in range(depth):
        made = matrix(1, [1, 1], made, b"v" if level == depth - 1 else b"")
    return made


# --- MATLAB 7.3


def hdf5(write: Callable[[Any, Any], object]) -> Callable[[], bytes]:
    def made() -> bytes:
        h5py = pytest.importorskip("h5py")
        out = io.BytesIO()
        with h5py.File(out, "w") as file:
            write(h5py, file)
        return out.getvalue()

    return made


def multiplying_references(h5py: Any, file: Any) -> None:
    store = file.create_group("#refs#")
    last = store.create_dataset("x0", data=np.ones((1, 1)))
    for level in range(1, 30):
        last = store.create_dataset(f"x{level}", data=np.array([[last.ref] * 10], dtype=h5py.ref_dtype))
    file.create_dataset("v", data=np.array([[last.ref]], dtype=h5py.ref_dtype))


def multiplying_structs(h5py: Any, file: Any) -> None:
    last = file.create_group("#refs#/x0")
    last.create_dataset("a", data=np.ones((1, 1)))
    for level in range(1, 40):
        made = file.create_group(f"#refs#/x{level}")
        made["a"] = made["b"] = last
        last = made
    file["v"] = last


def reference_to_itself(h5py: Any, file: Any) -> None:
    made = file.create_dataset("v", (1, 1), dtype=h5py.ref_dtype)
    made[0, 0] = made.ref


def struct_in_itself(h5py: Any, file: Any) -> None:
    made = file.create_group("v")
    made["a"] = made


def filtered(h5py: Any, file: Any) -> None:
    """Data behind a filter that a shared library would have."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((1, 8))
    plan.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((1, 8))
    h5py.h5d.create(file.id, b"v", h5py.h5t.NATIVE_UINT8, space, plan).write_direct_chunk((0, 0), b"12345678")


# --- the others


def parquet(column: pa.Array, **metadata: bytes) -> bytes:
    out = io.BytesIO()
    field = pa.field(
        "v", column.type, metadata={f"ARROW:extension:{k}": v for k, v in metadata.items()} or None
    )
    pq.write_table(pa.table([column], schema=pa.schema([field])), out)
    return out.getvalue()


def with_rows(count: bytes) -> bytes:
    """A Parquet file of 1,000 rows whose footer says another number."""
    data = parquet(pa.array([str(number) for number in range(1000)]))
    size = struct.unpack("<I", data[-8:-4])[0]
    footer = data[-8 - size : -8].replace(b"\x16\xd0\x0f", b"\x16" + count)
    return data[: -8 - size] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def deep_schema(depth: int) -> bytes:
    def group(name: bytes, children: int) -> bytes:
        return b"\x35\x02\x18" + bytes([len(name)]) + name + b"\x15" + bytes([children * 2]) + b"\0"

    leaf = b"\x15\x02\x25\x02\x18\x01b\0"
    count = depth + 2
    number = bytes([count & 127 | 128, count >> 7 & 127 | 128, count >> 14])
    footer = b"\x15\x02\x19\xfc" + number + group(b"schema", 1) + group(b"v", 1) * depth + leaf
    footer += b"\x16\0\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def nested(kind: type, depth: int) -> bytes:
    value: Any = ["a"] if kind is list else {"a": 1}
    for _ in range(depth):
        value = [value, value] if kind is list else {"a": value, "b": value}
    return pickle.dumps({"v": [value]}, 4)


def in_itself() -> bytes:
    value: list[object] = []
    value.append({"a": value})
    return pickle.dumps({"v": value}, 4)


NO_LETTERS = np.frombuffer(b"\xff" * 64, "<U16")
LISTS, NUMBERS, TEXT = "VARCHAR[]", "DOUBLE[]", "VARCHAR"
#: What must not be read -> reader and options, type of the column, the file's bytes, what is said of it.
ATTEMPTS: dict[str, tuple[str, str, Callable[[], bytes], str]] = {
    "a MATLAB element longer than its file": ("matlab", TEXT, lambda: mat(matrix(6, [1, 1], element(9, b"\0" * 8, 0x7FFFFFFF))), "not a valid MATLAB"),
    "a MATLAB matrix of 2^60": ("matlab", TEXT, lambda: mat(matrix(6, [1 << 30, 1 << 30], NUMBER)), "not a valid MATLAB"),
    "a MATLAB matrix below nothing": ("matlab", TEXT, lambda: mat(matrix(6, [-1, -5], NUMBER)), "not a valid MATLAB"),
    "a MATLAB cell of a billion": ("matlab", TEXT, lambda: mat(matrix(1, [1, 1 << 30], b"")), "not a valid MATLAB"),
    "MATLAB cells in cells": ("matlab", TEXT, lambda: mat(cells(700)), "not a valid MATLAB"),
    "a sparse MATLAB matrix of 2^60": (
        "matlab", TEXT, lambda: mat(matrix(5, [1 << 30, 1 << 30], element(5, b"\0" * 4) + element(5, b"\0" * 8) + NUMBER)), "not a valid MATLAB",
    ),
    "a MATLAB struct of names without length": ("matlab", TEXT, lambda: mat(matrix(2, [1, 1], element(5, b"\0" * 4) + element(1, b"a" * 32))), "not a valid MATLAB"),
    "a MATLAB 4 matrix of 2^60": ("matlab", TEXT, lambda: struct.pack("<5i", 0, 1 << 30, 1 << 30, 0, 2) + b"v\0" + b"\0" * 100, "not a valid MATLAB"),
    "HDF5 references that multiply": ("matlab", TEXT, hdf5(multiplying_references), "again and again"),
    "HDF5 structs that multiply": ("matlab", TEXT, hdf5(multiplying_structs), "again and again"),
    "an HDF5 reference to itself": ("matlab", TEXT, hdf5(reference_to_itself), "not a valid MATLAB"),
    "an HDF5 struct in itself": ("matlab", TEXT, hdf5(struct_in_itself), "not a valid MATLAB"),
    "HDF5 chunks that are not there": (
        "matlab", TEXT, hdf5(lambda _, file: file.create_dataset("v", (1, 1_600_000_000), dtype="u1", chunks=(1, 1 << 20), compression="gzip")), "its values take",
    ),
    "an HDF5 dataset of 2^40": ("matlab", TEXT, hdf5(lambda _, file: file.create_dataset("v", (1, 1 << 40), dtype="u1", chunks=(1, 1 << 20))), "its values take"),
    "HDF5 texts of a gigabyte": ("matlab", TEXT, hdf5(lambda _, file: file.create_dataset("v", (1, 4), dtype="S900000000", chunks=(1, 1))), "its values take"),
    "an HDF5 filter in a shared library": ("matlab", TEXT, hdf5(filtered), "not a valid MATLAB"),
    "an HDF5 reference to nothing": ("matlab", TEXT, hdf5(lambda h5py, file: file.create_dataset("v", (1, 2), dtype=h5py.ref_dtype)), "not a valid MATLAB"),
    "HDF5 letters beyond Unicode": (
        "matlab", TEXT, hdf5(lambda _, file: file.create_dataset("v", data=np.array([[1 << 21]], "u4")).attrs.update({"MATLAB_class": np.bytes_("char")})), "not a valid MATLAB",
    ),
    "an HDF5 dataset without values": ("matlab", TEXT, hdf5(lambda h5py, file: file.create_dataset("v", data=h5py.Empty("f8"))), "not a valid MATLAB"),
    "lists in a pickle that multiply": ("pickle", TEXT, lambda: nested(list, 40), "the most that is read"),
    "dicts in a pickle that multiply": ("pickle", TEXT, lambda: nested(dict, 40), "the most that is read"),
    "texts in a pickle that multiply": ("pickle", TEXT, lambda: pickle.dumps({"v": ["x" * 100_000] * 100_000}, 4), "the most that is read"),
    "a list in a pickle that holds itself": ("pickle", TEXT, in_itself, "holds itself"),
    "text in a pickle that is none": ("pickle", TEXT, lambda: pickle.dumps({"v": NO_LETTERS}, 4), "no characters"),
    "a pickle of an extension": ("pickle", TEXT, lambda: b"\x80\x02\x82\x01.", "not a valid pickle"),
    "a pickle of something elsewhere": ("pickle", TEXT, lambda: b"\x80\x02U\x01aQ.", "not a valid pickle"),
    "a pickle of a frame of 2^63": ("pickle", TEXT, lambda: b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f].", "it claims"),
    "text in an npz that is none": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': '<U16', 'fortran_order': False, 'shape': (1,)}")[:-64] + b"\xff" * 64)), "no characters"),
    "text in a struct that is none": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': [('a', '>U16')], 'fortran_order': False, 'shape': (1,)}")[:-64] + b"\xff" * 64)), "no characters"),
    "an npz of nothing, 2^60 times": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': '|S0', 'fortran_order': False, 'shape': (1048576, 1048576, 1048576)}")[:-64])), "an array of shape"),
    "an npz of objects in structs": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (4,)}"))), "not a valid pickle"),
    "an npz of arrays of 2^60": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': ('<f8', (1000000000, 1000000)), 'fortran_order': False, 'shape': (0,)}"))), "not a valid npz"),
    "an npz of 40 dimensions": ("npz", LISTS, lambda: zipped(("v.npy", npy("{'descr': '<f8', 'fortran_order': 0 > 1, 'shape': ()}"))), "not a valid npz"),
    "an npz whose header nests": ("npz", LISTS, lambda: zipped(("v.npy", b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"[" * 9000)), "npz"),
    "an npz whose header is 90 MB": ("npz", LISTS, lambda: zipped(("v.npy", b"\x93NUMPY\2\0" + struct.pack("<I", 90_000_000) + b"(" * 90_000_000)), "not a valid npz"),
    "a Parquet file of negative rows": ("parquet", TEXT, lambda: with_rows(b"\x01"), "not valid Parquet"),
    "a Parquet schema that nests": ("parquet", TEXT, lambda: deep_schema(100_000), "not valid Parquet"),
    "a Parquet dictionary that multiplies": (
        "parquet", TEXT, lambda: parquet(pa.DictionaryArray.from_arrays(pa.array(np.zeros(300_000, np.int32)), pa.array(["x" * 300_000]))), "more memory than there is",
    ),
    "a Parquet tensor of 2^43": ("parquet", TEXT, lambda: parquet(pa.array([[1, 2]], pa.list_(pa.int64(), 2)), name=b"arrow.fixed_shape_tensor", metadata=b'{"shape":[1000000,10000000]}'), "not valid Parquet"),
    "a Parquet type whose words are cut": ("parquet", TEXT, lambda: parquet(pa.array(["a"]), name=b"arrow.opaque", metadata=b"{bad"), "not valid Parquet"),
    "a Parquet image by its path": ("parquet", TEXT, lambda: parquet(pa.array([{"path": "/etc/hostname", "bytes": None}])), "is not a valid"),
    "JSON of a number of 100,000 digits": ("json", TEXT, lambda: b'[{"v":' + b"9" * 100_000 + b"}]", "not valid JSON"),
    "JSON lines of a number of 5,000 digits": ("json_lines", TEXT, lambda: b'{"v":' + b"9" * 5000 + b"}\n", "not valid JSON"),
    "JSON of half a pair in bytes": ("json", TEXT, lambda: b'[{"v":"\xed\xa0\x80"}]', "is not UTF-8"),
    "JSON of another encoding": ("json", TEXT, lambda: '[{"v":"a"}]'.encode("utf-16"), "is not UTF-8"),
    "JSON of two documents": ("json", TEXT, lambda: b'[{"v":"a"}][{"v":"a"}]', "after the end"),
    "JSON of objects in objects": ("json", TEXT, lambda: b'[{"v":' + b'{"a":' * 990 + b"1" + b"}" * 990 + b"}]", "nested too deep"),
    "CSV of a million columns": ("delimited", TEXT, lambda: b",".join(b"c%d" % n for n in range(1_000_000)) + b",v\n" + b"," * 1_000_000 + b"a\n", "not valid delimited"),
    "CSV of a row of a million commas": ("delimited", TEXT, lambda: b"v\n" + b"," * 1_000_000 + b"\n", "not valid delimited"),
    "CSV of a line of 100 MB of quotes": ("delimited", TEXT, lambda: b"v\n" + b'""' * 20_000_000 + b"\n", "not valid delimited"),
    "CSV of a header with NUL": ("delimited", TEXT, lambda: b"v\0\na\n", "not valid delimited"),
    "CSV of another encoding": ("delimited", TEXT, lambda: "v\na\n".encode("utf-16"), "is not UTF-8"),
    "XML of an attribute twice": ("xml", TEXT, lambda: b'<a v="1" v="2"/>', "not valid XML"),
    "XML of an entity of parameters": ("xml", TEXT, lambda: b'<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/hostname">%x;]><a><v>x</v></a>', "entities"),
    "XML of NUL": ("xml", TEXT, lambda: b"<a><v>&#0;</v></a>", "not valid XML"),
    "XML of half a pair": ("xml", TEXT, lambda: b"<a><v>&#xD800;</v></a>", "not valid XML"),
    "XML of a compressed encoding": ("xml", TEXT, lambda: b'<?xml version="1.0" encoding="bz2_codec"?><a><v>x</v></a>', "not valid XML"),
    "XML of an encoding of 100,000 letters": ("xml", TEXT, lambda: b'<?xml version="1.0" encoding="' + b"a" * 100_000 + b'"?><a><v>x</v></a>', "not valid XML"),
    "an IDX file of no rows and 2^31 columns": ("idx", NUMBERS, lambda: struct.pack(">HBBII", 0, 8, 2, 0, 1 << 31), "array of shape"),
    "an IDX file of 2^31 empty rows": ("idx", "", lambda: struct.pack(">HBBII", 0, 8, 2, 1 << 31, 0), "the header says"),
    "an LMDB file of pages of no size": ("lmdb", "", lambda: struct.pack("=QHHHHII", 0, 0, 8, 0, 0, 0xBEEFC0DE, 1) + b"\0" * 400, "not a valid LMDB"),
    "a file of 20 GB that is not there": ("xml", TEXT, lambda: b"<a><v>", "more memory than there is"),
}  # fmt: skip


def add(victim: Victim, number: int, attempt: str) -> None:
    """A dataset with a table over the file, and a task on it."""
    reader, kind, made, _ = ATTEMPTS[attempt]
    slug, name = f"a{number:03}", "x.lmdb/data.mdb" if reader == "lmdb" else "x"
    path = victim.raw / slug / name
    path.parent.mkdir(parents=True)
    path.write_bytes(made())
    if "20 GB" in attempt:
        os.truncate(path, 20 << 30)
    column = "_value" if reader in ("matlab", "idx") else "v"
    columns = f", columns: {{{column}: {kind!r}}}" if kind else ""
    options = ", variable: v" if reader == "matlab" else ""
    table = f"{{reader: {reader}, file: {name}{options}{columns}}}"
    dataset = DATASET.replace("dataset: toy", f"dataset: {slug}").replace(
        "{reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}", table
    )
    sql = "sql: SELECT _index::VARCHAR AS name, 'r' AS color FROM records WHERE _file IS NOT NULL"
    if kind:
        sql = f"sql: SELECT _index::VARCHAR AS name, {column}::VARCHAR AS color FROM records"
    task = TASK.replace("id: toy_color", f"id: {slug}").replace("dataset: toy", f"dataset: {slug}")
    (victim.specs / slug).mkdir()
    (victim.specs / slug / "dataset.yaml").write_text(dataset)
    (victim.specs / slug / f"{slug}.yaml").write_text(
        task.replace("table: records", sql).replace("alias: Toy+color", "alias: null")
    )
    (victim.instructions / f"{slug}.j2").write_text(INSTRUCTION)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, warm: object) -> tuple[int, dict[str, Any]]:
    """What `vflan compile --keep-going` says of all of them."""
    victim = Victim(tmp_path_factory.mktemp("readers"), warm)  # type: ignore[arg-type]
    tasks = []
    for number, attempt in enumerate(ATTEMPTS):
        add(victim, number, attempt)
        tasks += ["--task", f"a{number:03}"]
    folders = ["--raw", str(victim.raw), "--out", str(victim.out)]
    code, text = victim.vflan("compile", *tasks, *folders, "--keep-going", "--json")
    victim.is_unharmed()
    assert "Traceback" not in text
    lines = Path(victim.root / "stdout").read_text()
    return code, {one["task"]: one for one in json.loads(lines)}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_table_is_read_from(said: tuple[int, dict[str, Any]], attempt: str) -> None:
    code, facts = said
    assert code == 4
    found = facts[f"a{list(ATTEMPTS).index(attempt):03}"]
    error = found["error"]
    assert ATTEMPTS[attempt][3] in error["message"], error
    assert error["code"] == 4, error
    assert len(error["message"]) < 2000
