"""Miniatures for tests, each made once per session."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vision_flan.miniatures import registry

#: Makes the miniature of a dataset and returns the folder that stands for --raw.
Make = Callable[[str], Path]


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Make:
    @lru_cache
    def make(dataset: str) -> Path:
        root = tmp_path_factory.mktemp(dataset)
        registry.make(dataset, root, 100, 7)
        return root

    return make


def truth(root: Path, task: str) -> dict[str, dict[str, Any]]:
    """Truth of a task by source id."""
    lines = (root / ".truth" / f"{task}.jsonl").read_text("utf-8").splitlines()
    return {record["source_id"]: record for record in map(json.loads, lines)}


def said(record: dict[str, Any]) -> str:
    """All texts that a line of truth accepts, however a task words them."""
    return "\n".join([record.get("target", ""), record.get("answer", ""), *record.get("one_of", [])])


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def modes(folder: Path) -> set[str]:
    found = set()
    for path in images(folder):
        with Image.open(path) as image:
            found.add(image.mode)
    return found


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
