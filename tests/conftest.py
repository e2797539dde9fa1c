from __future__ import annotations

from pathlib import Path

import pytest

from tests.raw_folder import RawFolder
from tests.toy import Toy


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
