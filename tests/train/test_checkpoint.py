"""Checkpoints: a damaged one is named and the one before it taken; a full disk is an error that says so."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vision_flan.cli.main import run as vflan_run
from vision_flan.cli.main import vflan
from vision_flan.errors import ExitCode, MachineError
from vision_flan.train import checkpoint
from vision_flan.train.checkpoint import CheckpointError, machine_errors
from vision_flan.train.config import ConfigError
from vision_flan.train.loop import NothingLearnedError, run
from vision_flan.train.recipe import load

Lines = Callable[[Path], list[dict[str, Any]]]
Tensors = Callable[[Path], dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def common(compiled: Path, tiny: Path) -> list[str]:
    quiet = ["log.every=1", "log.samples=0", "data.workers=0", "checkpoint.every=2", "checkpoint.keep=3"]
    small = ["train.batch=4", "train.steps=6", "data.max_tokens=256", "init.tiny=false"]
    return [f"data.root={compiled}", f"init.from={tiny}", *quiet, *small]


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "hf")
    return tmp_path / "copy"


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata", "checksums.json", "identity.json"])
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_taken(
    common: list[str],
    copy: Path,
    finished: Path,
    harm: Callable[[Path], None],
    name: str,
    capfd: pytest.CaptureFixture[str],
    tensors: Tensors,
) -> None:
    harm(copy / "checkpoints" / "step-000006" / name)
    if (name, harm) == ("checksums.json", flip):
        pytest.skip("a flipped digit of a checksum is a file that does not match it: the case above")
    run(load("tiny_cpu", [*common, f"out={copy}"]))
    told = capfd.readouterr().err
    assert "step-000006" in told and "the checkpoint before it is taken" in told
    if name.endswith(("distcp", "metadata")):
        assert f"step-000006/{name} is missing or damaged" in told
    again, before = tensors(copy / "hf"), tensors(finished / "hf")
    assert all(torch.equal(again[key], before[key]) for key in before), "steps 5 and 6 were done again"
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == [
        "step-000002", "step-000004", "step-000006"
    ]  # fmt: skip


def test_without_a_whole_checkpoint_the_run_stops_and_names_all(common: list[str], copy: Path) -> None:
    for step in (2, 4, 6):
        cut(copy / "checkpoints" / f"step-{step:06}" / "__0_0.distcp")
    with pytest.raises(CheckpointError) as caught:
        run(load("tiny_cpu", [*common, f"out={copy}"]))
    assert all(
        f"step-{step:06}/__0_0.distcp is missing or damaged" in str(caught.value) for step in (2, 4, 6)
    )


def test_a_disk_without_room_stops_before_it_writes(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "_free", lambda folder: 100_000_000 if "hf" in str(folder) else 1000)
    code = vflan_run(vflan, ["train", "tiny_cpu", *common, f"out={tmp_path / 'run'}"])
    told = capsys.readouterr().err
    assert code == ExitCode.SYSTEM == 5
    assert "the disk is full" in told and "free" in told and "checkpoint.keep" in told
    assert not list((tmp_path / "run").glob("checkpoints/step-??????"))


@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_a_disk_that_fills_while_a_checkpoint_is_written_exits_5(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asynchronous: str
) -> None:
    """The writer's error comes through the library's thread and its own wrapper."""
    from torch.distributed.checkpoint import FileSystemWriter

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    over = [*common, f"out={tmp_path / 'run'}", f"checkpoint.asynchronous={asynchronous}"]
    with pytest.raises(MachineError, match="the disk is full") as caught:
        run(load("tiny_cpu", over))
    assert caught.value.exit_code == 5
    monkeypatch.undo()
    run(load("tiny_cpu", over))
    assert (tmp_path / "run" / "hf").exists()


def test_an_export_on_a_full_disk_exits_5(
    common: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    from vision_flan.train import weights

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(MachineError, match="the disk is full"):
        run(load("tiny_cpu", [*common, f"out={tmp_path / 'run'}"]))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), machine_errors(tmp_path):
        raise ZeroDivisionError
    with pytest.raises(MachineError, match="cannot be written"), machine_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_the_size_of_a_checkpoint_is_what_the_page_says(finished: Path) -> None:
    """Weight and AdamW's two moments in float32: 12 bytes a parameter that learns; 156 GB for 13B."""
    from transformers import LlavaForConditionalGeneration

    model = LlavaForConditionalGeneration.from_pretrained(finished / "hf")
    learning = sum(p.numel() for name, p in model.named_parameters() if "vision_tower" not in name)
    stored = sum(file.stat().st_size for file in (finished / "checkpoints" / "step-000006").glob("*.distcp"))
    assert 12 * learning < stored < 12 * learning * 1.5, "each tensor has a header of its own"
    assert 12 * 13_000_000_000 == 156e9


def test_a_run_in_which_every_sample_is_dropped_fails(common: list[str], tmp_path: Path) -> None:
    """Longer than the style's own words, shorter than any prompt with an image."""
    over = [
        *common,
        "data.max_tokens=53",
        "train.steps=3",
        f"out={tmp_path / 'run'}",
        "data.sources=[{include: [object_digits]}]",
    ]
    with pytest.raises(
        NothingLearnedError, match=r"none of 12 samples has an answer within data.max_tokens \(53\)"
    ):
        run(load("tiny_cpu", over))
    assert not (tmp_path / "run" / "hf").exists()
    assert not list((tmp_path / "run").glob("checkpoints/step-000003"))
    with pytest.raises(ConfigError, match="data.max_tokens is 10, and the prompt style alone has"):
        run(load("tiny_cpu", [*over, "data.max_tokens=10"]))


def test_a_run_of_one_step_learns(common: list[str], tmp_path: Path, tiny: Path, tensors: Tensors) -> None:
    """Warm-up starts from 0, and would be all of a single step."""
    run(load("tiny_cpu", [*common, "train.steps=1", f"out={tmp_path / 'run'}"]))
    before, after = tensors(tiny), tensors(tmp_path / "run" / "hf")
    assert any(not torch.equal(before[name], after[name]) for name in before)
