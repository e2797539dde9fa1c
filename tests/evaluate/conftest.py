from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate.judge_server import JudgeServer
from tests.real_samples import sample_of
from vision_flan.cli.main import run, vflan

#: A folder with a stand-in for lmms-eval.
STAND_IN = Path(__file__).parent / "lmms_stand_in"


@pytest.fixture
def real() -> Callable[[str], Path]:
    """The folder of a dataset's real files; skips where there is none. `fixtures` has a few lines of them."""

    def folder(name: str) -> Path:
        found = sample_of(name)
        if found is None:
            pytest.skip(f"no real files of {name}")
        return found

    return folder


@pytest.fixture
def fixtures() -> Path:
    return Path(__file__).parent / "fixtures"


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`vflan score ... --json`, which must succeed."""

    def call(*arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        code = run(vflan, ["score", *map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        data: dict[str, Any] = json.loads(out)
        return data

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`vflan score ...`, which must fail as a user's mistake; what it prints."""

    def call(*arguments: str | Path) -> str:
        capsys.readouterr()
        code = run(vflan, ["score", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert code == 1, (code, out, err)
        assert "Traceback" not in err
        return err

    return call


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Writes objects as lines of a file."""

    def write(*rows: dict[str, Any], name: str = "answers.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], str]], JudgeServer]]:
    """Starts a judge that replies by a function."""
    servers: list[JudgeServer] = []

    def start(reply: Callable[[str], str]) -> JudgeServer:
        server = JudgeServer(reply)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A run with an exported model."""
    hf = tmp_path / "run" / "hf"
    hf.mkdir(parents=True)
    (hf / "config.json").write_text("{}")
    return tmp_path / "run"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The tasks of each call of the stand-in."""
    path = tmp_path / "calls.jsonl"
    monkeypatch.setenv("STAND_IN_CALLS", str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STAND_IN), *sys.path]))

    def read() -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        return [arguments[arguments.index("--tasks") + 1] for arguments in map(json.loads, lines)]

    return read


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the answers of the stand-in's model, in the order of questions."""

    def call(*answers: str) -> None:
        monkeypatch.setenv("STAND_IN_ANSWERS", json.dumps(answers))

    return call


@pytest.fixture
def evaluate(
    tmp_path: Path, calls: object, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`vflan evaluate` with a stand-in for lmms-eval: exit code, standard output, standard error."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        compiled = ["--compiled", str(tmp_path / "compiled"), "--device", "cpu"]
        python = ["--lmms-python", sys.executable]
        code = run(vflan, ["evaluate", *map(str, arguments), *compiled, *python])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def reproduce(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """`vflan reproduce` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(vflan, ["reproduce", *map(str, arguments)])
        return code, *capfd.readouterr()

    return call
