"""Real learning, measured by generation: a random model learns miniature MNIST-M, then stage 2."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from vision_flan.columns import arrow_schema
from vision_flan.miniatures import registry
from vision_flan.train.config import load
from vision_flan.train.loop import run

pytestmark = pytest.mark.slow

QUESTION = "Which digit is drawn in the picture?"
SHORT = ["data.workers=0", "log.every=5", "log.samples=2", "checkpoint.every=1000"]


def miniature(folder: Path, n: int, seed: int) -> list[tuple[bytes, str]]:
    """Pictures and digits of the miniature, read in upstream's layout."""
    registry.make("mnist_m", folder, n, seed)
    base = folder / "mnist_m" / "mnist_m"
    lines = (base / "mnist_m_train_labels.txt").read_text().splitlines()
    pairs = [line.split() for line in lines]
    return [((base / "mnist_m_train" / name).read_bytes(), digit) for name, digit in pairs]


def write(folder: Path, task: str, pairs: list[tuple[bytes, str]], prompt: str, answer: str) -> None:
    rows = [
        {
            "id": f"{task}/{n:05}",
            "image": {"bytes": picture, "path": f"{n:05}.png"},
            "instruction": prompt,
            "input": "",
            "options": [],
            "target": answer.format(digit),
            "prompt": prompt,
            "task": task,
            "category": "General Object",
            "source": "mnist_m",
            "source_id": f"{n:05}",
        }
        for n, (picture, digit) in enumerate(pairs)
    ]
    (folder / task).mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=arrow_schema())
    pq.write_table(table, folder / task / "train-00000-of-00001.parquet")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    configs = [
        {"config_name": t, "data_files": [{"split": "train", "path": f"{t}/*.parquet"}]} for t in names
    ]
    (folder / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")


def answers(model_folder: Path, pictures: list[bytes], prompt: str) -> list[str]:
    """Greedy answers of an exported model, by transformers alone."""
    model = LlavaForConditionalGeneration.from_pretrained(model_folder).eval()
    processor = AutoProcessor.from_pretrained(model_folder)
    processor.tokenizer.padding_side = "left"
    parts = [{"type": "image"}, {"type": "text", "text": prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": parts}])
    images = [Image.open(io.BytesIO(picture)) for picture in pictures]
    given = processor(text=[text] * len(images), images=images, return_tensors="pt", padding=True)
    with torch.no_grad():
        made = model.generate(**given, max_new_tokens=16, do_sample=False)
    told = processor.tokenizer.batch_decode(made[:, given.input_ids.shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in told]


def share_right(answered: list[str], wanted: list[str]) -> float:
    return sum(a == b for a, b in zip(answered, wanted, strict=True)) / len(wanted)


def test_both_stages_learn_what_they_are_shown(
    tmp_path: Path, lines: Callable[[Path], list[dict[str, Any]]], tensors: Callable[[Path], dict[str, Any]]
) -> None:
    data = tmp_path / "vision-flan"
    shown, unseen = miniature(tmp_path / "raw", 600, seed=0), miniature(tmp_path / "other", 100, seed=1)
    write(data, "object_mnist_m", shown, QUESTION, "{}")
    write(data, "stage2_llava_instruct", shown[:400], "Describe the picture.", "It is {}.")
    pictures, digits = [picture for picture, _ in unseen], [digit for _, digit in unseen]

    one = run(load("tiny_cpu", [*SHORT, f"data.root={data}", f"out={tmp_path / 'stage1'}"]))
    assert share_right(answers(tmp_path / "stage1" / "init", pictures, QUESTION), digits) < 0.2
    assert share_right(answers(one, pictures, QUESTION), digits) > 0.9
    losses = [line["loss"] for line in lines(tmp_path / "stage1")]
    assert losses[-1] < 0.1 < 2 < losses[0]
    told = (tmp_path / "stage1" / "samples.after.jsonl").read_text().splitlines()
    assert all(json.loads(line)["answer"] == json.loads(line)["target"] for line in told)

    cpu = ["parallel.precision=fp32", "parallel.max_tokens_per_rank=2048", "checkpoint.export_dtype=float32"]
    short = [*SHORT, *cpu, "train.batch=32", "train.steps=60", "train.lr=3e-3", f"init.from={one}"]
    two = run(load("stage2", [*short, f"data.root={data}", f"out={tmp_path / 'stage2'}"]))
    before = [
        json.loads(line) for line in (tmp_path / "stage2" / "samples.before.jsonl").read_text().splitlines()
    ]
    wanted = answers(one, [shown[int(s["id"][-5:])][0] for s in before], "Describe the picture.")
    assert [s["answer"] for s in before] == wanted, "stage 2 starts as stage 1 ended"
    losses = [line["loss"] for line in lines(tmp_path / "stage2")]
    assert losses[-1] < losses[0] / 4
    described = answers(two, pictures, "Describe the picture.")
    assert share_right(described, [f"It is {digit}." for digit in digits]) > 0.9
    tower = {name for name in tensors(one) if name.startswith("vision_tower.")}
    assert all(torch.equal(tensors(tmp_path / "stage1" / "init")[n], tensors(two)[n]) for n in tower)
