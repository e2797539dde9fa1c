"""A model that ships only a `tokenizer.model`, as Vicuna 1.5 does: the token ids are SentencePiece's own."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor, AutoTokenizer, CLIPVisionConfig, LlamaConfig

from vision_flan.train.config import Data
from vision_flan.train.corpus import Sample
from vision_flan.train.model import join_configs, load_tokenizer
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.prompts import Encoder

sentencepiece = pytest.importorskip("sentencepiece")

TEXT = [
    *(f"A quick brown fox {n} jumps over   the lazy dog\tand says: 'hello'  two    four" for n in range(99)),
    *["A chat between a curious user and an artificial intelligence assistant. USER: ASSISTANT:"] * 20,
    *["        return x", "    if x:", "                indented", "né café", "[INST] <<SYS>> [/INST]"] * 20,
]
PIECES = [*"  ab1é\n\t<>[]/s▁.", "return", "The quick"]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model alone, trained with Llama's settings, in which runs of spaces are pieces."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    (folder / "text.txt").write_text("\n".join(TEXT), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "tokenizer"), model_type="bpe",
        vocab_size=700, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
        hard_vocab_limit=False, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
    )  # fmt: skip
    spaces_last(folder / "tokenizer.model")
    made = folder / "model"
    made.mkdir()
    shutil.copy(folder / "tokenizer.model", made)
    (made / "config.json").write_text(json.dumps({"model_type": "llama"}))
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "tokenizer_class": "LlamaTokenizer",
    }
    (made / "tokenizer_config.json").write_text(json.dumps({**names, "legacy": True, "add_bos_token": True}))
    return made


def spaces_last(path: Path) -> None:
    """As Llama's model has it: runs of spaces come early among the pieces, with the lowest of scores."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    for piece in model.pieces:
        if set(piece.piece) == {"▁"}:
            piece.score = -1e9
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def theirs(shipped: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(shipped / "tokenizer.model"))


@pytest.fixture(scope="module")
def exported(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves for inference."""
    tokenizer = load_tokenizer(shipped)
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **shape)
    config = join_configs(LlamaConfig(vocab_size=len(tokenizer), **shape), vision, tokenizer)
    folder = tmp_path_factory.mktemp("exported") / "hf"
    folder.mkdir()
    save_around(folder, config, tokenizer, chat_template("vicuna_v1"), torch.float32)
    return folder


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids)


def test_the_model_has_runs_of_spaces_as_pieces(theirs: Any) -> None:
    assert {
        len(theirs.id_to_piece(n)) for n in range(len(theirs)) if set(theirs.id_to_piece(n)) == {"▁"}
    } >= {1, 2, 4}


def test_any_text_has_sentencepieces_ids(shipped: Path, exported: Path, theirs: Any) -> None:
    """Before and after the export; transformers alone leaves out a space where the text begins with one."""
    ours, again = load_tokenizer(shipped), load_tokenizer(exported)
    plain = AutoTokenizer.from_pretrained(shipped, legacy=True)
    assert ids(plain, "  a") != theirs.encode("  a"), (
        "transformers has fixed it: `load_tokenizer` may be shorter"
    )

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
    def check(text: str) -> None:
        assert ids(ours, text) == theirs.encode(text) == ids(again, text)

    check()
    for count in range(20):
        for text in (
            " " * count + "fox",
            "fox" + " " * count + "dog",
            "fox" + " " * count,
            "\n" + " " * count + "x",
        ):
            assert ids(ours, text) == theirs.encode(text) == ids(again, text), repr(text)


@pytest.mark.parametrize("question", ["Which one?", "  two spaces", "    four\n        eight"])
def test_text_after_an_image_begins_with_a_space(
    shipped: Path, exported: Path, theirs: Any, question: str
) -> None:
    """LLaVA encodes the pieces around `<image>` apart, so SentencePiece gives each its leading space."""
    tokenizer = load_tokenizer(exported)
    encoder = Encoder(tokenizer, Data(image_position="as_written"), patches=16)
    sample = Sample("t/1", f"Look: <image>{question}", " 5", "Scene", "t", True)
    before, after = encoder.prompt_text(sample).split("<image>")
    found = encoder.prompt_ids(sample)
    assert found == [1, *theirs.encode(before), *[encoder.image_id] * 16, *theirs.encode(after)]
    assert theirs.id_to_piece(theirs.encode(after)[0]).startswith("▁")
    from PIL import Image

    processor = AutoProcessor.from_pretrained(exported)
    given_at_once = processor(
        images=Image.new("RGB", (32, 32)), text=encoder.prompt_text(sample), return_tensors="pt"
    )
    assert given_at_once.input_ids[0].tolist() == found
    document = encoder.encode(sample)
    assert document.token_ids[document.supervised].tolist() == [*theirs.encode(" 5"), 2]
