from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """A toy dataset of 12 pictures and its task, in tmp_path."""
    return Toy(tmp_path)
