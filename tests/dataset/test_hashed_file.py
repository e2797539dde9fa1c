"""A file that Arrow writes and that is hashed from what the kernel holds of it."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_flan.dataset import hashed_file
from vision_flan.dataset.hashed_file import HashedFile


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=30), st.booleans())
def test_whatever_is_written_is_hashed_once_and_in_order(sizes: list[int], beside: bool) -> None:
    pieces = [bytes([i % 251]) * size for i, size in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        for name, size in (("_HELD", 70), ("_PIECE", 50), ("_WORTH_A_CALL", 200)):
            patched.setattr(hashed_file, name, size)
        with ThreadPoolExecutor(1) as thread:
            file = HashedFile(Path(folder, "a"), hashlib.sha256(), thread if beside else None)
            for piece in pieces:
                file.sink.write(piece)
                file.hash_written()
            file.finish()
            file.close()
        whole = b"".join(pieces)
        assert Path(folder, "a").read_bytes() == whole
        assert (file.bytes, file.hexdigest()) == (len(whole), hashlib.sha256(whole).hexdigest())


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    file = HashedFile(full, hashlib.sha256())
    file.sink.write(b"x")
    with pytest.raises(OSError) as raised:
        file.finish()
    file.close()
    assert raised.value.errno == errno.ENOSPC


def test_an_error_of_the_thread_that_hashes_ends_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_file, "_WORTH_A_CALL", 1)
    with ThreadPoolExecutor(1) as thread:
        file = HashedFile(tmp_path / "a", hashlib.sha256(), thread)
        monkeypatch.setattr(os, "pread", lambda *_: b"")  # as if something else had made it shorter
        file.sink.write(bytes(2**20))
        file.hash_written()
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            file.finish()
        file.close()


def test_a_file_in_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        HashedFile(tmp_path / "gone" / "a", hashlib.sha256())
    assert raised.value.filename == str(tmp_path / "gone" / "a")


def test_any_name_will_do(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    file = HashedFile(path, hashlib.sha256())
    file.sink.write(b"x")
    file.finish()
    file.close()
    assert path.read_bytes() == b"x"
