"""An HDF5 file holds its data itself; an LMDB is as long as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.security.conftest import SECRET, Victim


def other(victim: Victim, kind: str) -> None:
    """A .mat file whose variable is the content of another file."""
    h5py = pytest.importorskip("h5py")
    elsewhere = victim.root / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file.create_dataset("v", data=np.frombuffer(SECRET.encode(), np.uint8).reshape(1, -1))
    size = len(SECRET)
    with h5py.File(victim.raw / "toy/x.mat", "w") as file:
        if kind == "external storage":
            file.create_dataset("v", (1, size), dtype="u1", external=[(str(victim.secret), 0, size)])
        elif kind == "an external link":
            file["v"] = h5py.ExternalLink(str(elsewhere), "/v")
        elif kind == "a soft link to an external one":
            file["w"] = h5py.ExternalLink(str(elsewhere), "/")
            file["v"] = h5py.SoftLink("/w/v")
        else:
            layout = h5py.VirtualLayout((1, size), "u1")
            layout[:] = h5py.VirtualSource(str(elsewhere), "v", (1, size))
            file.create_virtual_dataset("v", layout)


def with_table(victim: Victim, table: str, sql: str) -> None:
    dataset = victim.specs / "toy/dataset.yaml"
    text = dataset.read_text()
    old = "records: {reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}"
    assert old in text
    dataset.write_text(text.replace(old, f"records: {table}"))
    victim.replace("table: records", f"sql: {sql}")


@pytest.mark.parametrize(
    "kind", ["external storage", "an external link", "a soft link to an external one", "a virtual dataset"]
)
def test_no_other_file_is_read_by(victim: Victim, kind: str) -> None:
    other(victim, kind)
    with_table(
        victim,
        "{reader: matlab, file: x.mat, variable: v, columns: {_value: DOUBLE}}",
        "SELECT _index::VARCHAR AS name, chr(_value::INT) AS color FROM records",
    )
    victim.refuses(code=4, saying="x.mat")


def lmdb_file(folder: Path) -> Path:
    lmdb = pytest.importorskip("lmdb")
    with (
        lmdb.open(str(folder), map_size=1 << 22) as environment,
        environment.begin(write=True) as transaction,
    ):
        for number in range(200):
            transaction.put(b"%04d" % number, b"x" * 3000)
    return folder / "data.mdb"


@pytest.mark.parametrize("kept", [100, 4096, 8192, 20_000, 100_000])
def test_an_lmdb_that_is_cut_does_not_crash(victim: Victim, kept: int) -> None:
    file = lmdb_file(victim.raw / "toy/x.lmdb")
    with file.open("r+b") as content:
        content.truncate(kept)
    with_table(
        victim, "{reader: lmdb, file: x.lmdb/data.mdb}", "SELECT _key AS name, 'r' AS color FROM records"
    )
    victim.replace("image: images/{{ name }}", "image: '@records/x.lmdb#{{ name }}'")
    victim.refuses(code=4, saying="data.mdb")


@pytest.mark.parametrize("at", [16, 40, 4096 + 20, 3 * 4096 + 4, 20 * 4096 + 10])
def test_an_lmdb_with_pages_of_nonsense_does_not_crash(victim: Victim, at: int) -> None:
    file = lmdb_file(victim.raw / "toy/x.lmdb")
    with file.open("r+b") as content:
        content.seek(at)
        content.write(b"\xff" * 60)
    with_table(
        victim, "{reader: lmdb, file: x.lmdb/data.mdb}", "SELECT _key AS name, 'r' AS color FROM records"
    )
    victim.replace("image: images/{{ name }}", "image: '@records/x.lmdb#{{ name }}'")
    victim.refuses(code=4, saying="data.mdb")
