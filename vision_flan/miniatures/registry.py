"""Finds the generator of a dataset: the module `vision_flan.miniatures.datasets.<slug>`.

A generator is one function, `generate(mini: Miniature) -> None`; its module's docstring says what `n` counts
and what `source_id` in the truth is. The module of a slug that starts with a digit begins with an underscore.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from vision_flan.errors import SpecError
from vision_flan.miniatures.miniature import Miniature
from vision_flan.spec.nearest import did_you_mean

Generator = Callable[[Miniature], None]
_SLUG = re.compile(r"[a-z0-9_]+")
_FOLDER = Path(__file__).parent / "datasets"


def available() -> list[str]:
    """Slugs of all datasets that have a generator."""
    names = (path.stem for path in _FOLDER.glob("*.py"))
    return sorted(name.removeprefix("_") for name in names if name != "__init__")


def find(dataset: str) -> Generator:
    """The generator of `dataset`.

    Raises:
        SpecError: there is none; the message names the nearest ones.
    """
    known = available()
    if not _SLUG.fullmatch(dataset) or dataset not in known:
        hint = did_you_mean(dataset, known, "`vflan list` shows all datasets")
        raise SpecError(f"no miniature of a dataset {dataset!r}", hint=hint)
    name = f"_{dataset}" if dataset[0].isdigit() else dataset
    module = importlib.import_module(f"vision_flan.miniatures.datasets.{name}")
    return cast(Generator, module.generate)


def make(
    dataset: str, root: Path, n: int, seed: int, *, archives: bool = False, images: bool = True
) -> Miniature:
    """Write the miniature of `dataset` below `root`; the result is closed and says what was written."""
    generate = find(dataset)
    with Miniature(root, dataset, n, seed, archives=archives, images=images) as mini:
        generate(mini)
    return mini


@contextmanager
def temporary(dataset: str, n: int, seed: int = 0) -> Iterator[Path]:
    """A temporary raw folder with a miniature of a dataset, removed at the end.

    Raises:
        SpecError: no generator for the dataset.
    """
    find(dataset)
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        make(dataset, Path(folder), n, seed)
        yield Path(folder)
