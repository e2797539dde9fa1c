"""Decompression bombs: refused before they take the memory that they ask for."""

from __future__ import annotations

import gzip
import io
import resource
import struct
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vision_flan.errors import BadRawError
from vision_flan.readers import whole
from vision_flan.readers.whole import LARGEST, refuse_bomb

F = pa.float64()


def npz_of(member: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.npy", member)
    return sink.getvalue()


def npy_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    sink = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(sink, header)
    return sink.getvalue()


def peak() -> int:
    """Bytes of memory that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_an_npz_whose_index_says_more_than_the_limit_is_refused_unread(folder: Any) -> None:
    data = bytearray(npz_of(npy_header((4,)) + bytes(32)))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 0xFFFFFFF0)
    folder.write("a.npz", data)
    with pytest.raises(BadRawError, match="grows to 4,294,967,280 bytes"):
        folder.rows("npz", "a.npz", {"v": pa.list_(F)})
    with pytest.raises(BadRawError, match="more than 4 GiB"):
        refuse_bomb(LARGEST + 1, LARGEST, "the file", "a")


def test_an_npz_whose_header_says_more_than_its_index_is_refused_unread(folder: Any) -> None:
    folder.write("a.npz", npz_of(npy_header((1 << 40,)) + bytes(64)))
    with pytest.raises(BadRawError, match=r"an array of shape \[1099511627776\] with 64 bytes"):
        folder.rows("npz", "a.npz", {"v": pa.list_(F)})


def test_an_npz_that_inflates_to_more_than_its_index_says_takes_no_more(folder: Any) -> None:
    member = npy_header((4,)) + bytes(32)
    data = bytearray(npz_of(member + bytes(600 << 20)))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, len(member))
    folder.write("a.npz", data)
    before = peak()
    with pytest.raises(BadRawError, match="not a valid npz file"):
        folder.rows("npz", "a.npz", {"v": pa.list_(F)})
    assert peak() - before < 64 << 20


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_arrays_of_an_npz_come_back_as_saved(folder: Any, shape: tuple[int, ...], order: Any) -> None:
    array = np.asarray(np.arange(int(np.prod(shape)), dtype=">i4").reshape(shape), order=order)
    np.savez_compressed(folder.root / "a.npz", v=array)
    kind: pa.DataType = F
    for _ in shape:
        kind = pa.list_(kind)
    assert folder.rows("npz", "a.npz", {"v": kind})[0]["v"] == array.tolist()


@pytest.mark.parametrize("reader", ["idx", "binary"])
def test_a_gzip_bomb_is_refused_at_the_ratio_no_dataset_has(
    folder: Any, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "_ANY_RATIO", 8 << 20)
    folder.write("a.gz", gzip.compress(bytes(64 << 20)))
    options = {"record": {"dtype": "uint8"}} if reader == "binary" else {}
    with pytest.raises(BadRawError, match="this looks like a decompression bomb"):
        folder.rows(reader, "a.gz", {"_value": pa.int64()}, **options)


@pytest.mark.parametrize("reader", ["pickle", "npz", "xml", "idx"])
def test_a_file_larger_than_the_limit_is_not_read_into_memory(
    folder: Any, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "LARGEST", 1 << 20)
    with (folder.root / "a").open("wb") as file:
        file.truncate(1 << 34)  # a hole: takes no disk
    before = peak()
    columns = {} if reader == "idx" else {"v": F}
    with pytest.raises(BadRawError, match="the most that is read into memory"):
        folder.rows(reader, "a", columns)
    assert peak() - before < 64 << 20
