"""A few instances as `load` would show them: of raw files, or of a miniature where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from vision_flan.build.open_task import OpenTask, open_task
from vision_flan.columns import COLUMNS, IMAGE, OPTIONS, TEXT_COLUMNS, TURNS
from vision_flan.instances.maker import Instance
from vision_flan.miniatures import registry
from vision_flan.raw.roots import RawPlaces
from vision_flan.report import Reporter
from vision_flan.spec.catalog import Catalog

#: Records of the miniature from which examples come, at least and for each example.
_RECORDS, _RECORDS_EACH = 40, 4
#: Candidates read at a time while examples are looked for.
_BLOCK = 50


def first_instances(
    _report: Reporter, id: str, raw: RawPlaces | None, n: int, seed: int, catalog: Catalog
) -> list[dict[str, Any]]:
    """The first instances that a task makes, as rows of a config with decoded images.

    Args:
        raw: raw folders; None makes a miniature.

    Raises:
        SpecError: no such task, its spec is not valid, or its dataset has no miniature.
        MissingRawError: raw files are missing.
        BadRawError: a raw file is not what its format says.
    """
    made = _raw_folder(catalog.task(id).dataset, raw, n)
    with made as folder, open_task(id, folder, catalog, seed) as opened:
        return [row for _, row in zip(range(n), _instances(opened, seed), strict=False)]


@contextmanager
def _raw_folder(dataset: str, raw: RawPlaces | None, n: int) -> Iterator[RawPlaces]:
    """The raw folder asked for, or a miniature."""
    records = max(_RECORDS, _RECORDS_EACH * n)
    made = nullcontext(raw) if raw is not None else registry.temporary(dataset, records)
    with made as folder:
        yield folder


def _instances(opened: OpenTask, seed: int) -> Iterator[dict[str, Any]]:
    """Instances in selection order; what is dropped is passed over, as in a compile."""
    maker, start = opened.maker(seed), 0
    while rows := opened.candidates.block(start, _BLOCK):
        start += _BLOCK
        for row in rows:
            made = maker.make(row, opened.read, full_check=False)
            if isinstance(made, Instance):
                yield _row(made)


def _row(instance: Instance) -> dict[str, Any]:
    from datasets import Image  # takes a second

    image = Image().decode_example({"bytes": instance.image, "path": instance.image_path})
    values = dict(zip(TEXT_COLUMNS, instance.values, strict=True))
    turns = [turn._asdict() for turn in instance.turns]
    row: dict[str, Any] = values | {IMAGE: image, OPTIONS: instance.options, TURNS: turns}
    return {name: row[name] for name in COLUMNS}
