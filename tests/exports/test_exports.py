"""Every export, reloaded the way its reader loads it."""

import hashlib
import io
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.train import drawn
from tests.train.conftest import environment
from vision_flan.errors import SpecError
from vision_flan.exports import sources
from vision_flan.exports.formats import upright
from vision_flan.exports.placeholders import harmless
from vision_flan.exports.write import FORMATS, ExportChoices, ExportError, export

TASKS = ("object_digits", "text_only")


@pytest.fixture(scope="module")
def originals(compiled: Path) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for task in TASKS:
        table = datasets.load_dataset(str(compiled), task, split="train")
        for row in table.cast_column("image", datasets.Image(decode=False)):
            rows[row["id"]] = row
    return rows


def write(compiled: Path, out: Path, form: str) -> Path:
    assert export(compiled, out, form, ExportChoices(TASKS)).instances == {"train": 64}
    return out


def test_llava_reads_ids_turns_and_images(compiled: Path, originals: Any, tmp_path: Path) -> None:
    out = write(compiled, tmp_path / "out", "llava")
    entries = json.loads((out / "llava.json").read_text())
    assert [entry["id"] for entry in entries] == list(originals)
    for entry in entries:
        row = originals[entry["id"]]
        human, gpt = entry["conversations"]
        assert (human["from"], gpt["from"], gpt["value"]) == ("human", "gpt", row["target"])
        if row["image"] is None:
            assert "image" not in entry and human["value"] == row["prompt"]
        else:
            assert human["value"] == "<image>\n" + row["prompt"]
            assert (out / entry["image"]).read_bytes() == row["image"]["bytes"]
            assert entry["image"].endswith(".png")


def test_messages_have_as_many_marks_as_images(compiled: Path, originals: Any, tmp_path: Path) -> None:
    out = write(compiled, tmp_path / "out", "messages")
    rows = datasets.load_dataset("json", data_files=str(out / "train.jsonl"), split="train")
    for row, original in zip(rows, originals.values(), strict=True):
        user, assistant = row["messages"]
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        assert assistant["content"] == original["target"]
        assert user["content"].count("<image>") == len(row["images"]) == (original["image"] is not None)
        for path in row["images"]:
            assert Path(path).is_absolute()
            assert Path(path).read_bytes() == original["image"]["bytes"]
    info = json.loads((out / "dataset_info.json").read_text())["vision_flan"]
    assert (out / info["file_name"]).exists()
    assert set(info["columns"].values()) <= set(rows.column_names)


def test_axolotl_has_parts_with_paths(compiled: Path, originals: Any, tmp_path: Path) -> None:
    out = write(compiled, tmp_path / "out", "axolotl")
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    for line, original in zip(lines, originals.values(), strict=True):
        *image, text = line["messages"][0]["content"]
        assert text == {"type": "text", "text": original["prompt"].strip()}
        assert [part["type"] for part in image] == ["image"] * (original["image"] is not None)
        if image:
            assert Image.open(image[0]["path"]).size == (32, 32)
        assert line["messages"][1]["content"] == [{"type": "text", "text": original["target"]}]
    assert len(datasets.load_dataset("json", data_files=str(out / "train.jsonl"), split="train")) == 64


TALK = (("What is it?", "A seven."), ("<image> Is it red?", "No."), ("What else?", "Nothing."))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled conversation of three turns about one image."""
    folder = tmp_path_factory.mktemp("talk")
    image = drawn.draw_digit(7, random.Random(1), (32, 32))
    rows = [drawn.row("chat", "1", image, *TALK[0], "Visual Dialogue", TALK[1:])]
    return drawn.write_compiled(folder / "compiled", {"chat": rows})


@pytest.mark.parametrize("form", ["llava", "messages", "axolotl", "nanovlm"])
def test_a_conversation_is_one_example_with_every_turn(form: str, talk: Path, tmp_path: Path) -> None:
    assert export(talk, tmp_path / "out", form).total == 1
    shown = [user.replace("<image>", "< image>").strip() for user, _ in TALK]
    if form == "llava":
        entry = json.loads((tmp_path / "out/llava.json").read_text())[0]
        said = [(part["from"], part["value"]) for part in entry["conversations"]]
        asked, answered = [v for who, v in said if who == "human"], [v for who, v in said if who == "gpt"]
        assert asked == ["<image>\n" + shown[0], *shown[1:]]
    elif form == "nanovlm":
        loaded = datasets.load_dataset(str(tmp_path / "out"), split="train")[0]
        asked, answered = ([turn[part] for turn in loaded["texts"]] for part in ("user", "assistant"))
        assert asked == shown
    else:
        messages = json.loads((tmp_path / "out/train.jsonl").read_text())["messages"]
        texts = [m["content"] if form == "messages" else m["content"][-1]["text"] for m in messages]
        asked, answered = texts[::2], texts[1::2]
        assert [m["role"] for m in messages] == ["user", "assistant"] * 3
        assert [text.removeprefix("<image>\n") for text in asked] == shown
    assert answered == [answer for _, answer in TALK]


def test_trl_learns_every_answer_of_a_conversation(talk: Path, tmp_path: Path) -> None:
    assert export(talk, tmp_path / "out", "trl").total == 1
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert [row["completion"][0]["content"][0]["text"] for row in rows] == [answer for _, answer in TALK]
    for number, made in enumerate(rows):
        assert [m["role"] for m in made["prompt"]] == (["user", "assistant"] * 3)[: 2 * number + 1]
        kinds = [part["type"] for message in made["prompt"] for part in message["content"]]
        assert kinds.count("image") == len(made["images"]) == 1


def test_a_folder_of_an_older_version_is_refused(talk: Path, tmp_path: Path) -> None:
    file = next((talk / "chat").glob("*.parquet"))
    old = tmp_path / "old/chat"
    old.mkdir(parents=True)
    pq.write_table(pq.read_table(file).drop_columns(["turns"]), old / file.name)
    drawn.write_manifest(tmp_path / "old", "chat")
    with pytest.raises(ExportError, match="no column 'turns'"):
        export(tmp_path / "old", tmp_path / "out", "llava")


@pytest.mark.parametrize("form", ["trl", "nanovlm"])
def test_parquet_exports_load_by_folder_with_images(
    compiled: Path, originals: Any, tmp_path: Path, form: str
) -> None:
    out = write(compiled, tmp_path / "out", form)
    rows = datasets.load_dataset(str(out), split="train")
    raw = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    for row, original in zip(raw, originals.values(), strict=True):
        images = [image["bytes"] for image in row["images"]]
        assert images == ([original["image"]["bytes"]] if original["image"] else [])
        if form == "nanovlm":
            assert row["texts"] == [{"user": original["prompt"].strip(), "assistant": original["target"]}]
        else:
            assert [part["type"] for part in row["prompt"][0]["content"]] == ["image"] * len(images) + [
                "text"
            ]
            assert row["completion"][0]["content"] == [{"type": "text", "text": original["target"]}]
    assert isinstance(rows[0]["images"][0], Image.Image)


@given(
    st.lists(st.sampled_from(["<", "image", ">", "<image>", "<ima", "ge>", "video", "|", " ", "a", "AUDIO"]))
)
def test_no_mark_is_left_however_it_is_put_together_and_nothing_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    made = harmless(text)
    for mark in ("<image>", "<video>", "<audio>", "<|image|>"):
        assert mark not in made.lower()
    assert made.replace(" ", "") == text.replace(" ", "")
    assert harmless(made) == made


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_a_mark_of_upstream_reaches_no_trainer(tmp_path: Path, form: str) -> None:
    image = drawn.draw_digit(7, random.Random(1))
    rows = [drawn.row("t", "1", image, "See <ima<image>ge> <video>", "<image> <audio>", "Text")]
    folder = drawn.write_compiled(tmp_path / "in", {"t": rows})
    export(folder, tmp_path / "out", form)
    texts = [path.read_text() for path in (tmp_path / "out").glob("*.json*")]
    texts += [str(pq.read_table(p).drop_columns(["images"])) for p in (tmp_path / "out").rglob("*.parquet")]
    found = "".join(texts)
    assert found.count("<image>") == (form in ("llava", "messages"))
    assert "<video>" not in found and "<audio>" not in found and "< audio>" in found


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """A task for training and one for testing; five rows show one image."""
    image = drawn.draw_digit(7, random.Random(1))
    rows = {
        task: [drawn.row(task, f"{n}", image, "Which digit?", "7", "Text") for n in range(count)]
        for task, count in (("seen", 3), ("held_out", 2))
    }
    folder = drawn.write_compiled(tmp_path / "in", rows)
    drawn.write_manifest(folder, "held_out", "test")
    return folder


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_every_split_is_exported_apart(splits: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    assert export(splits, out, form).instances == {"train": 3, "test": 2}
    if form == "llava":
        counts = [len(json.loads((out / f"llava{end}.json").read_text())) for end in ("", "-test")]
    elif form in ("messages", "axolotl"):
        counts = [len((out / f"{split}.jsonl").read_text().splitlines()) for split in ("train", "test")]
    else:
        loaded = datasets.load_dataset(str(out))
        counts = [loaded["train"].num_rows, loaded["test"].num_rows]
    assert counts == [3, 2]


def test_an_image_of_many_rows_is_written_once(splits: Path, tmp_path: Path) -> None:
    export(splits, tmp_path / "out", "llava")
    (image,) = (path for path in (tmp_path / "out/images").rglob("*") if path.is_file())
    assert hashlib.sha256(image.read_bytes()).hexdigest() == image.stem


def test_split_and_limit_choose(splits: Path, tmp_path: Path) -> None:
    done = export(splits, tmp_path / "one", "llava", ExportChoices(limit=1))
    assert done.instances == {"train": 1, "test": 1}
    assert export(splits, tmp_path / "two", "llava", ExportChoices(splits=["test"])).instances == {"test": 2}
    with pytest.raises(ExportError, match="no task here has a split 'tset'"):
        export(splits, tmp_path / "three", "llava", ExportChoices(splits=["tset"]))


KILLED = """
import os, sys
from pathlib import Path
from vision_flan.exports import write as exports, formats
real, left = formats.save_image, [2]
def save_image(tree, row):
    left[0] -= 1
    if left[0] < 0 and row["task"] == sys.argv[3]:
        os.kill(os.getpid(), 9)
    return real(tree, row)
formats.save_image = save_image
exports.export(Path(sys.argv[1]), Path(sys.argv[2]), "llava")
"""


def test_an_export_killed_in_the_middle_goes_on_and_ends_the_same(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(compiled), str(out), "text_only"]
    assert subprocess.run(command, env=environment(), timeout=60).returncode == -9
    assert not out.exists()
    again: list[str] = []
    real = sources.Source.rows

    def rows(self: sources.Source, part: sources.Part) -> Iterator[sources.Row]:
        again.append(part.task)
        return real(self, part)

    monkeypatch.setattr(sources.Source, "rows", rows)
    export(compiled, out, "llava")
    assert again == ["text_only"]
    export(compiled, tmp_path / "whole", "llava")
    assert content(out) == content(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_unfinished_export_of_something_else_is_not_mixed_in(splits: Path, tmp_path: Path) -> None:
    stale = tmp_path / ".out.export/tree/images/stale.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"x")
    export(splits, tmp_path / "out", "llava")
    assert not (tmp_path / "out/images/stale.png").exists()


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_cannot_be_exported_is_named(compiled: Path, tmp_path: Path, form: str) -> None:
    with pytest.raises(ExportError, match="no compiled folder"):
        export(tmp_path, tmp_path / "out", form)
    with pytest.raises(SpecError, match="no config 'object_digit'") as caught:
        export(compiled, tmp_path / "out", form, ExportChoices(["object_digit"]))
    assert "object_digits" in str(caught.value.hint)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="not empty"):
        export(compiled, tmp_path / "full", form)


def test_a_truncated_shard_is_named(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "t").mkdir(parents=True)
    data = (compiled / "object_digits" / "train-00000-of-00001.parquet").read_bytes()
    (tmp_path / "in" / "t" / "train-0.parquet").write_bytes(data)
    drawn.write_manifest(tmp_path / "in", "t")
    (tmp_path / "in" / "t" / "train-0.parquet").write_bytes(data[:-100])
    with pytest.raises(ExportError, match="not readable"):
        export(tmp_path / "in", tmp_path / "out", "trl")


@pytest.mark.slow
def test_trl_takes_an_optimiser_step_on_its_own(compiled: Path, tiny: Path, tmp_path: Path) -> None:
    """TRL reads the export and the tiny model with nothing of ours in between."""
    trl = pytest.importorskip("trl")
    import torch
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    out = tmp_path / "out"
    export(compiled, out, "trl", ExportChoices(["object_digits"]))
    model = LlavaForConditionalGeneration.from_pretrained(tiny)
    before = model.lm_head.weight.detach().clone()
    settings = trl.SFTConfig(
        output_dir=str(tmp_path / "trl"),
        max_steps=1,
        per_device_train_batch_size=2,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        max_length=None,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        gradient_checkpointing=False,
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=settings,
        train_dataset=datasets.load_dataset(str(out), split="train"),
        processing_class=AutoProcessor.from_pretrained(tiny),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    learned = batch["labels"][0][batch["labels"][0] != -100]
    assert trainer.processing_class.tokenizer.decode(learned).strip(" </s>") in "0123456789"
    assert (batch["input_ids"] == model.config.image_token_id).sum() == 2 * 16
    trainer.train()
    assert torch.isfinite(torch.tensor(trainer.state.log_history[0]["train_loss"]))
    assert not torch.equal(before, model.lm_head.weight)


@pytest.mark.parametrize("turn", range(1, 9))
def test_an_image_that_exif_turns_is_exported_upright_and_any_other_as_it_is(turn: int) -> None:
    image, exif, file = Image.effect_noise((12, 8), 80), Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    image.save(file, "TIFF", exif=exif)
    kind, data = upright(file.getvalue())
    assert (kind == "PNG") == (turn > 1) and (data == file.getvalue()) == (turn == 1)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).convert("RGB")
    assert Image.open(io.BytesIO(data)).convert("RGB").tobytes() == expected.tobytes()


def test_two_exports_to_one_place_at_once_are_refused(
    compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, refused = tmp_path / "out", []
    rows = sources.Source.rows

    def meanwhile(source: sources.Source, part: sources.Part) -> Iterator[sources.Row]:
        if not refused:
            with pytest.raises(ExportError, match="another export to this folder is running") as error:
                export(compiled, out, "llava", ExportChoices(TASKS))
            refused.append(error)
        return rows(source, part)

    monkeypatch.setattr(sources.Source, "rows", meanwhile)
    write(compiled, out, "llava")
    assert refused and sorted(path.name for path in tmp_path.iterdir()) == ["out"], "no lock is left"
