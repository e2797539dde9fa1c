"""What the operating system refuses: an error that says what to do, whatever file it hits."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toy import Toy
from vision_flan.errors import BadRawError, MachineError
from vision_flan.raw.folder import RawDataset

Compile = Callable[[], tuple[int, str]]


@pytest.mark.parametrize(
    ("number", "what", "hint"),
    [
        (errno.EACCES, "permission denied", "chmod -R u+rX"),
        (errno.EPERM, "permission denied", "chmod -R u+rX"),
        (errno.EIO, "input/output error", "check the disk"),
        (errno.ENFILE, "the system has too many open files", "fs.file-max"),
        (errno.ENOMEM, "out of memory", "--jobs"),
        (errno.ESTALE, "mounted again", "retry"),
    ],
)
def test_a_file_that_the_system_refuses_stops_the_compile(
    toy: Toy, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch, number: int, what: str, hint: str
) -> None:
    real_open = os.open

    def refusing(path: str | Path, flags: int, *rest: int, **named: int) -> int:
        if str(path).endswith("0003.png"):
            raise OSError(number, os.strerror(number), str(path))
        return real_open(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refusing)
    code, shown = compile_toy()
    assert code == 5
    assert "0003.png: cannot read the file" in shown and what in shown and hint in shown
    assert not (toy.out / "toy_color").exists()


def test_links_that_lead_in_a_circle_are_named(toy: Toy, compile_toy: Compile) -> None:
    image = toy.raw / "toy/images/0003.png"
    image.unlink()
    image.symlink_to(image.name)
    code, shown = compile_toy()
    assert code == 4 and "0003.png" in shown and "symbolic links lead in a circle" in shown


def test_a_folder_that_is_a_circle_of_links_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to("images")
    for use in (lambda raw: raw.read_bytes("images/a.jpg"), lambda raw: list(raw.list("images/{n}.jpg"))):
        with pytest.raises(BadRawError, match="lead in a circle"):
            use(RawDataset(tmp_path, "toy"))


def test_too_many_open_files_names_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    script = textwrap.dedent(
        f"""
        import os, resource
        from pathlib import Path
        from vision_flan.errors import MachineError
        from vision_flan.raw.folder import RawDataset

        raw = RawDataset(Path({str(tmp_path)!r}), "toy")
        raw.read_bytes("a.jpg")
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        assert raw.exists("a.jpg")  # takes none
        for use in (raw.read_bytes, raw.open, lambda path: list(raw.list("{{n}}.jpg"))):
            try:
                use("a.jpg")
            except MachineError as error:
                print(error.what, "|", error.hint)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout
    assert all("too many open files" in line and "ulimit -n 4096" in line for line in lines)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_not_an_absent_one(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir(mode=0)
    with pytest.raises(MachineError, match="permission denied"):
        RawDataset(tmp_path, "toy").exists("images/a.jpg")
