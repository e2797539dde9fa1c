"""A user's own root and raw folder, and the commands that lead from there to `load_dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Types a command with the user's own root and raw folder; returns what it prints."""
    monkeypatch.setenv("VFLAN_ROOT", str(tmp_path / "mine"))
    monkeypatch.setenv("VFLAN_RAW", str(tmp_path / "raw"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)

    def typed(*arguments: str, code: int = ExitCode.OK) -> str:
        found = run(vflan, list(arguments))
        shown = capsys.readouterr()
        assert found == code, shown.out + shown.err
        return shown.out

    return typed


@pytest.fixture
def compiled(typed: Any) -> Any:
    """Validates a task with its miniature, compiles the raw files, and loads the result."""

    def compiled(task: str) -> datasets.Dataset:
        assert "errors: 0, warnings: 0" in typed("validate", "--rendered", task)
        typed("compile", "--task", task, "--out", "out")
        return datasets.load_dataset("out", task, split="train")

    return compiled
