"""Exchanged and compared projectors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlavaForConditionalGeneration

from vision_flan.train.projector import Exchange, correlation, exchange
from vision_flan.train.tiny import create
from vision_flan.train.weights import WeightsError

MLP = "multi_modal_projector."


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "model"
    create(folder, ["Another tokenizer"] * 3, seed=1, layers=2)
    return folder


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_table_6_takes_the_projector_and_nothing_else(tiny: Path, other: Path, tmp_path: Path) -> None:
    exchange(str(tiny), tmp_path / "new", Exchange(projector=str(other)))
    new, old, theirs = state(tmp_path / "new"), state(tiny), state(other)
    for name in old:
        assert torch.equal(new[name], (theirs if name.startswith(MLP) else old)[name])
    assert LlavaForConditionalGeneration.from_pretrained(tmp_path / "new").dtype == torch.float32


def test_llavas_own_projector_file_is_understood(tiny: Path, other: Path, tmp_path: Path) -> None:
    theirs = state(other)
    names = {"0": "linear_1", "2": "linear_2"}
    llava = {
        f"model.mm_projector.{n}.{kind}": theirs[f"{MLP}{name}.{kind}"]
        for n, name in names.items()
        for kind in ("weight", "bias")
    }
    torch.save(llava, tmp_path / "mm_projector.bin")
    exchange(str(tiny), tmp_path / "new", Exchange(projector=str(tmp_path / "mm_projector.bin")))
    assert all(torch.equal(v, theirs[k]) for k, v in state(tmp_path / "new").items() if k.startswith(MLP))
    assert correlation(str(tmp_path / "mm_projector.bin"), str(other)) == pytest.approx(1.0, abs=1e-15)


def test_table_7_takes_the_llm_and_keeps_the_projector(tiny: Path, tmp_path: Path) -> None:
    """From a plain Llama with fewer rows than llava-hf: the rows beyond are the mean of the others."""
    model = LlavaForConditionalGeneration.from_pretrained(tiny)
    llama = tmp_path / "llama"
    llama.mkdir()
    rows = model.config.text_config.vocab_size - 40
    plain = {
        name.replace("model.language_model.", "model."): (torch.randn_like(value) * 0.1)[
            : rows if value.shape[0] == model.config.text_config.vocab_size else None
        ].clone()
        for name, value in model.state_dict().items()
        if name.startswith(("model.language_model.", "lm_head."))
    }
    save_file(plain, llama / "model.safetensors")
    exchange(str(tiny), tmp_path / "new", Exchange(llm=str(llama)))
    new, old = state(tmp_path / "new"), state(tiny)
    assert torch.equal(
        new["language_model.model.embed_tokens.weight"][:rows], plain["model.embed_tokens.weight"]
    )
    head = new["language_model.lm_head.weight"]
    assert torch.equal(head[:rows], plain["lm_head.weight"])
    torch.testing.assert_close(head[rows:], head[:rows].mean(0).expand(len(head) - rows, -1))
    for name in old:
        if not name.startswith("language_model."):
            assert torch.equal(new[name], old[name])


def test_correlation_is_pearsons_in_float64(tiny: Path, other: Path, tmp_path: Path) -> None:
    def flat(folder: Path) -> np.ndarray:
        parts = sorted((k, v) for k, v in state(folder).items() if k.startswith(MLP))
        return np.concatenate([value.double().numpy().ravel() for _, value in parts])

    expected = np.corrcoef(flat(tiny), flat(other))[0, 1]
    assert correlation(str(tiny), str(other)) == pytest.approx(expected, abs=1e-12)
    assert correlation(str(tiny), str(tiny)) == pytest.approx(1.0, abs=1e-15)
    # far from zero and moved by parts in a billion: float32 sums would not see it
    shifted = tmp_path / "shifted"
    shutil.copytree(tiny, shifted)
    save_file(
        {k: (-v if k.startswith(MLP) else v) for k, v in state(tiny).items()}, shifted / "model.safetensors"
    )
    assert correlation(str(tiny), str(shifted)) == pytest.approx(-1.0, abs=1e-15)


def test_what_does_not_fit_is_named(tiny: Path, tmp_path: Path) -> None:
    create(tmp_path / "narrow", ["x"], width=32, layers=2)
    with pytest.raises(WeightsError, match=r"multi_modal_projector.linear_1.* is \(32"):
        exchange(str(tiny), tmp_path / "new", Exchange(projector=str(tmp_path / "narrow")))
    with pytest.raises(WeightsError, match="another projector"):
        correlation(str(tiny), str(tmp_path / "narrow"))
    flat = tmp_path / "flat"
    shutil.copytree(tiny, flat)
    save_file({k: torch.ones_like(v) for k, v in state(tiny).items()}, flat / "model.safetensors")
    with pytest.raises(WeightsError, match="correlates with nothing"):
        correlation(str(tiny), str(flat))
    with pytest.raises(WeightsError, match="no model at"):
        correlation(str(tiny), str(tmp_path / "missing"))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({}))
    with pytest.raises(WeightsError, match=r"no .safetensors and no .bin"):
        correlation(str(tiny), str(broken))
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        correlation(str(tiny), str(broken))


def test_table_7_brings_the_llms_tokenizer_and_its_prompt(tiny: Path, tmp_path: Path) -> None:
    """A Llama with a configuration and a tokenizer of its own, and LLaMA 2 Chat's prompt style."""
    from transformers import AutoProcessor, LlamaConfig, LlamaForCausalLM

    from vision_flan.train.model import load_tokenizer
    from vision_flan.train.tiny import make_tokenizer

    tokenizer = make_tokenizer(["Other words than the model has"] * 3)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    llama = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
    llama.save_pretrained(tmp_path / "llama")
    tokenizer.save_pretrained(tmp_path / "llama")
    exchange(str(tiny), tmp_path / "new", Exchange(llm=str(tmp_path / "llama"), prompt="llama2_chat"))
    model = LlavaForConditionalGeneration.from_pretrained(tmp_path / "new")
    weight = model.model.language_model.layers[0].mlp.up_proj.weight
    assert torch.equal(weight, llama.model.layers[0].mlp.up_proj.weight)
    made = load_tokenizer(tmp_path / "new")
    text = "Other words than these"
    assert made(text).input_ids == load_tokenizer(tmp_path / "llama")(text).input_ids
    assert model.config.image_token_id == made.convert_tokens_to_ids("<image>")
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which?"}]}]
    processor = AutoProcessor.from_pretrained(tmp_path / "new")
    assert processor.apply_chat_template(chat).startswith("[INST] <<SYS>>")
    exchange(str(tiny), tmp_path / "kept", Exchange(llm=str(tmp_path / "llama")))
    kept = AutoProcessor.from_pretrained(tmp_path / "kept")
    assert "USER:" in kept.apply_chat_template(chat), "without --prompt the model's own stays"
    with pytest.raises(WeightsError, match="no prompt style 'llama3'"):
        exchange(str(tiny), tmp_path / "x", Exchange(llm=str(tmp_path / "llama"), prompt="llama3"))
