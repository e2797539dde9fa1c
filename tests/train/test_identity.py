"""A folder of checkpoints goes on as the run it is of; any other recipe, model or data is refused by key."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.drawn import digit_rows, write_compiled
from vision_flan.train.identity import AnotherRunError, Identity
from vision_flan.train.loop import run
from vision_flan.train.recipe import flat, is_free, is_path, load
from vision_flan.train.tiny import create

Lines = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identity") / "vision-flan"
    return write_compiled(
        folder, {"object_a": digit_rows("object_a", 20, 0), "object_b": digit_rows("object_b", 9, 1)}
    )


@pytest.fixture(scope="module")
def common(data: Path, tiny: Path) -> list[str]:
    quiet = [
        "log.samples=0",
        "log.every=1",
        "data.workers=0",
        "checkpoint.every=2",
        "checkpoint.asynchronous=false",
    ]
    small = ["train.batch=4", "train.steps=4", "data.max_tokens=256", "init.tiny=false"]
    return [f"data.root={data}", f"init.from={tiny}", *quiet, *small]


@pytest.fixture
def half(finished: Path, tmp_path: Path) -> Path:
    """The run as it was after two steps."""
    out = tmp_path / "half"
    shutil.copytree(finished, out)
    shutil.rmtree(out / "checkpoints" / "step-000004")
    shutil.rmtree(out / "hf")
    return out


REFUSED = [
    ("train.lr=1e-4", "train.lr: 0.005 became 0.0001"),
    ("train.batch=5", "train.batch: 4 became 5"),
    ("train.steps=6", "train.steps: 4 became 6"),
    ("seed=1", "seed: 0 became 1"),
    ("train.freeze_llm=true", "train.freeze_llm: False became True"),
    ("data.prompt=llama2_chat", "data.prompt: vicuna_v1 became llama2_chat"),
    ("data.sources=[{include: [object_a]}]", "object_b of source 0 had 9 of 9 instances"),
    ("data.sources=[{per_task: 5}]", "data.sources.0.per_task: 0 became 5"),
    ("train.weight_decay=0.1", "train.weight_decay: 0.0 became 0.1"),
    ("data.held_out=0.1", "data.held_out: 0.0 became 0.1"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_another_recipe_in_the_same_folder_is_refused_by_key(
    common: list[str], half: Path, override: str, message: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in half.rglob("*") if path.is_file()}
    with pytest.raises(AnotherRunError) as caught:
        run(load("tiny_cpu", [*common, f"out={half}", override]))
    assert message in str(caught.value) and "give another `out`" in str(caught.value)
    assert before == {path: path.stat().st_mtime_ns for path in half.rglob("*") if path.is_file()}


def test_a_finished_run_is_refused_to_another_recipe_too(common: list[str], finished: Path) -> None:
    """It would train nothing, exit 0 and overwrite the recipe beside the model."""
    with pytest.raises(AnotherRunError, match="train.lr: 0.005 became 0.001"):
        run(load("tiny_cpu", [*common, f"out={finished}", "train.lr=1e-3"]))
    assert "lr: 0.005" in (finished / "config.yaml").read_text()


FREE = [
    "parallel.checkpointing=full",
    "parallel.max_tokens_per_rank=600",
    "log.every=2",
    "log.samples=1",
    "checkpoint.every=1",
    "checkpoint.keep=5",
    "data.workers=1",
]


def test_what_changes_nothing_that_is_learned_resumes(common: list[str], half: Path, lines: Lines) -> None:
    run(load("tiny_cpu", [*common, f"out={half}", *FREE]))
    assert lines(half)[-1]["step"] == 4 and (half / "hf").exists()


def test_the_same_model_and_data_elsewhere_resume(
    common: list[str], half: Path, tmp_path: Path, data: Path, tiny: Path
) -> None:
    shutil.copytree(data, tmp_path / "moved")
    shutil.copytree(tiny, tmp_path / "model")
    run(
        load(
            "tiny_cpu",
            [*common, f"out={half}", f"data.root={tmp_path / 'moved'}", f"init.from={tmp_path / 'model'}"],
        )
    )
    assert (half / "hf").exists()


def test_other_weights_under_the_same_path_are_refused(common: list[str], half: Path, tmp_path: Path) -> None:
    create(tmp_path / "model", ["Which digit is drawn?"], seed=9, layers=2)
    with pytest.raises(AnotherRunError, match="the LLM has other weights"):
        run(load("tiny_cpu", [*common, f"out={half}", f"init.from={tmp_path / 'model'}"]))


@pytest.mark.parametrize("change", ["added", "longer", "other text", "other image"])
def test_other_data_under_the_same_path_are_refused(
    common: list[str], half: Path, tmp_path: Path, change: str
) -> None:
    """A task that is added would shift the order of all."""
    rows = {"object_a": digit_rows("object_a", 20, 0), "object_b": digit_rows("object_b", 9, 1)}
    if change == "added":
        rows["object_c"] = digit_rows("object_c", 3, 2)
    elif change == "longer":
        rows["object_b"] = digit_rows("object_b", 10, 1)
    elif change == "other text":
        rows["object_b"][4]["target"] = "?"
    else:
        rows["object_b"][4]["image"]["bytes"] += b"0"
    changed = write_compiled(tmp_path / "changed", rows)
    with pytest.raises(
        AnotherRunError, match="object_c of source 0 had nothing" if change == "added" else "object_b"
    ):
        run(load("tiny_cpu", [*common, f"out={half}", f"data.root={changed}"]))


def test_every_checkpoint_says_what_it_is_of(finished: Path) -> None:
    stored = json.loads((finished / "checkpoints" / "step-000004" / "identity.json").read_text())
    assert stored["recipe"]["train.lr"] == 0.005
    assert set(stored["init"]) == {"LLM", "vision tower", "projector", "tokenizer"}
    assert [key.split()[0] for key in stored["data"]] == ["object_a", "object_b"]
    assert stored["digest"] == Identity.read(finished / "checkpoints" / "step-000004").digest


def test_every_key_is_compared_or_known_to_change_nothing() -> None:
    keys = [key for key in flat(load("stage1")) if not is_free(key)]
    assert [key for key in keys if is_path(key)] == [
        "init.from", "init.llm", "init.vision", "init.projector", "data.root", "data.sources.0.root"
    ]  # fmt: skip
    assert {key.split(".")[0] for key in keys} == {"seed", "init", "data", "train"}


def test_a_folder_is_named_by_what_differs_from_the_recipe() -> None:
    def folder(*given: str) -> str:
        return str(load(*given[:1], list(given[1:])).folder)

    assert folder("stage1") == "runs/stage1"
    assert (
        folder("stage1", "data.root=elsewhere", "parallel.compile=inductor", "log.every=5") == "runs/stage1"
    )
    assert folder("stage1", "init.llm=lmsys/vicuna-13b-v1.5") == "runs/stage1", "the recipe's own value"
    rows = {
        folder("tasks_x_instances", *given)
        for given in (
            [],
            ["data.sources.0.tasks=20"],
            ["data.sources.0.tasks=187", "data.sources.0.per_task=500"],
        )
    }
    assert rows == {
        "runs/tasks_x_instances",
        "runs/tasks_x_instances-tasks=20",
        "runs/tasks_x_instances-tasks=187-per_task=500",
    }
    assert (
        folder("stage2", "init.from=runs/a b/hf", "train.lr=3e-5") == "runs/stage2-from=runs_a_b_hf-lr=3e-05"
    )
    assert folder("stage1", "out=here", "seed=3") == "here"
    long = folder("stage1", "data.sources=[{include: [" + ", ".join(f"task_{n}" for n in range(99)) + "]}]")
    assert len(Path(long).name) < 200


def test_a_single_changed_value_anywhere_makes_other_weights(tiny: Path, tmp_path: Path) -> None:
    """Every value counts, not the first and last rows."""
    from safetensors.torch import load_file, save_file

    from vision_flan.train.weights import Weights

    tensors = load_file(tiny / "model.safetensors")
    name = next(name for name, value in tensors.items() if value.dim() == 2 and value.shape[0] > 8)
    tensors[name][5, 3] += 0.25
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    before, after = (Weights.read(folder) for folder in (tiny, tmp_path))
    names = sorted(before.places)
    old, new = before.digests(names), after.digests(names)
    assert [key for key in names if old[key] != new[key]] == [
        key for key in names if before.places[key][1] == name
    ]


def test_how_large_the_parts_are_does_not_matter(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vision_flan.train import weights as module

    found = module.Weights.read(tiny)
    whole = found.digests(found.places)
    assert len(set(whole.values())) == len(whole)
    monkeypatch.setattr(module, "_PART", 100)
    assert found.digests(found.places) == whole
