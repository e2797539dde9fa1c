"""Links, devices and raw files that are not what they say."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.security.conftest import SECRET, Victim

# --- specs


def as_link(path: Path, to: Path | str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def folder_as_link(folder: Path, to: Path) -> None:
    folder.rename(to)
    folder.symlink_to(to)


#: What must not be read as a spec -> how it gets there.
SPECS: dict[str, Callable[[Victim], object]] = {
    "an instruction that links to a file of the user": lambda v: as_link(
        v.instructions / "toy_color.j2", v.secret
    ),
    "an instruction that links to a device": lambda v: as_link(v.instructions / "toy_color.j2", "/dev/zero"),
    "an instruction that links to itself": lambda v: as_link(v.instructions / "toy_color.j2", "toy_color.j2"),
    "an instruction that links to nothing": lambda v: as_link(v.instructions / "toy_color.j2", "nowhere"),
    "an instruction that is a pipe": lambda v: (
        (v.instructions / "toy_color.j2").unlink(),
        os.mkfifo(v.instructions / "toy_color.j2"),
    ),
    "an instruction that is a folder": lambda v: (
        (v.instructions / "toy_color.j2").unlink(),
        (v.instructions / "toy_color.j2").mkdir(),
    ),
    "an instruction of 20 GB": lambda v: os.truncate(v.instructions / "toy_color.j2", 20 << 30),
    "instructions that are elsewhere": lambda v: folder_as_link(v.instructions, v.root / "elsewhere"),
    "a task that links to a file of the user": lambda v: as_link(v.specs / "toy/toy_color.yaml", v.secret),
    "a task that links to a device": lambda v: as_link(v.specs / "toy/toy_color.yaml", "/dev/zero"),
    "a task that links to random bytes": lambda v: as_link(v.specs / "toy/toy_color.yaml", "/dev/urandom"),
    "a task that links to the terminal": lambda v: as_link(v.specs / "toy/toy_color.yaml", "/dev/tty"),
    "a task that links to a file of the kernel": lambda v: as_link(
        v.specs / "toy/toy_color.yaml", "/proc/self/environ"
    ),
    "a task of 20 GB": lambda v: os.truncate(v.specs / "toy/toy_color.yaml", 20 << 30),
    "a dataset that links to a file of the user": lambda v: as_link(v.specs / "toy/dataset.yaml", v.secret),
    "a dataset that links to a device": lambda v: as_link(v.specs / "toy/dataset.yaml", "/dev/zero"),
    "a dataset that is a pipe": lambda v: (
        (v.specs / "toy/dataset.yaml").unlink(),
        os.mkfifo(v.specs / "toy/dataset.yaml"),
    ),
    "a folder of specs that is elsewhere": lambda v: folder_as_link(v.specs / "toy", v.root / "elsewhere"),
    "a label table that links to a file of the user": lambda v: (
        as_link(v.specs / "toy/table.yaml", v.secret),
        with_table(v, "table.yaml"),
    ),
    "a label table that links to a device": lambda v: (
        as_link(v.specs / "toy/table.yaml", "/dev/zero"),
        with_table(v, "table.yaml"),
    ),
    "a label table of the user by its path": lambda v: with_table(v, str(v.secret)),
    "a label table of the user by going up": lambda v: with_table(v, "../../../home/id_rsa"),
    "a label table of 20 GB": lambda v: (
        (v.specs / "toy/table.yaml").write_text("r: red\n"),
        os.truncate(v.specs / "toy/table.yaml", 20 << 30),
        with_table(v, "table.yaml"),
    ),
}


def with_table(victim: Victim, name: str) -> None:
    victim.replace("form: options", f"form: options\nlabels: {{colors: {name}}}")


@pytest.mark.parametrize("attempt", SPECS)
@pytest.mark.parametrize("command", ["compile", "validate", "preview"])
def test_nothing_reads(victim: Victim, attempt: str, command: str) -> None:
    SPECS[attempt](victim)
    arguments = {
        "compile": (),
        "validate": ("validate", "toy_color"),
        "preview": ("preview", "toy_color", "--raw", str(victim.raw)),
    }
    victim.refuses(*arguments[command])
    assert not list((victim.root / "here").iterdir())


@pytest.mark.parametrize("attempt", [name for name in SPECS if "device" in name or "pipe" in name])
def test_the_list_does_not_read(victim: Victim, attempt: str) -> None:
    SPECS[attempt](victim)
    for command in (("list",), ("show", "toy_color"), ("validate", "--all", "--not-rendered")):
        code, said = victim.vflan(*command)
        assert code in (0, 1)
        assert "Traceback" not in said
    victim.is_unharmed()


# --- names and patterns of raw files

PATHS = {
    "up": "../home/id_rsa",
    "far up": "../../../../../../etc/passwd",
    "from the root": "/etc/passwd",
    "up in the middle": "images/../../../home/id_rsa",
    "by a drive": "C:/secret",
    "by a backslash": "images\\\\..\\\\..\\\\secret",
    "by NUL": "images/a\\0b",
    "by a name of 300 characters": "x" * 300,
    "by a path of 10,000 characters": "x/" * 5000 + "y",
    "by a link to a file": "images/link.json",
    "by a link to a folder": "linked/id_rsa",
    "by a pattern through a linked folder": "linked/{_value}",
    "by a deep pattern through a linked folder": "{_value*}rsa",
    "by a pattern with many stars": "*a" * 30 + "b",
    "by a pattern with many fields": "{a}{b}{c}{d}{e}{f}{g}{h}.json",
    "by a repeated field": "{a}{b}{c}{d}{a}{b}{c}{d}!",
    "by a bracket that is open": "images/{name",
}


#: The spec is at fault (1), or a link in the raw folder (4); a name that no file has is not refused, but missing (3).
PATH_CODES = {
    "by a link to a file": 4,
    "by a link to a folder": 4,
    "by a pattern through a linked folder": 4,
    "by a deep pattern through a linked folder": 4,
    "by a name of 300 characters": 3,
    "by a pattern with many stars": 3,
}


@pytest.mark.parametrize("attempt", PATHS)
def test_a_table_cannot_be_named(victim: Victim, attempt: str) -> None:
    folder = victim.raw / "toy"
    (folder / "linked").symlink_to(victim.home)
    (folder / "images/link.json").symlink_to(victim.secret)
    (folder / ("a" * 200 + ".json")).write_text("[]")
    dataset = victim.specs / "toy/dataset.yaml"
    dataset.write_text(dataset.read_text().replace("file: toy.json", f'file: "{PATHS[attempt]}"'))
    code, said = victim.compiled()
    assert code == PATH_CODES.get(attempt, 1), said
    assert "Traceback" not in said
    assert SECRET not in said
    victim.is_unharmed()


IMAGES = {
    "up": "../../home/id_rsa",
    "from the root": "HOME/id_rsa",
    "by a link": "link.png",
    "by NUL": "a\0b",
    "by a long name": "x" * 5000,
    "in a table that there is not": "@nothing/x#1",
    "at a position that there is not": "@records/toy.json#99999999999999999999",
    "at a position before the first": "@records/toy.json#-1",
    "in a file that is no archive": "toy.json/x.png",
    "by a pipe": "pipe.png",
    "by a device": "device.png",
    "by a lone surrogate": "\ud800.png",
}


#: A record that names no image is dropped and counted (0); a link that leads out, or a reference to what no table
#: of the task has, ends the run as a fault of the raw file.
IMAGE_CODES = {
    "by a link": 4,
    "by a device": 4,
    "in a table that there is not": 4,
    "at a position that there is not": 4,
    "at a position before the first": 4,
}


@pytest.mark.parametrize("attempt", IMAGES)
def test_a_record_cannot_name_an_image(victim: Victim, attempt: str) -> None:
    images = victim.raw / "toy/images"
    (images / "link.png").symlink_to(victim.secret)
    (images / "device.png").symlink_to("/dev/zero")
    os.mkfifo(images / "pipe.png")
    name = IMAGES[attempt].replace("HOME", str(victim.home))
    victim.replace(
        "image: images/{{ name }}", "image: \"{{ name if name[0] == '@' else 'images/' ~ name }}\""
    )
    victim.write_records([{"name": name, "color": "r"}, {"name": "0001.png", "color": "g"}])
    code, said = victim.compiled()
    assert code == IMAGE_CODES.get(attempt, 0), said
    if code == 0:
        assert "dropped 1: " in said
    assert "Traceback" not in said
    victim.is_unharmed()


# --- raw files


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def npy(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64


def parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"v": ["a" * 100] * 1000}), out)
    return out.getvalue()


class _Call:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.called = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.called


def pickled(value: object) -> bytes:
    return pickle.dumps(value, 4)


LONG_JSON = b'[{"name": "' + b"x" * 300_000_000 + b'", "color": "r"}]'
#: What must not happen -> reader, its options, the name of the file, its bytes.
RAW: dict[str, tuple[str, str, str, Callable[[], bytes]]] = {
    "a JSON text that is not closed": ("json", "", "x.json", lambda: b'[{"v": "' + b"x" * 1000),
    "JSON that nests": ("json", "", "x.json", lambda: b'[{"v": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]"),
    "JSON objects that nest": ("json", "", "x.json", lambda: b'{"v":' * 100_000 + b"1" + b"}" * 100_000),
    "a JSON number without end": ("json", "", "x.json", lambda: b'[{"v": ' + b"9" * 5_000_000 + b"}]"),
    "JSON lines that nest": ("json_lines", "", "x.json", lambda: b'{"v":' * 50_000 + b"1" + b"}" * 50_000),
    "a JSON line of zeros": ("json_lines", "", "x.json", lambda: b"\0" * 50_000_000),
    "a gzip bomb of one line": (
        "json_lines", "", "x.json.gz", lambda: gzip.compress(b"\0" * 400_000_000, 1),
    ),
    "a gzip bomb of a text": ("text", "", "x.txt.gz", lambda: gzip.compress(b"a" * 400_000_000, 1)),
    "a gzip file that is cut": ("text", "", "x.txt.gz", lambda: gzip.compress(b"ab" * 1000)[:-9]),
    "a gzip file of another checksum": (
        "text", "", "x.txt.gz", lambda: gzip.compress(b"ab" * 1000)[:-8] + b"\1" * 8,
    ),
    "CSV with a quote that never ends": ("delimited", "", "x.csv", lambda: b'v\n"' + b"x" * 100_000_000),
    "XML entities that grow": (
        "xml", "rows: v", "x.xml",
        lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">'
        + b"".join(
            b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
        ) + b"]><a><v>&j;</v></a>",
    ),
    "an XML entity of a file": (
        "xml", "rows: v", "x.xml",
        lambda: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a><v>&x;</v></a>',
    ),
    "XML that nests": ("xml", "at: b", "x.xml", lambda: b"<a>" * 300_000 + b"</a>" * 300_000),
    "a pickle that runs a command": ("pickle", "", "x.pkl", lambda: pickled(_Call(os.system, "id"))),
    "a pickle that reads a file": ("pickle", "", "x.pkl", lambda: pickled(_Call(open, "/etc/hostname"))),
    "a pickle that allocates": ("pickle", "", "x.pkl", lambda: pickled({"v": _Call(bytes, 8 << 30)})),
    "a pickle of an array of pointers": (
        "pickle", "", "x.pkl", lambda: pickled({"v": _Call(np.ndarray, (2,), "O", b"A" * 16)}),
    ),
    "a pickle of memory that nothing wrote": (
        "pickle", "", "x.pkl", lambda: pickled({"v": _Call(np.ndarray, (1 << 20,), "u1")}),
    ),
    "a pickle that evaluates": ("pickle", "", "x.pkl", lambda: pickled(_Call(eval, "1"))),
    "a pickle that is cut": ("pickle", "", "x.pkl", lambda: pickled({"v": ["a"] * 100})[:-20]),
    "a pickle of memos without end": (
        "pickle", "", "x.pkl", lambda: b"\x80\x04" + b"]" + b"r\xff\xff\xff\x7f" + b"2" * 100 + b".",
    ),
    "a pickle of a text that is longer than the file": (
        "pickle", "", "x.pkl", lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",
    ),
    "an npz of objects": (
        "npz", "", "x.npz", lambda: zipped(("v.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"))),
    ),
    "an npz that believes its header": (
        "npz", "", "x.npz",
        lambda: zipped(("v.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}"))),
    ),
    "an npz of a negative shape": (
        "npz", "", "x.npz", lambda: zipped(("v.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"))),
    ),
    "an npz bomb": (
        "npz", "", "x.npz",
        lambda: zipped(("v.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000,)}") + b"\0" * 300_000_000)),
    ),
    "an npz whose header is code": (
        "npz", "", "x.npz", lambda: zipped(("v.npy", npy("{'descr': __import__('os').system('id'), 'shape': (1,)}"))),
    ),
    "an IDX file that believes its header": ("idx", "", "x.idx", lambda: struct.pack(">HBBI", 0, 8, 1, 1 << 31) + b"x"),
    "an IDX file of many dimensions": ("idx", "", "x.idx", lambda: struct.pack(">HBB", 0, 8, 255) + b"\xff" * 1020),
    "a Parquet file that is cut": ("parquet", "", "x.parquet", lambda: parquet()[:-100]),
    "a Parquet file whose footer is elsewhere": (
        "parquet", "", "x.parquet", lambda: parquet()[:-8] + struct.pack("<I", 1 << 31) + b"PAR1",
    ),
    "a Parquet file of random pages": (
        "parquet", "", "x.parquet", lambda: b"PAR1" + b"\xff" * 60 + parquet()[64:],
    ),
    "a MATLAB file that is cut": ("matlab", "variable: v", "x.mat", lambda: b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0f\0\0\0\xff\xff\xff\x7f"),
    "an HDF5 file of nonsense": ("matlab", "variable: v", "x.mat", lambda: b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000),
    "an LMDB file that is cut": ("lmdb", "", "x.lmdb/data.mdb", lambda: b"\0" * 16 + struct.pack("<II", 0xBEEFC0DE, 1) + b"\xff" * 200),
    "a zip that believes its directory": (
        "json", "", "x.zip/v.json", lambda: zipped(("v.json", b"[]")).replace(struct.pack("<I", 2), struct.pack("<I", 0xFFFFFFF0)),
    ),
    "a zip bomb": ("json", "", "x.zip/v.json", lambda: zipped(("v.json", b"[" + b" " * 300_000_000))),
    "a zip that is cut": ("json", "", "x.zip/v.json", lambda: zipped(("v.json", b"[]"))[:-10]),
    "a tar of 2^62 bytes": ("json", "", "x.tar/v.json", lambda: huge_tar()),
    "a tar that is cut": ("json", "", "x.tar/v.json", lambda: tarred("v.json", b"[]" * 5000)[:2000]),
    "a tar link out": ("json", "", "x.tar/v.json", lambda: linked_tar()),
}  # fmt: skip


def tarred(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def huge_tar() -> bytes:
    header = bytearray(tarred("v.json", b"[]")[:512])
    header[124:136] = b"\x80" + (1 << 62).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"[]".ljust(2048, b"\0")


def linked_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("v.json")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(info)
    return out.getvalue()


#: A raw file is at fault (4), but for a member that is not there.
RAW_CODES = {"a tar link out": 3}


@pytest.mark.parametrize("attempt", RAW)
def test_a_raw_file_cannot_be(victim: Victim, attempt: str) -> None:
    reader, options, name, made = RAW[attempt]
    archive = name.rpartition("/")[0] if ".zip/" in name or ".tar/" in name else ""
    path = victim.raw / "toy" / (archive or name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(made())
    table = f"{{reader: {reader}, file: {name.split('/')[1] if archive else name}{', ' + options if options else ''}"
    columns = "" if reader in ("text", "idx", "lmdb") else ", columns: {v: VARCHAR}"
    if reader == "matlab":
        columns = ", columns: {_value: VARCHAR}"
    dataset = victim.specs / "toy/dataset.yaml"
    text = dataset.read_text().replace(
        "records: {reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}",
        f"records: {table}{columns}}}",
    )
    if archive:
        text = text.replace(
            "labels:\n", f'  - {{path: {archive}, url: "https://example.org/x", into: "."}}\nlabels:\n', 1
        ).replace('into: "."', "provides: [v.json]")
    dataset.write_text(text)
    column = "v" if columns.startswith(", columns: {v") else "_value"
    victim.replace(
        "table: records", f"sql: SELECT _index::VARCHAR AS name, {column}::VARCHAR AS color FROM records"
    )
    code, said = victim.compiled()
    assert code == RAW_CODES.get(attempt, 4), said
    assert "Traceback" not in said
    assert not (victim.out / "toy_color").exists()
    victim.is_unharmed()


@pytest.mark.parametrize(
    ("attempt", "data"),
    [
        ("of 20 GB that are not there", None),
        ("with five million empty markers", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5_000_000 + b"\xff\xd9"),
        ("of a billion pixels", b"P6 40000 40000 255\n" + b"\0" * 1000),
        ("of no pixels", b"P6 0 0 255\n"),
        ("that is a bomb", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0" * 6 + b";"),
        ("that is text", json.dumps({"a": 1}).encode()),
        ("that is a PNG without end", b"\x89PNG\r\n\x1a\n" + b"\x7f\xff\xff\xffIDAT" + b"\0" * 100),
        ("that is a WebP of nonsense", b"RIFF\xff\xff\xff\x7fWEBPVP8L" + b"\xff" * 200),
        ("that is a TIFF that turns in a circle", b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0" + b"\0" * 20),
    ],
)
@pytest.mark.parametrize("check", ["quick", "full"])
def test_a_record_with_an_image_is_dropped(
    victim: Victim, attempt: str, data: bytes | None, check: str
) -> None:
    path = victim.raw / "toy/images/0000.png"
    if data is None:
        os.truncate(path, 20 << 30)
    else:
        path.write_bytes(data)
    more = ("--check-images", "full") if check == "full" else ()
    code, said = victim.vflan(
        "compile", "--task", "toy_color", "--raw", str(victim.raw), "--out", str(victim.out), *more
    )
    assert code == 0, said
    assert "5 instances of 6 records" in said
    assert "dropped 1: " in said
