"""What the machine refuses ends as an error that says what to do, and the next run completes the config."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.toy import Toy
from vision_flan.build.compile import Options, compile_task
from vision_flan.build.locks import locked
from vision_flan.dataset.manifest import verify
from vision_flan.errors import BadRawError, ExitCode, MachineError, VflanError
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog


def raising(code: int) -> Any:
    """A system call that fails."""

    def call(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def problems(folder: Path) -> list[str]:
    *_, (_, found) = verify(folder)
    return [problem.message for problem in found.problems]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "choose another --out, or fix its permissions"),
        (errno.EROFS, "choose another --out, or fix its permissions"),
        (errno.ESTALE, "check that --out exists"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_write_that_fails_says_why_and_the_next_run_completes(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, code: int, hint: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", raising(code))
        with pytest.raises(MachineError, match="cannot write") as caught:
            toy.compile()
    assert caught.value.exit_code == ExitCode.SYSTEM
    assert os.strerror(code) in caught.value.what and hint in caught.value.hint
    assert not (toy.out / "manifest").exists() or not list((toy.out / "manifest").glob("*.json"))
    assert toy.compile().manifest.rows == 12
    assert problems(toy.out) == []


def test_a_file_system_without_locks_is_named_as_the_cause(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", raising(errno.ENOLCK))
    with pytest.raises(MachineError) as caught:
        toy.compile()
    assert "does not support locks" in caught.value.hint


class TestLockOfAnotherHost:
    """As on NFS, where `flock` may hold on one machine only: the file says who works there."""

    def lock(self, toy: Toy, age: float) -> Path:
        path = toy.out / ".vflan/toy_color/lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("process 4711 on node-17\n")
        moment = time.time() - age
        os.utime(path, (moment, moment))
        return path

    def test_one_that_was_touched_a_moment_ago_is_held(self, toy: Toy) -> None:
        self.lock(toy, 20)
        with pytest.raises(MachineError, match="process 4711 on node-17") as caught:
            toy.compile()
        assert "if it was killed, for 60 seconds" in caught.value.hint

    @pytest.mark.parametrize("age", [90, -7200])
    def test_one_that_was_left_behind_is_taken_also_if_a_clock_was_wrong(self, toy: Toy, age: float) -> None:
        path = self.lock(toy, age)
        assert toy.compile().manifest.rows == 12
        assert path.read_text() == ""

    def test_one_that_is_held_is_touched(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vision_flan.build.locks._BEAT", 0.01)
        path = tmp_path / "lock"
        with locked(path, wait=False):
            assert str(os.getpid()) in path.read_text()
            os.utime(path, (0, 0))
            until = time.monotonic() + 10
            while path.stat().st_mtime == 0 and time.monotonic() < until:
                time.sleep(0.01)
            assert path.stat().st_mtime > 0
        assert path.read_text() == ""


def test_a_path_that_is_too_long_is_named_as_the_cause(toy: Toy) -> None:
    with pytest.raises(MachineError) as caught:
        toy.compile(out=toy.root / ("x" * 300))
    assert "shorter path" in caught.value.hint


def test_an_out_that_is_a_file_is_refused(toy: Toy) -> None:
    toy.out.write_text("")
    with pytest.raises(MachineError) as caught:
        toy.compile()
    assert "choose another --out" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(toy: Toy) -> None:
    toy.out.mkdir(mode=0o500)
    with pytest.raises(MachineError) as caught:
        toy.compile()
    assert "permissions" in caught.value.hint


class TestAnotherFileSystem:
    """The work folder may lie on another one; `os.replace` and `os.rename` refuse to cross it."""

    @pytest.fixture
    def crossing(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """Renaming a shard out of the work folder fails; the names that were tried."""
        tried: list[str] = []
        rename = os.replace

        def replace(source: Any, target: Any) -> None:
            if ".vflan" in str(source) and ".vflan" not in str(target):
                tried.append(Path(source).name)
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(source, target)

        monkeypatch.setattr(os, "replace", replace)
        yield tried

    def test_shards_are_copied(self, toy: Toy, crossing: list[str], tmp_path: Path) -> None:
        result = toy.compile()
        assert crossing == ["00000.0.parquet"]
        assert problems(toy.out) == []
        assert [path.name for path in (toy.out / "toy_color").iterdir()] == ["train-00000-of-00001.parquet"]
        assert not toy.compile().built
        assert result.manifest.rows == 12

    def test_a_copy_that_fails_leaves_nothing_behind_and_can_be_repeated(
        self, toy: Toy, crossing: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("shutil.copyfile", raising(errno.ENOSPC))
            with pytest.raises(MachineError, match="cannot write"):
                toy.compile()
        assert list((toy.out / "toy_color").iterdir()) == []
        assert toy.compile().manifest.rows == 12
        assert problems(toy.out) == []


def test_six_packed_tasks_leave_no_file_open(tmp_path: Path) -> None:
    """Built, up to date and failing: each task opens the archives of its dataset, and closes them."""
    registry.make("domain_net", tmp_path / "raw", 12, seed=1, archives=True)
    catalog = Catalog.default()
    names = [name for name, path in catalog.task_files.items() if path.parent.name == "domain_net"]
    assert len(names) == 6 and len(list((tmp_path / "raw/domain_net").glob("*.zip"))) == 6

    def compile_all() -> list[str]:
        states = []
        for name in names:
            try:
                made = compile_task(name, tmp_path / "raw", tmp_path / "out", catalog, Options(), Silent())
                states.append("built" if made.built else "up to date")
            except VflanError as error:
                states.append(type(error).__name__)
        return states

    def open_files() -> set[str]:
        found = set()
        for link in Path("/proc/self/fd").iterdir():
            try:
                found.add(str(link.readlink()))
            except FileNotFoundError:  # the listing itself
                continue
        return {path for path in found if str(tmp_path) in path}

    assert compile_all() == ["built"] * 6
    assert open_files() == set()
    assert compile_all() == ["up to date"] * 6
    assert open_files() == set()
    for path in (tmp_path / "raw/domain_net").glob("*.zip"):
        os.truncate(path, path.stat().st_size - 40)
    assert compile_all() == [BadRawError.__name__] * 6
    assert open_files() == set()
