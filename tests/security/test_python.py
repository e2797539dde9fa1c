"""`vf.compile` and the like work in a process with limits, and feel as if they did not."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import vision_flan as vf
from tests.cli.console import environment
from tests.security.conftest import until
from tests.toy import Toy
from vision_flan.errors import BadRawError, Location, MachineError, MissingRawError, SpecError
from vision_flan.guard import call_guarded, guarded
from vision_flan.limits import COMPILING, GIB, Limits, Step
from vision_flan.report import Reporter, Silent
from vision_flan.spec.catalog import Catalog

HERE = Location("toy/toy_color.yaml", 8, 1)


def begin() -> None:
    Step("reading an image", HERE, of_raw=True).begin()


def crash(_: Reporter) -> None:
    begin()
    os.kill(os.getpid(), signal.SIGSEGV)


def spin(_: Reporter) -> None:
    begin()
    while True:
        pass


def sleep(_: Reporter) -> None:
    begin()
    time.sleep(600)


def grow(_: Reporter) -> None:
    begin()
    _ = [bytearray(1 << 26) for _ in range(1 << 20)]


def recurse(report: Reporter) -> None:
    begin()
    recurse(report)


def leave(_: Reporter) -> None:
    begin()
    os._exit(127)


def speak(report: Reporter) -> int:
    print("text that a library prints")
    report.stage("writing", 3)
    report.advance(2, 100)
    report.note("one\x1b[2J")
    return os.getpid()


def fail(_: Reporter, error: Exception) -> None:
    raise error


class OddError(Exception):
    """An error that pickle cannot make again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")


def fail_oddly(_: Reporter) -> None:
    raise OddError(1, 2)


def give_lambda(_: Reporter) -> object:
    return lambda: 1


def wait_until_left(_: Reporter, note: Path) -> None:
    note.write_text(str(os.getpid()))
    time.sleep(600)


def memory_limit(_: Reporter) -> int:
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


def gone(note: Path) -> bool:
    return not Path(f"/proc/{note.read_text()}").exists()


LIMITED = Limits(memory=GIB, cpu=2, wall=60)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (crash, "a library crashed (SIGSEGV)"),
        (spin, "more than 2 s of processor time"),
        (sleep, "more than 3 s while"),
        (grow, "more than 1.0 GiB of memory"),
        (recurse, "nested too deeply"),
        (leave, "ended with code 127"),
    ],
)
def test_what_would_end_the_interpreter_is_an_error_with_the_spec(work: object, said: str) -> None:
    assert callable(work)
    with pytest.raises(BadRawError) as found:
        call_guarded(replace(LIMITED, wall=3) if work is sleep else LIMITED, Silent(), work)
    assert said in found.value.what
    assert found.value.where == HERE


class Heard(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def stage(self, name: str, total: int | None = None) -> None:
        self.calls.append(("stage", name, total, threading.get_ident()))

    def advance(self, steps: int, size: int = 0) -> None:
        self.calls.append(("advance", steps, size))

    def note(self, message: str) -> None:
        self.calls.append(("note", message))


def test_progress_arrives_in_the_thread_that_called(capfd: pytest.CaptureFixture[str]) -> None:
    report = Heard()
    assert call_guarded(COMPILING, report, speak) != os.getpid()
    assert report.calls == [
        ("stage", "writing", 3, threading.get_ident()),
        ("advance", 2, 100),
        ("note", "one\x1b[2J"),
    ]
    assert "text that a library prints" in capfd.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MissingRawError("no file", where=HERE, hint="get it"),
        MachineError("full", where=HERE, hint="free some"),
        SpecError("wrong", hint="correct it"),
        FileNotFoundError(2, "No such file", "x"),
    ],
)
def test_an_error_is_the_same_as_without_limits(error: Exception) -> None:
    if isinstance(error, MachineError):
        error.errno = 28
    with pytest.raises(type(error)) as found:
        call_guarded(COMPILING, Silent(), fail, error)
    assert str(found.value) == str(error)
    assert vars(found.value) == vars(error)


def test_an_error_or_a_result_that_cannot_travel_is_said() -> None:
    with pytest.raises(SpecError, match="OddError: odd"):
        call_guarded(COMPILING, Silent(), fail_oddly)
    with pytest.raises(Exception, match="lambda"):
        call_guarded(COMPILING, Silent(), give_lambda)


class Stopped(Silent):
    def stage(self, name: str, total: int | None = None) -> None:
        raise KeyboardInterrupt


def test_an_error_of_the_reporter_and_ctrl_c_end_the_call() -> None:
    with pytest.raises(KeyboardInterrupt):
        call_guarded(COMPILING, Stopped(), speak)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_process_ends_with_the_one_that_called(tmp_path: Path, number: int) -> None:
    note = tmp_path / "pid"
    script = (
        "import sys; from pathlib import Path; from vision_flan.guard import call_guarded\n"
        "from vision_flan.limits import COMPILING; from vision_flan.report import Silent\n"
        "from tests.security.test_python import wait_until_left\n"
        f"call_guarded(COMPILING, Silent(), wait_until_left, Path({str(note)!r}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment(),
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        until(lambda: note.exists() and note.read_text() != "")
        process.send_signal(number)
        process.wait(20)
    until(lambda: gone(note))


def test_limits_come_from_the_call_or_the_environment(monkeypatch: pytest.MonkeyPatch, toy: Toy) -> None:
    assert call_guarded(Limits(memory=3 * GIB), Silent(), memory_limit) == 3 * GIB
    monkeypatch.setenv("VFLAN_LIMIT_MEMORY", "5G")
    assert guarded("default", None, memory_limit) == 5 * GIB
    assert guarded(None, None, memory_limit) == resource.getrlimit(resource.RLIMIT_DATA)[0]
    monkeypatch.setenv("VFLAN_LIMIT_MEMORY", "a lot")
    with pytest.raises(MachineError, match="VFLAN_LIMIT_MEMORY"):
        vf.verify(toy.out)
    with pytest.raises(ValueError, match="limits is 'default'"):
        vf.verify(toy.out, limits="none")  # type: ignore[arg-type]


def test_compile_from_python_is_limited(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    toy.replace(
        "table: records",
        "sql: |-\n  SELECT count(*)::VARCHAR AS name, 'r' AS color "
        "FROM range(3000000) a(i), range(3000000) b(j) WHERE i * j = 3",
    )
    with pytest.raises(SpecError) as found:
        vf.compile("toy_color", toy.raw, toy.out, limits=Limits(sql=2))
    assert "2 s" in found.value.what
    assert found.value.where is not None and found.value.where.line
    assert not (toy.out / "toy_color").exists()


def test_a_script_needs_no_guard_around_its_calls_with_jobs(toy: Toy) -> None:
    script = toy.root / "script.py"
    script.write_text(
        "import vision_flan as vf\nfrom vision_flan.spec.catalog import Catalog\nfrom pathlib import Path\n"
        f"root = Path({str(toy.root)!r})\n"
        "Catalog.default = classmethod(lambda cls: cls(root / 'task_specs', root / 'instructions'))\n"
        "result = vf.compile('toy_color', root / 'raw', root / 'out', jobs=2)\n"
        "print('rows', result.manifest.rows)\n"
        "print('again', vf.compile('toy_color', root / 'raw', root / 'out').built)\n"
        "print('faults', vf.verify(root / 'out').problems)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["rows 12", "again False", "faults []"], done.stderr
