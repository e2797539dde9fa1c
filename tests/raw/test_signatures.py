"""What a file is, by its first bytes, against files written by the libraries of each format."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision_flan.raw.signatures import ALLOWED, NEVER, looks_like, what_it_is_not


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    return buffer.getvalue()


def _tar(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return buffer.getvalue()


def _old_tar() -> bytes:
    block = bytearray(_tar(tarfile.USTAR_FORMAT))
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    return bytes(block)


def _image(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, form)
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), buffer)
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1))
    return buffer.getvalue()


FILES = {
    "a.zip": _zip(),
    "a.tar": _tar(tarfile.PAX_FORMAT),
    "gnu.tar": _tar(tarfile.GNU_FORMAT),
    "v7.tar": _old_tar(),
    "a.tar.gz": gzip.compress(b"a"),
    "a.tgz": gzip.compress(b"a"),
    "a.bz2": bz2.compress(b"a"),
    "a.xz": lzma.compress(b"a"),
    "a.jpg": _image("JPEG"),
    "a.png": _image("PNG"),
    "a.parquet": _parquet(),
    "a.npy": _npy(),
    "a.json": b'\xef\xbb\xbf {"images": []}',
    "list.json": b"\n[1]",
    "a.csv": b"id,name\n1,b\n",
    "a.txt": "é".encode(),
    "utf16.csv": "id,name".encode("utf-16"),
    "a.xml": b"<annotation><folder>a</folder></annotation>",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_format_is_what_its_name_says(name: str) -> None:
    assert what_it_is_not(name, FILES[name][:4096]) == ""


@pytest.mark.parametrize("name", FILES)
def test_html_is_never_a_data_file(name: str) -> None:
    page = b"\n<!-- x --><HTML lang=en><title>Sign in</title>"
    assert what_it_is_not(name, page) == f"an HTML page, not .{name.split('.')[-1]}"


@pytest.mark.parametrize("other", ["a.tar", "a.tar.gz", "a.json", "a.csv"])
def test_one_archive_under_the_name_of_another_is_said(other: str) -> None:
    assert what_it_is_not("a.zip", FILES[other][:4096]).endswith(", not .zip")


@given(st.binary(max_size=600))
def test_any_bytes_have_an_answer_and_junk_is_refused_under_every_name(head: bytes) -> None:
    kind = looks_like(head)
    assert kind
    if kind in NEVER:
        html_names = (".html", ".htm")
        assert all(what_it_is_not(f"a{s}", head) for s in [*ALLOWED, ".bin"] if s not in html_names)
