"""Images that lie in row groups or packed archives are read front to back, a chunk of rows at a time."""

import io
import random
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toy import Toy, square
from vision_flan.build.inputs import ImageInputs
from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset
from vision_flan.readers import ahead
from vision_flan.readers.ahead import Ahead
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.parquet_table import ParquetReader

N = pa.int64()
PARQUET = (
    "{reader: parquet, file: toy.parquet, image_column: image, columns: {name: VARCHAR, color: VARCHAR}}"
)


def nothing(ref: str) -> None:
    """Before a file is read."""


def rows_of(refs: list[str]) -> list[pa.Table]:
    return [
        pa.table({"ref": pa.array(refs[at : at + 1000], pa.string())}) for at in range(0, len(refs), 1000)
    ]


def refs_in(table: pa.Table) -> list[str]:
    return [str(ref) for ref in table["ref"].to_pylist()]


def taken_from(pieces: Iterable[pa.Table]) -> Iterator[str]:
    return (ref for piece in pieces for ref in refs_in(piece))


def write_images(folder: Path, images: list[bytes | None], group: int) -> None:
    cells = pa.array(images, pa.binary())
    pq.write_table(
        pa.table({"id": range(len(images)), "image": cells}), folder / "a.parquet", row_group_size=group
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    images=st.lists(st.none() | st.binary(min_size=1, max_size=60), min_size=1, max_size=120),
    group=st.integers(1, 50),
    picks=st.lists(st.integers(0, 130), max_size=80),
    at_most=st.none() | st.integers(0, 40),
    seed=st.integers(0, 3),
)
def test_what_is_held_is_what_a_single_read_gives(
    folder: Any, images: list[bytes | None], group: int, picks: list[int], at_most: int | None, seed: int
) -> None:
    write_images(folder.root, images, group)
    reader = folder.reader("parquet", "a.parquet", {"id": N}, image_column="image")
    store = ImageStore(folder.raw, {"t": reader})
    early = Ahead(store)
    refs = [f"@t/a.parquet#{row}" for row in picks]
    random.Random(seed).shuffle(refs)
    taken = []
    for ref in taken_from(early.tables(rows_of(refs), refs_in, at_most, nothing)):
        taken.append(ref)
        held = early.held(ref)
        number = int(ref.partition("#")[2])
        assert held is None or held == images[number] == store.read(ref)
        if number >= len(images) or images[number] is None:
            assert held is None
    assert taken == refs
    assert all(early.held(ref) is None for ref in refs)


def test_a_row_group_is_read_once_for_a_chunk(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(folder.root, [b"%04d" % i for i in range(3000)], 500)
    reader = folder.reader("parquet", "a.parquet", {"id": N}, image_column="image")
    store = ImageStore(folder.raw, {"t": reader})
    read: Counter[int] = Counter()
    of_group = ParquetReader._of_group

    def counted(self: ParquetReader, parquet: Any, number: int, *more: Any) -> Any:
        read[number] += 1
        return of_group(self, parquet, number, *more)

    monkeypatch.setattr(ParquetReader, "_of_group", counted)
    refs = [f"@t/a.parquet#{row}" for row in random.Random(1).sample(range(3000), 1016)]
    early = Ahead(store)
    assert all(map(early.held, taken_from(early.tables(rows_of(refs), refs_in, None, nothing))))
    assert max(read.values()) == 3  # for the first 16 rows, for the rest of the thousand, and for 16 more


def test_no_more_is_held_than_fits(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST_BYTES", 40_000)
    write_images(folder.root, [bytes([i % 251]) * 1000 for i in range(300)], 100)
    reader = folder.reader("parquet", "a.parquet", {"id": N}, image_column="image")
    early = Ahead(ImageStore(folder.raw, {"t": reader}))
    held = []
    refs = [f"@t/a.parquet#{row}" for row in range(300)]
    for _ in taken_from(early.tables(rows_of(refs), refs_in, None, nothing)):
        held.append(sum(map(len, early._held.values())))
    assert len(held) == 300
    assert max(held) <= 41_000
    assert min(held) > 0


def test_plain_files_are_passed_through_after_a_few_rows(folder: Any) -> None:
    for i in range(40):
        folder.write(f"{i}.jpg", b"x")
    store = ImageStore(folder.raw, {})
    asked = []

    def refs(table: pa.Table) -> list[str]:
        asked.extend(refs_in(table))
        return refs_in(table)

    early = Ahead(store)
    names = [f"{i}.jpg" for i in range(40)]
    assert list(taken_from(early.tables(rows_of(names), refs, None, nothing))) == names
    assert asked == names[:16]


def test_members_of_a_tar_gz_are_read_in_the_order_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"images/{i:03}.bin": random.Random(i).randbytes(30_000) for i in range(100)}
    (tmp_path / "raw").mkdir()
    with tarfile.open(tmp_path / "raw/a.tar.gz", "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    order = []
    read_bytes = RawDataset.read_bytes

    def recorded(self: RawDataset, path: str, at_most: int | None = None) -> bytes:
        order.append(path)
        return read_bytes(self, path, at_most)

    monkeypatch.setattr(RawDataset, "read_bytes", recorded)
    with RawDataset(tmp_path / "raw", "toy", [Archive("a.tar.gz")]) as raw:
        early = Ahead(ImageStore(raw, {}))
        refs = random.Random(2).sample(sorted(files), 100)
        for ref in taken_from(early.tables(rows_of(refs), refs_in, None, nothing)):
            assert early.held(ref) == files[ref]
    assert order == sorted(refs[:16]) + sorted(refs[16:])


def parquet_toy(toy: Toy, count: int) -> None:
    dataset = (toy.specs / "toy/dataset.yaml").read_text()
    old = "{reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}"
    assert old in dataset
    toy.write_specs(dataset.replace(old, PARQUET))
    toy.replace("image: images/{{ name }}", 'image: "{{ image }}"')
    colors = ["rgby"[i % 4] for i in range(count)]
    cells = {"name": [f"{i:04}" for i in range(count)], "color": colors, "image": [square(c) for c in colors]}
    pq.write_table(pa.table(cells), toy.raw / "toy/toy.parquet", row_group_size=64)


def test_a_compile_of_images_in_parquet_reads_no_row_group_for_one_image(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet_toy(toy, 2500)
    monkeypatch.setattr(ParquetReader, "_load_group", None)
    whole = toy.compile(limit=None)
    assert whole.manifest.rows == 2500
    monkeypatch.undo()
    monkeypatch.setattr(ImageStore, "place_of", lambda self, ref: None)
    alone = toy.compile(out=toy.root / "alone", limit=None)
    assert [s.sha256 for s in alone.manifest.shards] == [s.sha256 for s in whole.manifest.shards]
    assert alone.manifest.images == whole.manifest.images


def test_the_stamp_of_what_is_read_ahead_is_from_before_the_reading(toy: Toy) -> None:
    parquet_toy(toy, 20)
    file = toy.raw / "toy/toy.parquet"
    with RawDataset(toy.raw / "toy", "toy") as raw:
        from vision_flan.records.tables import all_readers

        readers = all_readers(toy.catalog.dataset("toy"))
        watch = ImageInputs(raw, ImageStore(raw, readers), checksums=False).watch()
        before = raw.stamp("toy.parquet")
        for ref in taken_from(watch.ahead(rows_of(["@records/toy.parquet#3"]), refs_in, None)):
            assert watch.seen.stamps == {}, "a row that is dropped looks up no file"
            file.write_bytes(file.read_bytes() + b" ")
            assert watch.read(ref) == square("y")
        assert watch.seen.stamps == {"toy.parquet": before}
        assert raw.stamp("toy.parquet") != before
