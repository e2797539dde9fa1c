"""Every task compiles from its miniature, and says what the miniature's own truth says."""

from __future__ import annotations

import io
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.docs.generate import DOCS, example_of, task_line
from vision_flan.build.compile import Options, compile_task
from vision_flan.columns import arrow_schema
from vision_flan.dataset.manifest import read_manifest
from vision_flan.miniatures import registry
from vision_flan.miniatures.truth import disagreements, read_truth
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

#: Records of a miniature; enough for every class of a small label table and every quirk to occur.
RECORDS = 40

catalog = Catalog.default()
documented = (DOCS / "tasks.md").read_text("utf-8").splitlines()


def tasks_of(dataset: str) -> list[str]:
    return [task for task, path in catalog.task_files.items() if path.parent.name == dataset]


@pytest.mark.parametrize("dataset", sorted(catalog.dataset_files))
def test_every_task_of_a_dataset_compiles_to_what_its_miniature_shows(dataset: str, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "vision-flan"
    registry.make(dataset, raw, RECORDS, seed=1)
    for task in tasks_of(dataset):
        result = compile_task(task, raw, out, catalog, Options(limit=None), Silent())
        rows = read_rows(out, task)
        wrong = list(disagreements(rows, read_truth(raw, task)))
        assert not wrong, f"{task}: {len(wrong)} disagree:\n" + "\n".join(wrong[:10])
        counts = result.manifest.counts
        assert counts["candidates"] == counts["written"] + sum(counts["dropped"].values())
        for row in rows:
            check_row(row, task)
        check_letters(rows)
        line = task_line(catalog.task(task), example_of(rows))
        is_new = not any(row.startswith(f"| `{task}` |") for row in documented)
        assert is_new or line in documented, f"docs/tasks.md shows another {task}: make docs TASKS={task}"


@pytest.mark.parametrize(
    "dataset", sorted(slug for slug in catalog.dataset_files if catalog.dataset(slug).archives)
)
def test_archives_read_in_place_give_the_same_shards(dataset: str, tmp_path: Path) -> None:
    task = tasks_of(dataset)[0]
    shards = []
    for name, archives in (("unpacked", False), ("packed", True)):
        raw = tmp_path / name
        registry.make(dataset, raw, 12, seed=2, archives=archives)
        result = compile_task(task, raw, tmp_path / f"{name}-out", catalog, Options(limit=None), Silent())
        shards.append([shard.sha256 for shard in result.manifest.shards])
    assert shards[0] == shards[1]


def read_rows(out: Path, task: str) -> list[dict[str, Any]]:
    manifest = read_manifest(out / "manifest" / f"{task}.json")
    tables = [pq.read_table(out / shard.path) for shard in manifest.shards]
    assert all(table.schema.equals(arrow_schema(), check_metadata=True) for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def check_row(row: Mapping[str, Any], task: str) -> None:
    """What holds for an instance of any task."""
    spec = catalog.task(task)
    assert row["id"] == f"{task}/{row['source_id']}"
    assert (row["task"], row["category"], row["source"]) == (task, spec.category, spec.dataset)
    assert bool(row["instruction"]) == spec.own_instruction
    assert row["target"] and row["prompt"].startswith(row[spec.first])
    for column in ("instruction", "input", "target", "prompt"):
        text = row[column]
        assert text == text.strip(), f"{task}: spaces around {column}: {text!r}"
        assert "None" not in text.split() and "{{" not in text and "nan" not in text.split(), (task, text)
        assert "\n\n\n" not in text, (task, text)
    Image.open(io.BytesIO(row["image"]["bytes"])).load()
    if spec.options and spec.options.get("answer", "one") == "one":
        answer = row["target"].split(" ", 1)[1] if is_lettered(spec.options) else row["target"]
        assert row["options"].count(answer) == 1, f"{task}: {answer!r} not once in {row['options']}"
    if is_lettered(spec.options) and spec.options.get("answer", "one") == "one":
        letter = string.ascii_uppercase[row["options"].index(answer)]
        assert row["target"].startswith(f"({letter}) ")


def is_lettered(options: Mapping[str, Any] | None) -> bool:
    return bool(options) and options.get("style", "letters") == "letters"


def check_letters(rows: list[dict[str, Any]]) -> None:
    """With shuffled options, the right one is not always in the same position."""
    spec = catalog.task(rows[0]["task"])
    if not is_lettered(spec.options) or spec.options.get("order") == "given" or len(rows) < 30:
        return
    if spec.options.get("answer", "one") == "one":
        assert len({row["target"][:3] for row in rows}) > 1, f"{spec.id}: always {rows[0]['target'][:3]}"
