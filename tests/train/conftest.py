"""A compiled folder drawn on the spot, a tiny model for it, and the trainer run as its users run it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.conftest import WITHOUT_TORCH
from tests.train.drawn import QUESTION, digit_rows, row, write_compiled

TRAINERS = {"torch", "transformers", "tokenizers", "safetensors"}


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
