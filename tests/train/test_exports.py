"""Every export, reloaded the way its reader loads it."""

import io
import json
import random
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from tests.train import conftest
from vision_flan.train.exports import FORMATS, ExportError, _upright, export

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
    assert export(compiled, out, form, TASKS) == 64
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
    image = conftest.draw_digit(7, random.Random(1), (32, 32))
    rows = [conftest.row("chat", "1", image, *TALK[0], "Visual Dialogue", TALK[1:])]
    return conftest.write_compiled(folder / "compiled", {"chat": rows})


@pytest.mark.parametrize("form", ["llava", "messages", "axolotl", "nanovlm"])
def test_a_conversation_is_one_example_with_every_turn(form: str, talk: Path, tmp_path: Path) -> None:
    assert export(talk, tmp_path / "out", form) == 1
    shown = [user.replace("<image>", "").strip() for user, _ in TALK]
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
    assert export(talk, tmp_path / "out", "trl") == 1
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


def test_a_mark_in_a_prompt_is_not_exported_as_a_second_image(tmp_path: Path, compiled: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(compiled / "object_digits" / "train-00000-of-00001.parquet")
    rows = [
        {**table.slice(0, 1).to_pylist()[0], "turns": [{"user": "Look at <image> now", "assistant": "7"}]}
    ]
    import pyarrow as pa

    (tmp_path / "in" / "object_digits").mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "in/object_digits/train-0.parquet"
    )
    export(tmp_path / "in", tmp_path / "out", "messages")
    line = json.loads((tmp_path / "out" / "train.jsonl").read_text())
    assert line["messages"][0]["content"] == "<image>\nLook at  now"


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_what_cannot_be_exported_is_named(compiled: Path, tmp_path: Path, form: str) -> None:
    with pytest.raises(ExportError, match="no compiled folder"):
        export(tmp_path, tmp_path / "out", form)
    with pytest.raises(ExportError, match="no task 'nope' here"):
        export(compiled, tmp_path / "out", form, ["nope"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ExportError, match="not empty"):
        export(compiled, tmp_path / "full", form)


def test_a_truncated_shard_is_named(compiled: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "t").mkdir(parents=True)
    data = (compiled / "object_digits" / "train-00000-of-00001.parquet").read_bytes()
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
    export(compiled, out, "trl", ["object_digits"])
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
    kind, data = _upright(file.getvalue())
    assert (kind == "PNG") == (turn > 1) and (data == file.getvalue()) == (turn == 1)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue()))).convert("RGB")
    assert Image.open(io.BytesIO(data)).convert("RGB").tobytes() == expected.tobytes()
