"""Benchmarks ask in upstream's own words: what their own evaluation code would print of the same records."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from tests.real_samples import MISSING, sample_of
from vision_flan.instances.maker import InstanceMaker, Text
from vision_flan.miniatures import formats
from vision_flan.records.store import RecordStore
from vision_flan.records.tables import load_records, open_raw, task_sources
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

MMMU, MME, POPE = sample_of("mmmu_val"), sample_of("mme"), sample_of("pope")
#: Upstream's code reads the backslash and r of an arrow in LaTeX as a carriage return.
GARBLED = "validation_Chemistry_10"
#: Subtasks of MME that keep images and questions in folders of their own.
APART = ("artwork", "celebrity", "landmark", "posters", "scene")
TEXTS = ("id", "question", "options", "question_type", "answer")
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def prompts(name: str, key: str, raw: Path) -> dict[str, str]:
    """The prompt of each record of a task, by one of its fields; no image is read."""
    catalog = Catalog.default()
    task = catalog.task(name)
    sources = task_sources(task, catalog)
    found = {}
    with RecordStore() as store:
        records = load_records(task, sources, open_raw(sources.dataset, catalog, raw), 0, store, Silent())
        maker = InstanceMaker(task, sources.labels, catalog.instruction_file(name), 0, records)
        for row in records.block(0, 1000):
            text = maker.render(dict(row))
            assert isinstance(text, Text)
            found[str(row[key])] = text.prompt
    return found


@pytest.mark.skipif(MMMU is None, reason=MISSING)
def test_the_options_of_mmmu_are_printed_as_its_own_code_prints_them(tmp_path: Path) -> None:
    assert MMMU is not None
    texts = {
        item["id"]: list(item["index2ans"].values())
        for file in sorted(MMMU.glob("*/output.json"))
        for item in json.loads(file.read_text("utf-8"))
        if item["question_type"] == "multiple-choice" and item["id"] != GARBLED
    }
    assert len(texts) == 846
    rows = [
        # the cell is a Python list as text
        {f"image_{n}": {"bytes": b"x", "path": "x.png"} for n in range(1, 8)}
        | {"id": key, "question": "Which is it? <image 1>", "options": str(options), "answer": "A"}
        | {"question_type": "multiple-choice"}
        for key, options in texts.items()
    ]
    schema = pa.schema([(name, pa.string()) for name in TEXTS] + [(f"image_{n}", IMAGE) for n in range(1, 8)])
    folder = tmp_path / "mmmu" / "Art"
    folder.mkdir(parents=True)
    formats.parquet(folder / "validation-00000-of-00001.parquet", schema, rows)
    shown = prompts("eval_mmmu", "id", tmp_path)
    for key, options in texts.items():
        lines = "".join(f"\n({letter}) {text}" for letter, text in zip("ABCDEFGHI", options, strict=False))
        assert shown[key] == f"Which is it? <image 1>{lines}".rstrip()


def test_a_question_of_mmbench_is_hint_question_and_lettered_lines(tmp_path: Path) -> None:
    folder = tmp_path / "mmbench"
    folder.mkdir()
    cells = "7\tWhat is it?\tLook.\tno\tno\t a fig\t\tC\tart\tiVBORw0KGgo=\n"
    head = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\n"
    folder.joinpath("MMBench_DEV_EN_legacy.tsv").write_text(head + cells, "utf-8")
    assert prompts("eval_mmbench", "index", tmp_path) == {"7": "Look.\nWhat is it?\nA. no\nB. no\nC.  a fig"}


@pytest.mark.skipif(POPE is None, reason=MISSING)
def test_pope_asks_as_its_files_do() -> None:
    assert POPE is not None
    asked = {
        f"{file.stem.removeprefix('coco_pope_')}/{record['question_id']}": record["text"]
        for file in sorted(POPE.glob("output/coco/*.json"))
        for record in map(json.loads, file.read_text("utf-8").splitlines())
    }
    assert len(asked) == 72
    assert prompts("eval_pope", "_key", POPE.parent) == asked


@pytest.mark.skipif(MME is None, reason=MISSING)
def test_mme_asks_as_its_files_do_with_the_request_at_the_end(tmp_path: Path) -> None:
    assert MME is not None
    asked: dict[str, list[str]] = {}
    for file in sorted((MME / "eval_tool" / "Your_Results").glob("*.txt")):
        for line in file.read_text("utf-8").splitlines():
            image, question, answer = line.split("\t")
            name = f"{file.stem}/{Path(image).stem}"
            if file.stem in APART:
                name = f"{file.stem}/questions_answers_YN/{Path(image).stem}"
            path = tmp_path / "mme" / "MME_Benchmark_release_version" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as lines:
                lines.write(f"{question}\t{answer}\n")
            asked.setdefault(name, []).append(question)
    shown = prompts("eval_mme", "_key", tmp_path)
    assert len(asked) == 56 and len(shown) == 112
    assert sorted(shown.values()) == sorted(text for pair in asked.values() for text in pair)
    assert all(text.endswith("Please answer yes or no.") for text in shown.values())
