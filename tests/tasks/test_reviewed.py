"""What blind answers showed to be without a single right answer (docs/tasks-review.md), and is mended."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq

from vision_flan.build.compile import Options, compile_task
from vision_flan.instances.maker import InstanceMaker, Text
from vision_flan.miniatures import registry
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import load_records, open_raw, task_sources
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

ALIKE = {"Gaussian noise", "shot noise", "speckle noise"}


def rows_of(task: str, dataset: str, folder: Path) -> list[dict[str, str]]:
    registry.make(dataset, folder / "raw", 40, seed=3)
    out = folder / "out"
    compile_task(task, folder / "raw", out, Catalog.default(), Options(limit=None), Silent())
    shards = [
        pq.read_table(shard, columns=["prompt", "target", "options"]) for shard in out.rglob("*.parquet")
    ]
    return [row for shard in shards for row in shard.to_pylist()]


def test_kinds_of_noise_that_look_alike_are_no_options_for_one_another(tmp_path: Path) -> None:
    rows = rows_of("quality_imagenet_c_fine", "imagenet_c", tmp_path)
    noisy = [row for row in rows if row["target"].partition(" ")[2] in ALIKE]
    assert noisy
    assert all(len(ALIKE.intersection(row["options"])) == 1 for row in noisy)


def test_an_image_without_interaction_is_answered_as_the_instruction_of_hico_says(tmp_path: Path) -> None:
    rows = rows_of("human_hico", "hico", tmp_path)
    alone = [row for row in rows if not row["target"].startswith("A person is ")]
    assert alone and len(alone) < len(rows)
    assert all(
        "If there is no interaction, answer with the name of the object or animal alone." in row["prompt"]
        for row in rows
    )
    assert all(re.fullmatch(r"[a-z ]+(( and |, )[a-z ]+)*", row["target"]) for row in alone)


def test_the_verdict_not_sure_is_defined_where_claims_are_judged(tmp_path: Path) -> None:
    rows = rows_of("reasoning_mocheg", "mocheg", tmp_path)
    assert all('If they do not tell, choose "not sure".' in row["prompt"] for row in rows)
    by_verdict = {row["target"].partition(" ")[2]: row["prompt"] for row in rows}
    assert "saw none of it" in by_verdict["no"] and "came the day after" in by_verdict["not sure"]


def test_an_answer_of_visual_genome_loses_the_capital_that_is_no_names(tmp_path: Path) -> None:
    asked = {
        "What color is the white wall in London?": "White.",
        "Where is the red bus?": "London.",
        "What is on a wall?": "A red bus",
        "Is it white?": "Yes.",
        "What does the sign say?": "STOP.",
    }
    pairs = [{"qa_id": n, "question": key, "answer": asked[key]} for n, key in enumerate(asked)]
    folder = tmp_path / "visual_genome"
    folder.mkdir()
    folder.joinpath("question_answers.json").write_text(json.dumps([{"id": 1, "qas": pairs}]), "utf-8")
    assert list(texts_of("vqa_visual_genome", tmp_path)) == ["white", "London", "a red bus", "yes", "STOP"]


def texts_of(name: str, raw: Path) -> list[str]:
    """The targets of a task's records in upstream's order, without their images."""
    catalog = Catalog.default()
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    with RecordStore() as store:
        records = load_records(task, sources, open_raw(sources.dataset, catalog, raw), 0, store, Silent())
        maker = InstanceMaker(task, sources.labels, catalog.instruction_file(name), 0, records)
        rows = sorted((dict(row) for row in records.block(0, 100)), key=lambda row: str(row["qa_id"]))
        made = [maker.render(row) for row in rows]
    return [text.target for text in made if isinstance(text, Text)]
