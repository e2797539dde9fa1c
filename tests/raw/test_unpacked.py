"""Packed tars are unpacked once, beside the compiled folder, for every process, task and later run."""

import io
import os
import random
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.toy import Toy
from vision_flan.build.compile import WORK_FOLDER
from vision_flan.build.status import suite_status
from vision_flan.errors import BadRawError
from vision_flan.raw import tar_archive, unpacked
from vision_flan.raw.archives import Archive
from vision_flan.raw.folder import RawDataset
from vision_flan.raw.unpacked import FOLDER, Scratch
from vision_flan.report import Silent

PACKINGS: Mapping[str, Literal["w:gz", "w:bz2", "w:xz"]] = {"gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}
FILES = {f"images/{i:03}.bin": random.Random(i).randbytes(5000) for i in range(40)}


@pytest.fixture(autouse=True)
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "LEAST_BYTES", 0)
    monkeypatch.setattr(unpacked, "_MOST_TIMES", 1000)  # a tar of a few bytes has 10 kB


def write_tar(path: Path, packing: str = "gz", files: dict[str, bytes] = FILES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, PACKINGS[packing]) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def contents(archive: Path, scratch: Scratch | None) -> dict[str, bytes]:
    with RawDataset(archive.parent, "toy", [Archive(archive.name)], scratch=scratch) as raw:
        return {name: raw.read_bytes(name) for name, _ in raw.list("images/*.bin")}


def entries(scratch: Scratch) -> list[str]:
    return sorted(path.name for path in scratch.folder.glob("*") if path.suffix != ".lock")


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz"])
def test_members_are_the_same_and_the_archive_is_read_once(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_tar(tmp_path / f"raw/a.tar.{packing}", packing)
    scratch = Scratch(tmp_path / "scratch")
    assert contents(archive, scratch) == contents(archive, None) == FILES
    assert len(entries(scratch)) == 1
    monkeypatch.setattr(tar_archive, "_content", lambda *_: iter([b"not read"]))
    monkeypatch.setattr(tar_archive, "_unpacked", None)
    assert contents(archive, scratch) == FILES
    assert contents(archive, Scratch(scratch.folder, read_only=True)) == FILES
    assert list((tmp_path / "raw").iterdir()) == [archive]


def test_another_archive_of_the_same_name_is_unpacked_anew(tmp_path: Path) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch")
    contents(archive, scratch)
    other = {"images/000.bin": random.Random(9).randbytes(4000)}
    assert contents(write_tar(archive, files=other), scratch) == other
    assert len(entries(scratch)) == 2


def test_where_nothing_may_be_written_nothing_is(tmp_path: Path) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch", read_only=True)
    assert contents(archive, scratch) == FILES
    assert not scratch.folder.exists()


@pytest.mark.parametrize("cut", [20_000, -30])
def test_a_damaged_archive_is_told_as_without_and_leaves_nothing(tmp_path: Path, cut: int) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch")
    archive.write_bytes(archive.read_bytes()[:cut])
    for place in (scratch, None):
        with pytest.raises(BadRawError, match="the archive is damaged or cut short: the compressed"):
            contents(archive, place)
    assert entries(scratch) == []


def test_an_entry_that_cannot_be_written_leaves_the_archive_to_be_read_where_it_is(tmp_path: Path) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch")
    contents(archive, scratch)
    (entry,) = entries(scratch)
    (scratch.folder / entry).unlink()
    (scratch.folder / f".{entry}.{os.getpid()}.tmp").mkdir()
    assert contents(archive, scratch) == FILES
    assert entry not in entries(scratch)


def test_a_full_disk_or_a_bomb_is_read_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch")
    with monkeypatch.context() as patched:
        patched.setattr(unpacked, "_written", lambda file, data: False)
        assert contents(archive, scratch) == FILES
    with monkeypatch.context() as patched:
        patched.setattr(unpacked, "_MOST_TIMES", 0.5)
        assert contents(archive, scratch) == FILES
    with monkeypatch.context() as patched:
        patched.setattr(unpacked, "MOST_BYTES", 1000)
        assert contents(archive, scratch) == FILES
    (tmp_path / "file").touch()
    assert contents(archive, Scratch(tmp_path / "file/scratch")) == FILES
    assert entries(scratch) == []


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = Scratch(tmp_path / "scratch")
    archives = [write_tar(tmp_path / f"raw{i}/a.tar.gz") for i in range(3)]
    contents(archives[0], scratch)
    (size,) = [path.stat().st_size for path in scratch.folder.glob("*.tar")]
    monkeypatch.setattr(unpacked, "MOST_BYTES", int(2.5 * size))
    contents(archives[1], scratch)
    for path in scratch.folder.glob("*.tar"):
        os.utime(path, (1, 1))
    contents(archives[0], scratch)  # used again
    contents(archives[2], scratch)
    there = [unpacked._digest(a, a.stat()) + ".tar" in entries(scratch) for a in archives]
    assert there == [True, False, True]


def test_a_second_reader_waits_for_the_first_and_what_a_killed_one_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, scratch = write_tar(tmp_path / "raw/a.tar.gz"), Scratch(tmp_path / "scratch")
    scratch.folder.mkdir()
    name = unpacked._digest(archive, archive.stat()) + ".tar"
    (scratch.folder / f".{name}.1.tmp").write_bytes(b"left")
    made = []
    make = Scratch._make

    def counted(self: Scratch, *given: Any) -> int | None:
        made.append(1)
        return make(self, *given)

    monkeypatch.setattr(Scratch, "_make", counted)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == FILES for found in pool.map(lambda _: contents(archive, scratch), range(8)))
    assert made == [1]
    assert entries(scratch) == [name]


def test_a_build_unpacks_beside_its_config_and_the_status_takes_that(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"images/{path.name}": path.read_bytes() for path in (toy.raw / "toy/images").iterdir()}
    plain = toy.compile(out=toy.root / "plain")
    write_tar(toy.raw / "toy/images.tar.gz", files=images)
    for path in (toy.raw / "toy/images").iterdir():
        path.unlink()
    dataset = toy.specs / "toy/dataset.yaml"
    dataset.write_text(dataset.read_text().replace("images.zip", "images.tar.gz"))
    built = toy.compile()
    assert [s.sha256 for s in built.manifest.shards] == [s.sha256 for s in plain.manifest.shards]
    assert len(list((toy.out / WORK_FOLDER / FOLDER).glob("*.tar"))) == 1
    monkeypatch.setattr(tar_archive, "_content", lambda *_: iter([b"not read"]))
    (found,) = suite_status(["toy_color"], toy.raw, toy.out, toy.catalog, Silent())
    assert (found.build, found.next) == ("built", "")
