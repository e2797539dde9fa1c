"""LMDB environments: read in key order, refused before a damaged one can kill the process."""

from __future__ import annotations

import gc
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.toy import DATASET, Toy, square
from vision_flan.errors import BadRawError, MissingRawError, SpecError
from vision_flan.readers.image_refs import ImageStore

lmdb = pytest.importorskip("lmdb")
PAGE = 4096
BRANCH, LEAF = 1, 2


def write_environment(folder: Path, records: dict[bytes, bytes]) -> bytes:
    """Write records; returns the content of the data file."""
    environment = lmdb.open(str(folder), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key, value)
    environment.close()
    return (folder / "data.mdb").read_bytes()


def many() -> dict[bytes, bytes]:
    """Records whose tree has several levels, values inside of pages and on pages of their own."""
    chosen = random.Random(0)
    return {
        f"{number:05}".encode() * chosen.randint(1, 20): bytes(chosen.choice([3, 200, 1500, 5000, 9000]))
        for number in range(600)
    }


def pages_of(data: bytes, kind: int) -> list[int]:
    return [at for at in range(2 * PAGE, len(data), PAGE) if struct.unpack_from("<QHH", data, at)[2] == kind]


def test_lmdb_keys_are_rows_and_values_images(folder: Any) -> None:
    path = folder.root / "bedroom_val_lmdb"
    environment = lmdb.open(str(path), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        for key in (b"bb", b"aa"):
            transaction.put(key, b"image " + key)
    environment.close()
    reader = folder.reader("lmdb", "{class}_val_lmdb/data.mdb")
    rows = [row for batch in folder.batches(reader) for row in batch.to_pylist()]
    assert [row["_key"] for row in rows] == ["aa", "bb"]
    assert rows[1] == {
        "class": "bedroom", "_key": "bb", "image": "@t/bedroom_val_lmdb#bb",
        "_file": "bedroom_val_lmdb", "_index": 1,
    }  # fmt: skip
    store = ImageStore(folder.raw, {"t": reader})
    assert store.read(rows[1]["image"]) == b"image bb"
    with pytest.raises(MissingRawError, match="'cc'"):
        store.read("@t/bedroom_val_lmdb#cc")
    with pytest.raises(BadRawError, match="has no key"):
        store.read("@t/bedroom_val_lmdb")
    # another reader of the same environment, as a compile has one for records and one for images
    images = ImageStore(folder.raw, {"t": folder.reader("lmdb", "{class}_val_lmdb/data.mdb")})
    assert images.read(rows[0]["image"]) == b"image aa"
    folder.write("broken_val_lmdb/data.mdb", b"nothing" * 1000)
    with pytest.raises(BadRawError, match="not a valid LMDB"):
        folder.rows("lmdb", "broken_val_lmdb/data.mdb")


def test_an_lmdb_cut_short_is_refused_before_it_is_mapped(folder: Any) -> None:
    environment = lmdb.open(str(folder.root / "db"), map_size=1 << 20)
    with environment.begin(write=True) as transaction:
        for number in range(200):
            transaction.put(f"{number:03}".encode(), bytes(500))
    environment.close()
    whole = (folder.root / "db/data.mdb").read_bytes()
    assert len(folder.rows("lmdb", "db/data.mdb")) == 200
    for number, size in enumerate((0, 100, 4096, 8192, len(whole) // 2)):
        folder.write(f"cut{number}/data.mdb", whole[:size])
        with pytest.raises(BadRawError, match="cut short|not a valid LMDB"):
            folder.rows("lmdb", f"cut{number}/data.mdb")


@pytest.mark.parametrize(
    ("kind", "offset", "value", "what"),
    [
        (BRANCH, 10, LEAF, "damaged"),  # the kind of the page
        (LEAF, 10, BRANCH, "damaged"),
        (LEAF, 10, 0x20, "is not a page of records"),
        (LEAF, 12, 0xFFFF, "has a wrong size"),  # the end of its list
        (LEAF, 12, 16, "has a wrong size"),
        (LEAF, 14, 0xFFFF, "has a wrong size"),
        (LEAF, 16, 0xFFF0, "has a record outside of it"),
        (LEAF, 16, 20, "has a record outside of it"),
        (BRANCH, 12, 18, "has one child only"),
    ],
)
def test_a_damaged_page_is_refused_by_its_number(
    folder: Any, kind: int, offset: int, value: int, what: str
) -> None:
    data = bytearray(write_environment(folder.root / "db", many()))
    at = pages_of(data, kind)[0]
    struct.pack_into("<H", data, at + offset, value)
    folder.write("bad/data.mdb", data)
    with pytest.raises(BadRawError, match=rf"the LMDB file is damaged: page \d+ .*{what}|{what}: page"):
        folder.rows("lmdb", "bad/data.mdb")


def test_a_page_that_is_its_own_child_is_refused(folder: Any) -> None:
    data = bytearray(write_environment(folder.root / "db", many()))
    at = pages_of(data, BRANCH)[0]
    (node,) = struct.unpack_from("<H", data, at + 16)
    struct.pack_into("<HHH", data, at + node, at // PAGE, 0, 0)
    folder.write("bad/data.mdb", data)
    with pytest.raises(BadRawError, match="is reached twice"):
        folder.rows("lmdb", "bad/data.mdb")


def test_a_value_outside_of_the_file_is_refused(folder: Any) -> None:
    data = bytearray(write_environment(folder.root / "db", {b"key": bytes(9000)}))
    at = pages_of(data, LEAF)[0]
    (node,) = struct.unpack_from("<H", data, at + 16)
    struct.pack_into("<I", data, at + node, 1 << 30)  # its size
    folder.write("bad/data.mdb", data)
    with pytest.raises(BadRawError, match="has a value outside of the file"):
        folder.rows("lmdb", "bad/data.mdb")


def test_a_table_names_the_data_file(folder: Any) -> None:
    with pytest.raises(SpecError, match=r"write `file: db/data.mdb`"):
        folder.reader("lmdb", "db/")


def test_an_empty_environment_has_no_rows(folder: Any) -> None:
    write_environment(folder.root / "db", {})
    assert folder.rows("lmdb", "db/data.mdb") == []


FUZZ = """
import random, shutil, struct, sys
from pathlib import Path
from tests.raw_folder import RawFolder
from vision_flan.errors import VflanError

root, chosen = Path(sys.argv[1]), random.Random(1)
folder, whole = RawFolder(root), (root / "db/data.mdb").read_bytes()
kinds = {1, 2, 8}
pages = [at for at in range(0, len(whole), 4096) if struct.unpack_from("<QHH", whole, at)[2] in kinds]
read = refused = 0
for number in range(300):
    data = bytearray(whole)
    for _ in range(chosen.randint(1, 3)):
        at = chosen.choice(pages) + chosen.randrange(chosen.choice([16, 200, 4096]))
        data[at] = chosen.choice([0, 1, 255, chosen.randrange(256), data[at] ^ 1 << chosen.randrange(8)])
    folder.write(f"db{number}/data.mdb", bytes(data))
    reader = folder.reader("lmdb", f"db{number}/data.mdb")
    try:
        for batch in folder.batches(reader):
            for row in batch.to_pylist():
                reader.open_image(folder.raw, row["image"].removeprefix("@t/"))
        read += 1
    except VflanError:
        refused += 1
    shutil.rmtree(root / f"db{number}")
print(read, refused)
"""


def test_no_changed_byte_kills_the_process(folder: Any) -> None:
    write_environment(folder.root / "db", many())
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(folder.root)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    read, refused = map(int, done.stdout.split())
    assert read > 20 and refused > 20  # both happen, so both are tried


def test_a_compile_of_a_damaged_environment_says_what_to_do(toy: Toy, compile_toy: Any) -> None:
    table = "records: {reader: lmdb, file: toy_lmdb/data.mdb}"
    toy.write_specs(DATASET[: DATASET.index("records:")] + table + "\n")
    toy.replace("key: name\nimage: images/{{ name }}", 'key: _key\nimage: "{{ image }}"')
    toy.replace("{{ color | label('colors') }}", "{{ 'red' }}")
    folder = toy.raw / "toy/toy_lmdb"
    data = bytearray(write_environment(folder, {f"{n:04}".encode(): square("r") for n in range(200)}))
    code, shown = compile_toy()
    assert code == 0 and "200 instances of 200 records" in shown, shown
    struct.pack_into("<H", data, pages_of(data, LEAF)[0] + 16, 0xFFF0)
    (folder / "data.mdb").write_bytes(data)
    code, shown = compile_toy()
    assert code == 4 and "the LMDB file is damaged: page" in shown and "unpack or download it again" in shown


def test_an_environment_that_was_replaced_is_never_read_as_the_old_one(folder: Any, tmp_path: Path) -> None:
    def keys(reader: Any) -> list[str]:
        return [row["_key"] for batch in folder.batches(reader) for row in batch.to_pylist()]

    path = folder.root / "a_lmdb"
    for place in (path, tmp_path / "other"):
        place.mkdir()
    write_environment(path, {b"old": b"1"})
    first = folder.reader("lmdb", "a_lmdb/data.mdb")
    assert keys(first) == ["old"]
    write_environment(tmp_path / "other", {b"new": b"2"})
    (tmp_path / "other/data.mdb").replace(path / "data.mdb")
    with pytest.raises(BadRawError, match="replaced while it was open"):
        keys(folder.reader("lmdb", "a_lmdb/data.mdb"))
    del first
    gc.collect()
    assert keys(folder.reader("lmdb", "a_lmdb/data.mdb")) == ["new"]
