"""A compiled folder drawn on the spot, a tiny model for it, and the trainer run as its users run it."""

import hashlib
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFont

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.conftest import WITHOUT_TORCH
from vision_flan.columns import arrow_schema

TRAINERS = {"torch", "transformers", "tokenizers", "safetensors"}
QUESTION = "Which digit is drawn in the image?"


class NeedsTrainer(pytest.Module):
    """A test file that is skipped where it, or what it tests, imports what `make dev` leaves out."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return list(super().collect())
        except self.CollectError as error:
            cause = error.__cause__
            if isinstance(cause, ModuleNotFoundError) and cause.name in TRAINERS:
                pytest.skip(WITHOUT_TORCH, allow_module_level=True)
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    return NeedsTrainer.from_parent(parent, path=module_path)


def draw_digit(digit: int, rng: random.Random, size: tuple[int, int] = (32, 32)) -> bytes:
    """A digit on a colored, blotched ground, as MNIST-M has them."""
    ground = tuple(rng.randrange(60, 200) for _ in range(3))
    ink = tuple((channel + 128 + rng.randrange(-20, 20)) % 256 for channel in ground)
    image = Image.new("RGB", size, ground)
    canvas = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        shade = tuple(min(255, max(0, channel + rng.randrange(-15, 15))) for channel in ground)
        canvas.ellipse((x - 5, y - 5, x + 5, y + 5), fill=shade)
    place = (size[0] // 2 + rng.randrange(-1, 2), size[1] // 2 + rng.randrange(-1, 2))
    canvas.text(place, str(digit), fill=ink, font=ImageFont.load_default(28), anchor="mm")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def row(
    task: str,
    key: str,
    image: bytes | None,
    prompt: str,
    target: str,
    category: str,
    later: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    return {
        "id": f"{task}/{key}",
        "image": None if image is None else {"bytes": image, "path": f"{key}.png"},
        "instruction": prompt,
        "input": "",
        "options": [],
        "target": target,
        "prompt": prompt,
        "turns": [{"user": user, "assistant": assistant} for user, assistant in ((prompt, target), *later)],
        "task": task,
        "category": category,
        "source": "drawn",
        "source_id": key,
    }


def digit_rows(task: str, count: int, seed: int, size: tuple[int, int] = (32, 32)) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        row(task, f"{n:05}", draw_digit(n % 10, rng, size), QUESTION, str(n % 10), "General Object")
        for n in range(count)
    ]


def write_manifest(folder: Path, task: str, split: str = "train") -> None:
    """The manifest of the shards that a task has in this folder."""
    from vision_flan.dataset.manifest import Manifest, manifest_path, write_atomically
    from vision_flan.dataset.shards import ShardFacts

    shards = tuple(
        ShardFacts(
            path=file.relative_to(folder).as_posix(),
            rows=pq.read_metadata(file).num_rows,
            bytes=file.stat().st_size,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        )
        for file in sorted((folder / task).glob("*.parquet"))
    )
    manifest = Manifest(
        task=task,
        title=task,
        alias=None,
        dataset="drawn",
        category="General Object",
        suites=("vision_flan",),
        split=split,
        form="label",
        spec_sha256="0" * 64,
        versions={},
        seed=0,
        limit=None,
        image_check="header",
        raw_files=(),
        counts={"candidates": 0, "written": 0, "dropped": {}},
        shards=shards,
        num_bytes=0,
        source={"title": "Drawn", "homepage": "https://example.org", "license": {}},
    )
    write_atomically(manifest_path(folder, task), manifest.to_json())


def write_compiled(folder: Path, tasks: dict[str, list[dict[str, Any]]]) -> Path:
    """A folder as `vflan compile` leaves it."""
    import yaml

    for task, rows in tasks.items():
        (folder / task).mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=arrow_schema())
        pq.write_table(table, folder / task / "train-00000-of-00001.parquet")
        write_manifest(folder, task)
    configs = [
        {"config_name": task, "data_files": [{"split": "train", "path": f"{task}/train-*.parquet"}]}
        for task in tasks
    ]
    infos = [{"config_name": task} for task in tasks]
    card = yaml.safe_dump({"configs": configs, "dataset_info": infos})
    (folder / "README.md").write_text(f"---\n{card}---\n# drawn\n")
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up on the network; per test, since other tests in this process talk to a test Hub."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session", autouse=True)
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The cache of `datasets`, shared by all tests and kept out of the user's."""
    import datasets

    home = tmp_path_factory.mktemp("hub")
    os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = str(home)
    datasets.config.HF_DATASETS_CACHE = home
    datasets.disable_progress_bars()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits in two shapes, text without images, and both stages' tasks."""
    scenes = [
        row(
            "scene_wide",
            f"{n}",
            image["image"]["bytes"],
            f"Say {n % 7} and stop.\nNow.",
            f"it is {n % 7}",
            "Scene",
        )
        for n, image in enumerate(digit_rows("scene_wide", 24, 1, (48, 20)))
    ]
    words = [
        row(
            "text_only",
            f"{n}",
            None,
            f"Repeat the word {n % 5} times, please.",
            "word " * (n % 5 + 1),
            "Text",
        )
        for n in range(24)
    ]
    instruct = [{**r, "id": f"stage2_llava_instruct/{r['source_id']}"} for r in digit_rows("x", 24, 2)]
    return write_compiled(
        tmp_path_factory.mktemp("data") / "vision-flan",
        {
            "object_digits": digit_rows("object_digits", 40, 0),
            "scene_wide": scenes,
            "text_only": words,
            "stage2_llava_instruct": [{**r, "task": "stage2_llava_instruct"} for r in instruct],
        },
    )


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model in llava-hf's layout."""
    pytest.importorskip("torch", reason=WITHOUT_TORCH)
    from vision_flan.train.tiny import create

    folder = tmp_path_factory.mktemp("model") / "tiny"
    create(folder, [QUESTION, *"0123456789", "Repeat the word Say it is and stop."] * 3, layers=2)
    return folder


Job = dict[str, Any]


@pytest.fixture(scope="session")
def run_worlds() -> Callable[[Sequence[Job]], list[list[int]]]:
    """Runs the trainer on one or several ranks for each job; the exit codes of the ranks."""

    def run(jobs: Sequence[Job]) -> list[list[int]]:
        command = [sys.executable, str(Path(__file__).with_name("worlds.py")), json.dumps(list(jobs))]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=400)
        codes: list[list[int]] = json.loads(done.stdout.splitlines()[-1]) if done.stdout else []
        good = [any(ranks) == job.get("fails", False) for ranks, job in zip(codes, jobs, strict=True)]
        assert all(good), f"{codes}\n{done.stderr[-6000:]}"
        return codes

    return run


def environment() -> dict[str, str]:
    """For trainers that tests start: this checkout, one thread a rank."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": root}


@pytest.fixture(scope="session")
def lines() -> Callable[[Path], list[dict[str, Any]]]:
    """The metrics of a run."""
    return lambda out: [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def tensors() -> Callable[[Path], dict[str, Any]]:
    """The tensors of an exported model."""
    from safetensors.torch import load_file

    return lambda folder: load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def finished(common: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the module's `common` settings, not to be changed."""
    from vision_flan.train.loop import run
    from vision_flan.train.recipe import load

    out = tmp_path_factory.mktemp("runs") / "one"
    run(load("tiny_cpu", [*common, f"out={out}"]))
    return out
