"""Tokens of the samples of our tasks, compiled from miniatures, as the trainer encodes them for LLaVA 1.5.

    python -m tests.benchmarks.train_lengths tokenizer.model tests/train/lengths.json    # a minute or two

Instructions, options and the form of targets are the tasks' own; words of the miniatures are ours. Any
SentencePiece model of Llama's kind will do. `tests/train/test_balance.py` deals these lengths out.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from tests.tasks.test_every_task import RECORDS, tasks_of
from vision_flan.build.compile import Options, compile_task
from vision_flan.columns import Turn
from vision_flan.errors import VflanError
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.train.config import Data
from vision_flan.train.corpus import Sample
from vision_flan.train.model import load_tokenizer
from vision_flan.train.prompts import Encoder

#: Tokens of an image of 336 pixels in patches of 14.
PATCHES = 576


def encoder_of(model: Path, folder: Path) -> Encoder:
    """The trainer's encoder with a tokenizer.model and Vicuna's prompt."""
    shutil.copy(model, folder / "tokenizer.model")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "LlamaTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps({**names, "legacy": True}))
    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    return Encoder(tokenizer, Data(max_tokens=2048), PATCHES)


def lengths_of(model: Path, dataset: str) -> dict[str, list[int]]:
    """Tokens of each sample, by task of a dataset."""
    catalog, found = Catalog.default(), {}
    with tempfile.TemporaryDirectory() as place:
        raw, out, folder = Path(place, "raw"), Path(place, "out"), Path(place, "model")
        folder.mkdir()
        encoder = encoder_of(model, folder)
        registry.make(dataset, raw, RECORDS, seed=1)
        for task in tasks_of(dataset):
            try:
                compile_task(task, raw, out, catalog, Options(limit=None), Silent())
            except VflanError:
                continue
            columns = ["id", "prompt", "target", "category", "turns", "image"]
            tables = [pq.read_table(path, columns=columns) for path in sorted((out / task).glob("*.parquet"))]
            rows = [row for table in tables for row in table.to_pylist()]
            found[task] = sorted(len(encoder.encode(_sample(task, row)).token_ids) for row in rows)
    return found


def _sample(task: str, row: dict[str, object]) -> Sample:
    turns = row["turns"]
    assert isinstance(turns, list)
    talk = tuple(Turn(turn["user"], turn["assistant"]) for turn in turns)
    texts = [str(row[name]) for name in ("id", "prompt", "target", "category")]
    return Sample(*texts, task, row["image"] is not None, talk if len(talk) > 1 else ())


def main() -> None:
    model, out = map(Path, sys.argv[1:])
    datasets = sorted(Catalog.default().dataset_files)
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(partial(lengths_of, model), datasets))
    found = {task: lengths for part in parts for task, lengths in part.items() if lengths}
    shown = {task: json.dumps(lengths, separators=(",", ":")) for task, lengths in sorted(found.items())}
    lines = [f'"{task}": {lengths}' for task, lengths in shown.items()]
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(found)} tasks, {sum(map(len, found.values()))} samples")


if __name__ == "__main__":
    main()
