"""Archives as upstreams and other machines make them, compiled in place by `vflan compile`."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toy import DATASET, Toy, square
from vision_flan.errors import BadRawError, DamagedFileError
from vision_flan.raw.folder import Archive, RawDataset
from vision_flan.raw.leftovers import Leftovers

Compile = Callable[[], tuple[int, str]]
TAR = shutil.which("tar")


def take_images(toy: Toy) -> dict[str, bytes]:
    """The toy's images by their names, which are not on disk any more."""
    folder = toy.raw / "toy/images"
    images = {f"images/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}
    shutil.rmtree(folder)
    return images


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def add_link(archive: zipfile.ZipFile, name: str, target: str) -> None:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, target)


@pytest.mark.parametrize("wrapper", ["", "images/", "toy-1.0/"])
def test_images_are_compiled_from_a_zip_with_or_without_a_folder_around_them(
    toy: Toy, compile_toy: Compile, wrapper: str
) -> None:
    images = take_images(toy)
    (toy.raw / "toy/images.zip").write_bytes(zipped({wrapper + name: data for name, data in images.items()}))
    code, shown = compile_toy()
    assert code == 0 and "12 instances of 12 records" in shown
    assert {row["image"]["bytes"] for row in toy.rows()} == set(images.values())


def test_an_archive_named_in_capitals_is_an_archive(toy: Toy, compile_toy: Compile) -> None:
    toy.write_specs(DATASET.replace("images.zip", "IMAGES.ZIP"))
    (toy.raw / "toy/IMAGES.ZIP").write_bytes(zipped(take_images(toy)))
    code, shown = compile_toy()
    assert code == 0 and "12 instances" in shown


def test_backslashes_between_the_folders_of_a_zip_are_slashes(toy: Toy, compile_toy: Compile) -> None:
    # ZipInfo would write them as slashes: names of one length are exchanged in the bytes
    data = zipped({name.replace("/", "|"): data for name, data in take_images(toy).items()})
    (toy.raw / "toy/images.zip").write_bytes(data.replace(b"images|", b"images\\"))
    code, shown = compile_toy()
    assert code == 0 and "12 instances" in shown


@pytest.mark.parametrize("parts", [("images.zip.001", "images.zip.002"), ("images.z01", "images.z02")])
def test_a_split_archive_says_how_to_join_its_parts(
    toy: Toy, compile_toy: Compile, parts: tuple[str, str]
) -> None:
    data = zipped(take_images(toy))
    for name, part in zip(parts, (data[:1000], data[1000:]), strict=True):
        (toy.raw / "toy" / name).write_bytes(part)
    code, shown = compile_toy()
    assert code == 4
    assert f"{parts[0]}, {parts[1]}" in shown and "join the parts" in shown
    if parts[0].endswith("001"):
        (toy.raw / "toy/images.zip").write_bytes(data)  # as the hint's `cat` does
        assert compile_toy()[0] == 0


def test_a_cut_zip_that_ends_in_a_whole_zip_is_not_taken_for_it(toy: Toy, compile_toy: Compile) -> None:
    images = take_images(toy)
    whole = zipped({**images, "inner.zip": zipped({"images/0000.png": square("r")})})
    cut = whole[: whole.index(b"PK\1\2", whole.rindex(b"PK\5\6", 0, len(whole) - 30))]
    (toy.raw / "toy/images.zip").write_bytes(cut)
    code, shown = compile_toy()
    assert code == 4 and "images.zip: the archive is damaged or cut short" in shown


def test_a_zip_whose_list_lacks_members_is_damaged(toy: Toy, compile_toy: Compile) -> None:
    data = bytearray(zipped(take_images(toy)))
    end = data.rindex(b"PK\5\6")
    data[end + 8] = data[end + 10] = 11
    (toy.raw / "toy/images.zip").write_bytes(data)
    code, shown = compile_toy()
    assert code == 4 and "its list has 12 members, its end record says 11" in shown


def test_symbolic_links_in_a_zip_are_read_within_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1.txt", "one")
        for name, target in (
            ("b/soft.txt", "../a/1.txt"),
            ("twice.txt", "b/soft.txt"),
            ("out.txt", "../../etc/passwd"),
            ("etc.txt", "/etc/passwd"),
            ("round.txt", "round.txt"),
            ("gone.txt", "a/2.txt"),
        ):
            add_link(archive, name, target)
    with RawDataset(tmp_path, "toy", [Archive("x.zip")]) as raw:
        assert raw.read_bytes("b/soft.txt") == raw.read_bytes("twice.txt") == b"one"
        for name, why in {
            "out.txt": "leads out",
            "etc.txt": "leads out",
            "round.txt": "circle",
            "gone.txt": "not a file of the archive",
        }.items():
            with pytest.raises(DamagedFileError, match=why):
                raw.read_bytes(name)


@pytest.mark.skipif(TAR is None, reason="there is no tar on this machine")
@pytest.mark.parametrize("made", ["gnu", "0.0", "0.1", "1.0"])
@pytest.mark.parametrize("packed", [False, True])
def test_sparse_members_of_gnu_tar_are_read_with_their_holes(tmp_path: Path, made: str, packed: bool) -> None:
    source, block = tmp_path / "source", 1 << 16
    source.mkdir()
    with (source / "holes.bin").open("wb") as file:
        for at in range(0, 20, 2):  # more pieces than a header of the old format has room for
            file.seek(at * block)
            file.write(bytes([at + 1]) * 4096)
        file.truncate(21 * block)
    (source / "plain.bin").write_bytes(b"plain" * 300)
    kind = ["--format=gnu"] if made == "gnu" else ["--format=pax", f"--sparse-version={made}"]
    name = "x.tar.gz" if packed else "x.tar"
    command = [str(TAR), "--sparse", *kind, "-C", str(source), f"-c{'z' if packed else ''}f"]
    made_by = subprocess.run(
        [*command, str(tmp_path / name), "holes.bin", "plain.bin"], capture_output=True, text=True
    )
    if "sparse" in made_by.stderr or "unrecognized" in made_by.stderr:
        pytest.skip("this tar is not GNU tar")
    assert made_by.returncode == 0, made_by.stderr
    whole = (source / "holes.bin").read_bytes()
    with RawDataset(tmp_path, "toy", [Archive(name)]) as raw:
        assert raw.read_bytes("holes.bin") == whole
        assert raw.read_bytes("holes.bin", 3 * block) == whole[: 3 * block]
        assert raw.stat("holes.bin").bytes == len(whole)
        with raw.open("holes.bin") as stream:
            stream.seek(2 * block)
            assert stream.read(4096) == b"\3" * 4096
        assert raw.read_bytes("plain.bin") == b"plain" * 300


@pytest.mark.parametrize("suffix", ["zip", "tar"])
@pytest.mark.parametrize(("stored", "asked"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_in_an_archive_is_found_in_either_normalization(
    toy: Toy, compile_toy: Compile, suffix: str, stored: str, asked: str
) -> None:
    def spelled(form: str) -> str:
        return unicodedata.normalize(form, "caf\u00e9.png")  # type: ignore[arg-type]

    take_images(toy)
    toy.write_records([{"name": spelled(asked), "color": "r"}])
    toy.write_specs(DATASET.replace("images.zip", f"images.{suffix}"))
    name, data = f"images/{spelled(stored)}", square("r")
    if suffix == "zip":
        (toy.raw / "toy/images.zip").write_bytes(zipped({name: data}))
    else:
        with tarfile.open(toy.raw / "toy/images.tar", "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    code, shown = compile_toy()
    assert code == 0 and "1 instances of 1 records" in shown
    assert toy.rows()[0]["image"]["bytes"] == data


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_a_member_whose_name_is_not_utf8_is_reported_and_not_listed(tmp_path: Path, suffix: str) -> None:
    bad = b"b\xff.jpg"
    if suffix == "zip":
        data = bytearray(zipped({"a.jpg": b"x", "b\u00e9.jpg": b"y"}))  # flagged as UTF-8
        (tmp_path / "x.zip").write_bytes(data.replace("b\u00e9.jpg".encode(), b"b\xff\xfe.jpg"))
    else:
        with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as tar:
            for name in ("a.jpg", os.fsdecode(bad)):
                tar.addfile(tarfile.TarInfo(name))
    leftovers = Leftovers(["{name}.jpg"])
    with RawDataset(tmp_path, "toy", [Archive(f"x.{suffix}")]) as raw:
        raw.watch = leftovers
        assert [path for path, _ in raw.list("{name}.jpg")] == ["a.jpg"]
    (line,) = leftovers.lines()
    assert "1 file cannot be read (a name that is not UTF-8)" in line and "b\\xff" in line


def test_a_table_file_whose_name_is_not_utf8_is_reported(toy: Toy, compile_toy: Compile) -> None:
    toy.write_specs(DATASET.replace("file: toy.json", 'file: "{part}.json"'))
    bad = toy.raw / "toy" / os.fsdecode(b"more\xff.json")
    bad.write_text(json.dumps([{"name": "0000.png", "color": "r"}]))
    code, shown = compile_toy()
    assert code == 0 and "12 instances of 12 records" in shown
    assert "1 file cannot be read" in shown and "more\\xff.json" in shown


def test_an_image_on_disk_is_read_up_to_64_mebibytes_only(
    toy: Toy, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (toy.raw / "toy/images/0000.png").open("ab") as file:
        file.truncate(8 << 30)  # a hole: takes no disk, and would take 8 GiB of memory
    longest = 0
    real_read = os.read

    def noted(descriptor: int, size: int) -> bytes:
        nonlocal longest
        data = real_read(descriptor, size)
        longest = max(longest, len(data))
        return data

    monkeypatch.setattr(os, "read", noted)
    code, shown = compile_toy()
    assert code == 0 and "11 instances of 12 records" in shown
    assert longest <= (64 << 20) + 1


def test_a_member_is_read_up_to_the_bytes_that_are_asked_for(tmp_path: Path) -> None:
    content = bytes(9 << 20)
    (tmp_path / "x.zip").write_bytes(zipped({"a.bin": content}, zipfile.ZIP_DEFLATED))
    with RawDataset(tmp_path, "toy", [Archive("x.zip")]) as raw:
        assert raw.read_bytes("a.bin", 1000) == content[:1000]
        with pytest.raises(BadRawError):
            raw.read_bytes("../a.bin", 1000)
