"""Finds the miniature of a dataset: a generator, or files cut from upstream's.

A generator is the module `vision_flan.miniatures.datasets.<slug>` with one function,
`generate(mini: Miniature) -> None`; its docstring says what `n` counts and what `source_id` in the truth
is. The module of a slug that starts with a digit begins with an underscore. A cut miniature is the folder
`tests/miniatures/<slug>` of a root of specs (`vision_flan.miniatures.cut_folder`); it always has the same
records.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from vision_flan.errors import SpecError
from vision_flan.miniatures.cut_folder import copy_into
from vision_flan.miniatures.miniature import Miniature
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.nearest import did_you_mean

Generator = Callable[[Miniature], None]
_SLUG = re.compile(r"[a-z0-9_]+")
_FOLDER = Path(__file__).parent / "datasets"


def generators() -> list[str]:
    """Slugs of all datasets that have a generator."""
    names = (path.stem for path in _FOLDER.glob("*.py"))
    return sorted(name.removeprefix("_") for name in names if name != "__init__")


def available(catalog: Catalog | None = None) -> list[str]:
    """Slugs of all datasets that have a miniature of either kind."""
    known = catalog or Catalog.default()
    cut = {slug for slug in known.dataset_files if known.miniature_folder(slug)}
    return sorted({*generators(), *cut})


def find(dataset: str, catalog: Catalog | None = None) -> Generator:
    """What writes the miniature of `dataset`.

    Raises:
        SpecError: there is none; the message names the nearest ones.
    """
    known = catalog or Catalog.default()
    if dataset in known.dataset_files and (folder := known.miniature_folder(dataset)):
        return partial(copy_into, folder)
    names = generators()
    if not _SLUG.fullmatch(dataset) or dataset not in names:
        first = f"vflan miniature cut {dataset} --raw DIR makes one from its files"
        hint = first if dataset in known.dataset_files else did_you_mean(dataset, names, "`vflan list`")
        raise SpecError(f"no miniature of a dataset {dataset!r}", hint=hint)
    name = f"_{dataset}" if dataset[0].isdigit() else dataset
    module = importlib.import_module(f"vision_flan.miniatures.datasets.{name}")
    return cast(Generator, module.generate)


def make(
    dataset: str,
    root: Path,
    n: int,
    seed: int,
    *,
    archives: bool = False,
    images: bool = True,
    catalog: Catalog | None = None,
    resume: bool = False,
) -> Miniature:
    """Write the miniature of `dataset` below `root`; the result is closed and says what was written.

    Of a cut miniature all records are written, whatever the number and the seed.
    """
    generate = find(dataset, catalog)
    with Miniature(root, dataset, n, seed, archives=archives, images=images, resume=resume) as mini:
        generate(mini)
    return mini


@contextmanager
def temporary(dataset: str, n: int, seed: int = 0, catalog: Catalog | None = None) -> Iterator[Path]:
    """A temporary raw folder with a miniature of a dataset, removed at the end.

    Raises:
        SpecError: the dataset has no miniature.
    """
    find(dataset, catalog)
    with tempfile.TemporaryDirectory(prefix="vflan-") as folder:
        make(dataset, Path(folder), n, seed, catalog=catalog)
        yield Path(folder)
