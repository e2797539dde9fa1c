"""Compiled folders and Hub repositories, opened through `datasets`; rows by (task, row).

Texts and images are read apart: a step's plan needs every sample's text, a rank only its own images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc

from vision_flan.columns import COLUMNS, IMAGE
from vision_flan.errors import Location, VflanError
from vision_flan.train.config import Data
from vision_flan.train.mixture import Mixture, Ref, choose_tasks

TEXTS = ["id", "prompt", "target", "category", "task"]


class CorpusError(VflanError):
    """The compiled data cannot be read."""


@dataclass(frozen=True)
class Sample:
    """The texts of one instance, and whether it has an image."""

    id: str
    prompt: str
    target: str
    category: str
    task: str
    has_image: bool


class Table:
    """One compiled task."""

    def __init__(self, root: str, task: str) -> None:
        self.root, self.task = root, task
        try:
            rows = datasets.load_dataset(root, task, split="train")
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise CorpusError(
                f"task {task!r} does not load: {error}", where=Location(root), hint=f"vflan verify {root}"
            ) from error
        missing = [name for name in (*TEXTS, IMAGE) if name not in rows.column_names]
        if missing:
            raise CorpusError(
                f"task {task!r} lacks the columns {', '.join(missing)}",
                where=Location(root),
                hint=f"a compiled folder has {', '.join(COLUMNS)}",
            )
        self._texts = rows.select_columns(TEXTS)
        self._images = rows.select_columns([IMAGE]).cast_column(IMAGE, datasets.Image(decode=False))
        stored = pc.struct_field(self._images.data.column(IMAGE), "bytes")
        self._has_image = np.asarray(pc.is_valid(stored).to_numpy(), dtype=bool)

    def __len__(self) -> int:
        return len(self._texts)

    def sample(self, row: int) -> Sample:
        """Texts of a row; nothing of the image is read."""
        return Sample(**self._texts[row], has_image=bool(self._has_image[row]))

    def image(self, row: int) -> bytes:
        """The encoded image of a row that has one."""
        data: Any = self._images[row][IMAGE]
        return bytes(data["bytes"])


class Corpus:
    """All tasks of a run's mixture."""

    def __init__(self, tables: Sequence[Table], mixture: Mixture) -> None:
        self.tables, self.mixture = tables, mixture

    def sample(self, ref: Ref) -> Sample:
        """Texts of one instance."""
        return self.tables[ref.task].sample(ref.row)

    def image(self, ref: Ref) -> bytes:
        """Encoded image of one instance."""
        return self.tables[ref.task].image(ref.row)


def task_names(root: str) -> list[str]:
    """Configs of a compiled folder or a Hub repository."""
    try:
        return sorted(datasets.get_dataset_config_names(resolve(root)))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"{root!r} cannot be read: {error}", hint="data.root=<compiled folder>") from error


def resolve(root: str) -> str:
    """The absolute path of a folder, or the Hub id as it is.

    `datasets` takes a name for a folder of the current directory or for a repository, whichever it finds;
    a missing folder must not become a search of the Hub.
    """
    if Path(root).is_dir():
        return str(Path(root).resolve())
    if root.count("/") == 1 and not root.startswith((".", "~", "/")):
        return root
    raise CorpusError(
        f"no compiled folder at {root!r}", hint="vflan compile --task <id> --raw <raw> --out " + root
    )


def open_corpus(data: Data, seed: int) -> Corpus:
    """Opens what `data.sources` name and lays out the mixture."""
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    tables: list[Table] = []
    sizes: list[dict[str, int]] = []
    names_of: dict[str, list[str]] = {}
    for source in data.sources:
        root = resolve(source.root or data.root)
        if root not in names_of:
            names_of[root] = task_names(root)
        opened = [Table(root, name) for name in choose_tasks(source, names_of[root], seed)]
        tables += opened
        sizes.append({table.task: len(table) for table in opened})
    return Corpus(tables, Mixture(data.sources, sizes, seed))
