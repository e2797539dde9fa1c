"""A question of another image that is called not relevant must not fit this image by chance."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.tasks.test_every_task import read_rows
from vision_flan.build.compile import Options, compile_task
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog, load_labels

TASK = "matching_vqav2_question"

catalog = Catalog.default()
dataset = catalog.dataset("vqav2")
THINGS = load_labels(dataset, dataset.document.path.parent)["things"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_foreign_question_names_a_thing_that_nobody_mentioned_for_this_image(
    tmp_path: Path, seed: int
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    registry.make("vqav2", raw, 120, seed=seed)
    compile_task(TASK, raw, out, catalog, Options(limit=None, seed=seed), Silent())
    rows, said = read_rows(out, TASK), said_of_images(raw)
    foreign = [row for row in rows if row["target"].endswith("not relevant to the image")]
    own = [row for row in rows if row not in foreign]
    assert len(foreign) > 3 and len(own) > 3
    for row in rows:
        image = int(row["source_id"]) // 1000
        asked = row["input"].removeprefix("Question: ")
        mentioned = things(said[image])
        assert len(mentioned) == 1 and len(things(asked)) == 1, asked
        assert (things(asked) == mentioned) == (row in own), (asked, said[image])
        assert not asked.startswith(("How many", "Is there")), "that can be asked of any image"


def things(text: str) -> set[str]:
    return {THINGS[word] for word in re.findall("[a-z]+", text.lower()) if word in THINGS}


def said_of_images(raw: Path) -> dict[int, str]:
    """All questions and answers of each image."""
    said: dict[int, str] = {}
    for name, key, field in (
        ("v2_OpenEnded_mscoco_train2014_questions.json", "questions", "question"),
        ("v2_mscoco_train2014_annotations.json", "annotations", "multiple_choice_answer"),
    ):
        for record in json.loads((raw / "vqav2" / name).read_text("utf-8"))[key]:
            said[record["image_id"]] = f"{said.get(record['image_id'], '')} {record[field]}"
    return said
