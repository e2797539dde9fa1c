import gzip
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vision_flan.errors import BadRawError, MissingRawError, SpecError
from vision_flan.raw.folder import Archive, RawDataset

FILES = {
    "a/one.txt": b"one" * 5000,
    "a/two.txt": b"two",
    "b/c/three.txt": b"",
    "b/" + "long name " * 20 + "é.txt": b"long",
}
TARS = [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")]


def write_tar(path: Path, mode: str, files: dict[str, bytes], kind: int = tarfile.GNU_FORMAT) -> None:
    with tarfile.open(path, mode, format=kind) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def unpack(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def assert_reads(raw: RawDataset, files: dict[str, bytes], into: str = "") -> None:
    assert [path for path, _ in raw.list(into + "{path*}.txt")] == sorted(into + name for name in files)
    for name, content in files.items():
        assert raw.exists(into + name)
        assert raw.read_bytes(into + name) == content
        assert raw.stat(into + name).bytes == len(content)
        with raw.open(into + name) as stream:
            assert stream.read() == content
            stream.seek(1)
            assert stream.read(3) == content[1:4]


def test_unpacked_files_are_read(tmp_path: Path) -> None:
    unpack(tmp_path, FILES)
    assert_reads(RawDataset(tmp_path, "toy"), FILES)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(("suffix", "mode"), TARS)
def test_members_of_tars_are_read_without_unpacking(
    tmp_path: Path, suffix: str, mode: str, kind: int
) -> None:
    write_tar(tmp_path / f"x{suffix}", mode, FILES, kind)
    raw = RawDataset(tmp_path, "toy", [Archive(f"x{suffix}")])
    assert_reads(raw, FILES)
    raw.close()
    assert_reads(raw, FILES)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members_of_zips_are_read_without_unpacking(tmp_path: Path, method: int) -> None:
    write_zip(tmp_path / "x.zip", FILES, method)
    assert_reads(RawDataset(tmp_path, "toy", [Archive("x.zip", into="deep/er")]), FILES, "deep/er/")


def test_a_large_deflated_member_is_streamed_and_can_be_sought(tmp_path: Path) -> None:
    content = np.arange(9 << 20, dtype=">u4").tobytes()
    write_zip(tmp_path / "x.zip", {"big.bin": content})
    with RawDataset(tmp_path, "toy", [Archive("x.zip")]).open("big.bin") as stream:
        assert stream.seek(4_000_000) == 4_000_000
        assert stream.read(4) == content[4_000_000:4_000_004]
        stream.seek(8)
        assert stream.read(4) == content[8:12]
        assert stream.seek(0, os.SEEK_END) == len(content)


def test_a_single_gz_appears_without_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"a,b\n"))
    raw = RawDataset(tmp_path, "toy", [Archive("labels.csv.gz", into="meta")])
    assert raw.read_bytes("meta/labels.csv") == b"a,b\n"
    assert raw.open("meta/labels.csv").read() == b"a,b\n"
    assert raw.stat("meta/labels.csv").bytes == 4
    assert raw.stat("meta/labels.csv").archive == "labels.csv.gz"


def test_numbered_archives_are_found_by_a_star(tmp_path: Path) -> None:
    write_zip(tmp_path / "part_1.zip", {"1.txt": b"1"})
    write_zip(tmp_path / "part_2.zip", {"2.txt": b"2"})
    raw = RawDataset(tmp_path, "toy", [Archive("part_*.zip", into="all")])
    assert list(raw.list("all/{n}.txt")) == [("all/1.txt", {"n": "1"}), ("all/2.txt", {"n": "2"})]


def test_a_file_on_disk_goes_before_a_member_and_both_are_listed_once(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a/1.txt": b"packed", "a/2.txt": b"packed"})
    unpack(tmp_path, {"a/1.txt": b"disk"})
    raw = RawDataset(tmp_path, "toy", [Archive("x.zip")])
    assert [path for path, _ in raw.list("a/{n}.txt")] == ["a/1.txt", "a/2.txt"]
    assert raw.read_bytes("a/1.txt") == b"disk"
    assert raw.read_bytes("a/2.txt") == b"packed"


def test_borrowed_folders_come_last(tmp_path: Path) -> None:
    unpack(tmp_path / "coco", {"train/1.jpg": b"coco", "train/2.jpg": b"coco"})
    unpack(tmp_path / "vqa", {"train/1.jpg": b"vqa"})
    raw = RawDataset(tmp_path / "vqa", "vqa", borrowed=[RawDataset(tmp_path / "coco", "coco")])
    assert raw.read_bytes("train/1.jpg") == b"vqa"
    assert raw.read_bytes("train/2.jpg") == b"coco"
    assert raw.stat("train/2.jpg").bytes == 4
    with pytest.raises(MissingRawError, match="nor in coco"):
        raw.read_bytes("train/3.jpg")


def test_listing_order_is_the_same_on_disk_and_in_an_archive(tmp_path: Path) -> None:
    files = dict.fromkeys(("a/z.txt", "a-b/a.txt", "a.b/a.txt", "a0/a.txt", "a/b/c.txt", "a/b.txt"), b"")
    unpack(tmp_path / "disk", files)
    (tmp_path / "packed").mkdir()
    write_tar(tmp_path / "packed/x.tar", "w", files)
    disk = RawDataset(tmp_path / "disk", "toy")
    packed = RawDataset(tmp_path / "packed", "toy", [Archive("x.tar")])
    expected = [(name, {"p": name[:-4]}) for name in sorted(files)]
    assert list(disk.list("{p*}.txt")) == list(packed.list("{p*}.txt")) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_what_desktops_leave_behind_is_never_listed(tmp_path: Path, packed: bool) -> None:
    files = dict.fromkeys(("a/1.jpg", "a/._1.jpg", "__MACOSX/a/1.jpg", "a/.DS_Store", "a/Thumbs.db"), b"x")
    if packed:
        write_zip(tmp_path / "x.zip", files)
    else:
        unpack(tmp_path, files)
    raw = RawDataset(tmp_path, "toy", [Archive("x.zip")] if packed else [])
    assert [path for path, _ in raw.list("{p*}") if path != "x.zip"] == ["a/1.jpg"]


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "a/..", "/etc/passwd", "C:/x", "c:x", "a\\..\\x", "a\0b", "", "a//b", "a/", "./a"],
)
def test_paths_that_could_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    unpack(tmp_path, {"toy/a/1.txt": b"in", "x": b"out"})
    raw = RawDataset(tmp_path / "toy", "toy")
    for use in (raw.read_bytes, raw.open, raw.exists, raw.stat, raw.local_path):
        with pytest.raises(BadRawError):
            use(path)
    with pytest.raises(SpecError):
        list(raw.list(path))
    with pytest.raises(SpecError):
        RawDataset(tmp_path / "toy", "toy", [Archive(path)])


def test_a_link_may_lead_to_the_folder_but_not_out_of_it(tmp_path: Path) -> None:
    unpack(tmp_path, {"real/a/1.txt": b"in", "out/2.txt": b"out"})
    (tmp_path / "toy").symlink_to(tmp_path / "real")
    (tmp_path / "real/file.txt").symlink_to(tmp_path / "out/2.txt")
    (tmp_path / "real/linked").symlink_to(tmp_path / "out")
    (tmp_path / "real/inside").symlink_to(tmp_path / "real/a")
    (tmp_path / "real/again.txt").symlink_to("a/1.txt")
    raw = RawDataset(tmp_path / "toy", "toy")
    assert raw.read_bytes("a/1.txt") == raw.read_bytes("inside/1.txt") == raw.read_bytes("again.txt") == b"in"
    assert [path for path, _ in raw.list("inside/{n}.txt")] == ["inside/1.txt"]
    for path in ("file.txt", "linked/2.txt"):
        for use in (raw.read_bytes, raw.open, raw.exists, raw.local_path, lambda p: list(raw.list(p))):
            with pytest.raises(BadRawError, match="path leaves the folder"):
                use(path)


def test_a_link_to_a_folder_above_is_not_walked_for_ever(tmp_path: Path) -> None:
    unpack(tmp_path, {"a/b/1.txt": b"x"})
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    assert [path for path, _ in RawDataset(tmp_path, "toy").list("{p*}.txt")] == ["a/b/1.txt"]


def test_members_with_names_that_leave_are_ignored(tmp_path: Path) -> None:
    evil = {"../evil.txt": b"x", "/etc/evil.txt": b"x", "a/../../evil.txt": b"x", "good.txt": b"y"}
    write_zip(tmp_path / "x.zip", evil)
    write_tar(tmp_path / "x.tar", "w", evil)
    for name in ("x.zip", "x.tar"):
        raw = RawDataset(tmp_path, "toy", [Archive(name)])
        assert [path for path, _ in raw.list("{p*}.txt")] == ["good.txt"]
        with pytest.raises(BadRawError):
            raw.read_bytes("../evil.txt")


def test_links_in_archives_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    for name in ("x.zip", "x.tar"):
        assert not RawDataset(tmp_path, "toy", [Archive(name)]).exists("link.txt")


def test_a_raw_folder_that_is_not_there_lists_nothing(tmp_path: Path) -> None:
    raw = RawDataset(tmp_path / "nowhere", "toy", [Archive("*.zip")])
    assert list(raw.list("{p*}")) == []
    assert not raw.exists("a.jpg")


def test_zips_of_more_than_four_gigabytes_are_indexed_by_their_wide_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)  # as if 100 bytes were what 32 bits can hold
    write_zip(tmp_path / "x.zip", FILES)
    assert b"PK\6\6" in (tmp_path / "x.zip").read_bytes()
    assert_reads(RawDataset(tmp_path, "toy", [Archive("x.zip")]), FILES)


def test_a_zip_with_bytes_before_it_is_read(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", FILES)
    (tmp_path / "x.zip").write_bytes(b"#!/bin/sh\n" * 9 + (tmp_path / "x.zip").read_bytes())
    assert_reads(RawDataset(tmp_path, "toy", [Archive("x.zip")]), FILES)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (8, 1, "encrypted"),
        (10, 99, "method 99"),
        (16, 7, "checksum"),
        (24, 9, "checksum"),
        (42, 5, "no member header"),
    ],
)
def test_a_zip_member_that_cannot_be_read_is_told(
    tmp_path: Path, offset: int, value: int, message: str
) -> None:
    write_zip(tmp_path / "x.zip", {"a.txt": b"a" * 50}, zipfile.ZIP_STORED)
    whole = bytearray((tmp_path / "x.zip").read_bytes())
    whole[whole.index(b"PK\1\2") + offset] = value  # a field of the member's entry in the directory
    (tmp_path / "x.zip").write_bytes(whole)
    with pytest.raises(BadRawError, match=message):
        RawDataset(tmp_path, "toy", [Archive("x.zip")]).read_bytes("a.txt")


def test_a_missing_file_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(MissingRawError, match="vflan fetch toy"):
        RawDataset(tmp_path / "nowhere", "toy").read_bytes("a.jpg")


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    raw = RawDataset(tmp_path, "toy")
    assert not raw.exists("folder.jpg")
    assert not raw.exists("pipe.jpg")
    assert list(raw.list("{n}.jpg")) == []


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.csv.gz"])
@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_a_damaged_archive_is_named(tmp_path: Path, name: str, damage: str) -> None:
    files = {"a.txt": os.urandom(20_000), "b.txt": os.urandom(20_000)}
    if name.endswith(".zip"):
        write_zip(tmp_path / name, files)
    elif ".tar" in name:
        write_tar(tmp_path / name, dict(TARS)[name[1:]], files)
    else:
        (tmp_path / name).write_bytes(gzip.compress(files["a.txt"]))
    whole = (tmp_path / name).read_bytes()
    broken = {"garbage": b"not an archive " * 100, "cut": whole[:15_000], "empty": b""}[damage]
    (tmp_path / name).write_bytes(broken)
    raw = RawDataset(tmp_path, "toy", [Archive(name)])
    with pytest.raises(BadRawError) as caught:
        for member in ("a.txt", "b.txt", "x.csv"):
            if raw.exists(member):
                raw.read_bytes(member)
        raw.read_bytes("b.txt" if name.endswith(".zip") else "x.csv")
    assert name in str(caught.value.where)


def test_a_flipped_byte_in_a_member_is_noticed(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"a.txt": b"a" * 1000}, zipfile.ZIP_STORED)
    whole = bytearray((tmp_path / "x.zip").read_bytes())
    whole[500] ^= 1
    (tmp_path / "x.zip").write_bytes(whole)
    with pytest.raises(BadRawError, match="checksum"):
        RawDataset(tmp_path, "toy", [Archive("x.zip")]).read_bytes("a.txt")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_threads_read_one_archive_at_once(tmp_path: Path, name: str) -> None:
    files = {f"{number}.bin": bytes([number]) * (1000 * number) for number in range(1, 60)}
    if name == "x.zip":
        write_zip(tmp_path / name, files)
    else:
        write_tar(tmp_path / name, dict(TARS)[name[1:]], files)
    raw = RawDataset(tmp_path, "toy", [Archive(name)])
    wrong: list[str] = []

    def read_all() -> None:
        wrong.extend(path for path, content in files.items() if raw.read_bytes(path) != content)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_look_at_many_files_hides_no_change(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    kinds = ("same", "other", "gone", "folder", "link")
    names = [f"{folder}/{kind}.txt" for folder in ("a", "w/b") for kind in kinds]
    unpack(root, dict.fromkeys(names, b"before"))
    write_zip(root / "z.zip", {"packed.txt": b"packed"})
    raw = RawDataset(root, "toy", [Archive("z.zip")])
    stamps = {
        path: raw.stamp(path) for path in (*names, "packed.txt", "late.txt", "no/such.txt", "a/same.TXT")
    }
    odd = {"a/\0.txt": "refused", "../raw/a/same.txt": "refused", "\0listing a/*": "2 abc"}

    for folder in ("a", "w/b"):
        (root / folder / "other.txt").write_bytes(b"longer than before")
        for name in ("gone", "folder", "link"):
            (root / folder / f"{name}.txt").unlink()
        (root / folder / "folder.txt").mkdir()
        (root / folder / "link.txt").symlink_to("same.txt")
    (root / "late.txt").write_bytes(b"late")

    knows_no_folder = RawDataset(root, "toy", [Archive("z.zip")])
    for opened in (raw, knows_no_folder):
        left = dict(opened.perhaps_changed((stamps | odd).items()))
        changed = {path for path, was in stamps.items() if opened.stamp(path) != was}
        assert {"a/other.txt", "a/gone.txt", "a/folder.txt", "w/b/gone.txt", "late.txt"} <= changed
        assert changed | odd.keys() <= left.keys()
        assert not {"a/same.txt", "w/b/same.txt"} & left.keys()
