"""Archives that were cut, changed, or are none: an error that says so, or the very same members."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.errors import BadRawError, DamagedFileError, VflanError
from vision_flan.raw.folder import Archive, RawDataset
from vision_flan.raw.leftovers import Leftovers

FILES = {"a/1.txt": b"one" * 300, "a/2.txt": os.urandom(700), "b.txt": b""}
MODES = {"x.tar": "w", "x.tar.gz": "w:gz", "x.tar.bz2": "w:bz2", "x.tar.xz": "w:xz"}


def packed(name: str) -> bytes:
    sink = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in FILES.items():
                archive.writestr(member, content)
    else:
        with tarfile.open(fileobj=sink, mode=MODES[name]) as tar:  # type: ignore[call-overload]
            for member, content in FILES.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def read_members(root: Path, name: str, size: int | None = None) -> dict[str, bytes]:
    with RawDataset(root, "toy", [Archive(name, bytes=size)]) as raw:
        return {path: raw.read_bytes(path) for path, _ in raw.list("{p*}.txt")}


WHOLE = {name: packed(name) for name in (*MODES, "x.zip")}


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_archive_cut_at_any_byte_is_refused_or_whole(name: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(WHOLE[name]) - 1))
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(WHOLE[name][:cut])
        try:
            found = read_members(Path(folder), name)
        except BadRawError:
            return
        assert found == FILES


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), min_size=1, max_size=4))
def test_an_archive_with_any_bytes_changed_never_gives_a_traceback(
    name: str, changes: list[tuple[int, int]]
) -> None:
    broken = bytearray(WHOLE[name])
    for at, mask in changes:
        broken[at % len(broken)] ^= mask
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(broken)
        try:
            read_members(Path(folder), name)
        except VflanError as error:
            assert error.what


def test_a_tar_without_its_end_is_whole_only_when_it_is_as_long_as_upstreams(tmp_path: Path) -> None:
    cut = WHOLE["x.tar"].rstrip(b"\0")
    cut += b"\0" * (-len(cut) % 512)
    (tmp_path / "x.tar").write_bytes(cut)
    with pytest.raises(BadRawError, match="does not end in zeros"):
        read_members(tmp_path, "x.tar")
    with pytest.raises(BadRawError, match=r"upstream's has 99,999"):
        read_members(tmp_path, "x.tar", 99_999)
    assert read_members(tmp_path, "x.tar", len(cut)) == FILES


def test_gzip_streams_in_a_row_and_padding_are_fine(tmp_path: Path) -> None:
    plain = WHOLE["x.tar"]
    joined = gzip.compress(plain[:1000]) + gzip.compress(plain[1000:])
    for padding in (b"", b"\0" * 700, b"garbage"):
        (tmp_path / "x.tar.gz").write_bytes(joined + padding)
        assert read_members(tmp_path, "x.tar.gz") == FILES


@pytest.mark.parametrize(("name", "real"), [("x.tar.gz", "x.tar"), ("x.tar", "x.tar.gz"), ("x.zip", "x.tar")])
def test_an_archive_is_opened_by_its_content(tmp_path: Path, name: str, real: str) -> None:
    (tmp_path / name).write_bytes(WHOLE[real])
    assert read_members(tmp_path, name) == FILES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"Quota exceeded\n", "plain text"),
        (b"", "empty"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(BadRawError, match=said):
        read_members(tmp_path, "x.zip")


def test_links_in_a_tar_are_read_within_it_and_named_when_they_lead_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        info = tarfile.TarInfo("a/1.txt")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"one"))
        for name, kind, target in (
            ("hard.txt", tarfile.LNKTYPE, "a/1.txt"),
            ("a/soft.txt", tarfile.SYMTYPE, "../hard.txt"),
            ("out.txt", tarfile.SYMTYPE, "/etc/passwd"),
            ("round.txt", tarfile.SYMTYPE, "round.txt"),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    with RawDataset(tmp_path, "toy", [Archive("x.tar")]) as raw:
        assert raw.read_bytes("hard.txt") == raw.read_bytes("a/soft.txt") == b"one"
        with pytest.raises(DamagedFileError, match="leads out of the archive"):
            raw.read_bytes("out.txt")
        with pytest.raises(DamagedFileError, match="in a circle"):
            raw.read_bytes("round.txt")


def test_suffixes_in_either_case_wrappers_and_normalizations_are_found(tmp_path: Path) -> None:
    for name in ("t/t/a.jpg", "t/t/B.JPG", "t/t/cafe\u0301.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with RawDataset(tmp_path, "toy") as raw:
        assert [parts["n"] for _, parts in raw.list("t/{n}.jpg")] == ["B", "a", "caf\u00e9"]
        assert raw.read_bytes("t/b.jpg".replace("b", "B")) == raw.read_bytes("t/caf\u00e9.jpg") == b"x"


def test_names_that_are_no_utf8_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / os.fsdecode(b"\xff.txt")).write_bytes(b"")
    assert [path for path, _ in RawDataset(tmp_path, "toy").list("{n}.txt")] == ["a.txt"]


def test_no_file_stays_open(tmp_path: Path) -> None:
    for name, content in WHOLE.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "cut.zip").write_bytes(WHOLE["x.zip"][:300])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in WHOLE:
        read_members(tmp_path, name)
        raw = RawDataset(tmp_path, "toy", [Archive(name), Archive("cut.zip")])
        with pytest.raises(BadRawError):
            raw.exists("nothing.txt")
        raw.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("zipped", [False, True])
def test_images_beside_the_matched_ones_are_said(tmp_path: Path, zipped: bool) -> None:
    names = ("a/1.jpg", "a/2.jpeg", "a/3.png", "a/notes.txt", "b/4.jpeg")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
        if not zipped:
            archive.extractall(tmp_path)
    leftovers = Leftovers(["{folder}/{name}.jpg", "a/{name}.png"])
    with RawDataset(tmp_path, "toy", [Archive("x.zip")] if zipped else []) as raw:
        raw.watch = leftovers
        assert [path for path, _ in raw.list("{folder}/{name}.jpg")] == ["a/1.jpg"]
    assert list(leftovers.lines()) == ["1 image beside the matched ones matches no table: a/2.jpeg"]
