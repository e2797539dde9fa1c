from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from tests.chromium import chromium
from tests.raw_folder import RawFolder
from tests.toy import Toy
from vision_flan.cli.main import run, vflan
from vision_flan.spec.catalog import Catalog

# a slow or busy machine is no reason for a property to fail
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

WITHOUT_TORCH = "torch is not installed: `make test` installs it"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if find_spec("torch") is None:
        terminalreporter.write_line(f"Tests of the trainer were skipped: {WITHOUT_TORCH}")


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A toy dataset of 12 images and its task, in tmp_path."""
    return Toy(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> RawFolder:
    """An empty raw folder of a dataset `toy`, in tmp_path."""
    root = tmp_path / "toy"
    root.mkdir()
    return RawFolder(root)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium; a test is skipped where there is none."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def compile_toy(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, str]]:
    """Types `vflan compile --task toy_color`; returns the exit code and what the terminal shows."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)

    def typed() -> tuple[int, str]:
        code = run(vflan, ["compile", "--task", "toy_color"])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return typed
