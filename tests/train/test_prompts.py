"""Tokens and labels: parity with LLaVA's published format, on cases written by hand."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import AutoProcessor, AutoTokenizer

from vision_flan.train.config import Data
from vision_flan.train.corpus import Sample
from vision_flan.train.model import load_tokenizer
from vision_flan.train.prompts import Encoder
from vision_flan.train.tiny import create, make_tokenizer

VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def sample(prompt: str = "Which digit?", target: str = "5", has_image: bool = True) -> Sample:
    return Sample("t/1", prompt, target, "Scene", "t", has_image)


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return load_tokenizer(tiny)


def llava_ids(tokenizer: Any, text: str) -> list[int]:
    """What LLaVA makes of a conversation: pieces around `<image>` encoded alone, the image between."""
    ids = [tokenizer.bos_token_id]
    for number, piece in enumerate(text.split("<image>")):
        ids += [tokenizer.convert_tokens_to_ids("<image>")] if number else []
        ids += tokenizer(piece, add_special_tokens=False).input_ids
    return ids


CASES = [
    ("vicuna_v1", sample(), f"{VICUNA} USER: <image>\nWhich digit? ASSISTANT:", " 5</s>"),
    (
        "vicuna_v1",
        sample("  Two words?\n", "a cat"),
        f"{VICUNA} USER: <image>\nTwo words? ASSISTANT:",
        " a cat</s>",
    ),
    ("vicuna_v1", sample("Tell me.", "No.", False), f"{VICUNA} USER: Tell me. ASSISTANT:", " No.</s>"),
    ("vicuna_v1", sample("", "a cat"), f"{VICUNA} USER: <image> ASSISTANT:", " a cat</s>"),
    (
        "llama2_chat",
        sample(),
        "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand "
        "the visual content that the user provides, and assist the user with a variety of tasks using "
        "natural language.\n"
        "<</SYS>>\n\n<image>\nWhich digit? [/INST]",
        " 5 </s>",
    ),
    ("plain", sample("Describe it.", "a red bus"), "<image>", "a red bus\n"),
]


@pytest.mark.parametrize(("prompt", "case", "before", "after"), CASES)
def test_ids_and_labels_are_llavas(
    tokenizer: Any, prompt: str, case: Sample, before: str, after: str
) -> None:
    document = Encoder(tokenizer, Data(prompt=prompt), patches=1).encode(case)
    assert document.token_ids.tolist() == llava_ids(tokenizer, before + after)
    supervised = tokenizer.decode(document.token_ids[document.supervised])
    assert supervised.strip() == after.strip()
    assert tokenizer.decode(document.token_ids[~document.supervised]).rstrip().endswith(before[-8:].strip())


def test_the_ids_of_one_case_written_out(tokenizer: Any) -> None:
    document = Encoder(tokenizer, Data(), patches=2).encode(sample())
    written = "".join(tokenizer.convert_ids_to_tokens(document.token_ids))
    question = "▁USER:▁<image><image>▁\nWhich▁digit?▁ASSISTANT:"
    assert written == "<s>▁" + VICUNA.replace(" ", "▁") + question + "▁5</s>"
    assert "".join(tokenizer.convert_ids_to_tokens(document.token_ids[document.supervised])) == "▁5</s>"


def test_a_image_is_as_many_ids_as_it_has_patches(tokenizer: Any) -> None:
    encoder = Encoder(tokenizer, Data(), patches=576)
    assert (encoder.encode(sample()).token_ids == encoder.image_id).sum() == 576
    assert (encoder.encode(sample(has_image=False)).token_ids == encoder.image_id).sum() == 0


def test_an_assistant_in_the_text_breaks_no_mask(tokenizer: Any) -> None:
    encoder = Encoder(tokenizer, Data(), patches=1)
    for prompt, target in (
        ("Who says ASSISTANT: here?", "a ASSISTANT: b"),
        ("x USER: y", "z</s> ASSISTANT: w"),
    ):
        document = encoder.encode(sample(prompt, target))
        assert tokenizer.decode(document.token_ids[document.supervised][:-1]).strip() == target
        assert document.token_ids.tolist().count(tokenizer.eos_token_id) == 1


def test_where_the_image_goes(tokenizer: Any) -> None:
    written = sample("Look at <image> and say which.", "5")
    first = Encoder(tokenizer, Data(), patches=1)
    as_written = Encoder(tokenizer, Data(image_position="as_written"), patches=1)
    assert first.prompt_text(written).endswith("USER: <image>\nLook at  and say which. ASSISTANT:")
    assert as_written.prompt_text(written).endswith("USER: Look at <image> and say which. ASSISTANT:")
    assert as_written.prompt_text(sample()) == first.prompt_text(sample())
    for encoder in (first, as_written):
        assert (encoder.encode(written).token_ids == encoder.image_id).sum() == 1


def test_a_mark_in_text_or_answer_is_no_image(tokenizer: Any) -> None:
    encoder = Encoder(tokenizer, Data(), patches=1)
    for case in (
        sample("a <image> b <image>", "c <image>"),
        sample("a <image>", "<image> c", has_image=False),
    ):
        assert (encoder.encode(case).token_ids == encoder.image_id).sum() == int(case.has_image)


def test_an_oversize_sample_loses_its_end(tokenizer: Any) -> None:
    whole = Encoder(tokenizer, Data(), patches=4).encode(sample(target="word " * 50))
    short = Encoder(tokenizer, Data(max_tokens=len(whole.token_ids) - 30), patches=4).encode(
        sample(target="word " * 50)
    )
    assert short.token_ids.tolist() == whole.token_ids[:-30].tolist()
    assert short.supervised_count == whole.supervised_count - 30
    gone = Encoder(tokenizer, Data(max_tokens=20), patches=4).encode(sample())
    assert (len(gone.token_ids), gone.supervised_count) == (20, 0)


def test_the_exported_processor_gives_the_same_ids(tiny: Path, tokenizer: Any) -> None:
    """At inference people encode the prompt in one go; only `legacy` spacing agrees with training."""
    encoder = Encoder(tokenizer, Data(), patches=16)
    processor = AutoProcessor.from_pretrained(tiny)
    for case in (sample(), sample("Two\nlines?", "x")):
        image = Image.new("RGB", (32, 32))
        together = processor(images=image, text=encoder.prompt_text(case), return_tensors="pt").input_ids[0]
        assert together.tolist() == encoder.prompt_ids(case)
        parts = [{"type": "image"}, {"type": "text", "text": case.prompt}]
        chat = [{"role": "user", "content": parts}]
        assert processor.apply_chat_template(chat) == encoder.prompt_text(case)


TWO_TURNS = {
    "vicuna_v1": f"{VICUNA} USER: <image>\nOne? ASSISTANT: 1</s>USER: Two? ASSISTANT:",
    "llama2_chat": "<image>\nOne? [/INST] 1 </s><s>[INST] Two? [/INST]",
}


@pytest.mark.parametrize("prompt", sorted(TWO_TURNS))
def test_a_chat_opens_with_the_system_prompt_once(tmp_path: Path, prompt: str) -> None:
    create(tmp_path / "m", ["One? Two?"], prompt=prompt)
    parts = [{"type": "image"}, {"type": "text", "text": "One?"}]
    chat = [{"role": "user", "content": parts}, {"role": "assistant", "content": "1"}]
    chat.append({"role": "user", "content": "Two?"})
    told = AutoProcessor.from_pretrained(tmp_path / "m").apply_chat_template(chat)
    assert told.endswith(TWO_TURNS[prompt])
    assert told.count("<<SYS>>") + told.count("A chat between") == 1


def test_without_legacy_the_space_after_the_image_is_lost(tmp_path: Path) -> None:
    """Why `load_tokenizer` asks for it: transformers 5.23 neither saves `legacy` nor takes it by default."""
    made = make_tokenizer(["USER: Which digit?"])
    made.add_tokens(["<image>"], special_tokens=True)
    made.save_pretrained(tmp_path)
    text = "USER: <image>\nWhich digit?"
    legacy, plain = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert legacy(text).input_ids == made(text).input_ids
    place = legacy(text).input_ids.index(legacy.convert_tokens_to_ids("<image>"))
    space = legacy.convert_tokens_to_ids("▁")
    assert legacy(text).input_ids[place + 1] == space != plain(text).input_ids[place + 1]


def test_a_tokenizer_without_sentencepiece_gets_its_space(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        ["USER: a cat ASSISTANT: cat"], trainers.BpeTrainer(initial_alphabet=alphabet)
    )
    bpe = PreTrainedTokenizerFast(tokenizer_object=learner, eos_token="<end>")
    bpe.add_tokens(["<image>"], special_tokens=True)
    document = Encoder(bpe, Data(), patches=1).encode(sample("a cat", "cat"))
    assert bpe.convert_ids_to_tokens(document.token_ids[document.supervised]) == ["Ġcat", "<end>"]
