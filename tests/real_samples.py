"""Where real files of upstream lie, for tests that want them: `VFLAN_REAL_SAMPLES`, a folder per dataset.

Without it, the folder `../shared/real` beside the checkout is taken if it exists; without either, those tests
are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "VFLAN_REAL_SAMPLES"
MISSING = f"no real samples: {VARIABLE} names no folder"
_SIBLING = Path(__file__).parents[2] / "shared" / "real"


def real_samples(environment: Mapping[str, str] = os.environ, sibling: Path = _SIBLING) -> Path | None:
    """The folder of real samples, None if there is none.

    Raises:
        NotADirectoryError: the variable names no folder: a slip is no reason to skip tests.
    """
    named = environment.get(VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise NotADirectoryError(f"{VARIABLE}={named} is no folder")
        return folder
    return sibling if sibling.is_dir() else None


def sample_of(dataset: str) -> Path | None:
    """The folder of a dataset's real files, None if there is none."""
    samples = real_samples()
    folder = samples / dataset if samples else None
    return folder if folder and folder.is_dir() else None
