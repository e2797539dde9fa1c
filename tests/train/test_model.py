"""The model: loaded shard by shard, packed, frozen, exported; and the traps of its libraries, one by one."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file
from transformers import (
    AutoProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
)

from vision_flan.train.attention import attention_for
from vision_flan.train.batches import Packing, Steps
from vision_flan.train.config import Data, Init, Parallel, Source, Train
from vision_flan.train.corpus import open_corpus
from vision_flan.train.fsdp import checkpoint_activations, shard
from vision_flan.train.loop import run
from vision_flan.train.model import (
    MEAN,
    empty_model,
    fill,
    freeze,
    load_tokenizer,
    normalize,
    read_init,
)
from vision_flan.train.processes import start_processes
from vision_flan.train.prompts import Encoder
from vision_flan.train.recipe import load
from vision_flan.train.report import operations
from vision_flan.train.tiny import make_tokenizer
from vision_flan.train.update import learning_rate, row_loss
from vision_flan.train.weights import Weights, WeightsError, model_name, published_name, write

CPU = torch.device("cpu")
FP32 = Parallel(precision="fp32", checkpointing="none")


@pytest.fixture()
def process() -> Iterator[None]:
    start_processes()
    yield
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def step(compiled: Path, tiny: Path) -> Any:
    """One step of images and text, all in one row."""
    data = Data(root=str(compiled), max_tokens=256, sources=(Source(exclude=()),))
    encoder = Encoder(load_tokenizer(tiny), data, 16)
    corpus = open_corpus(data, seed=0)
    return Steps(corpus, encoder, Packing(batch=9, rank=0, ranks=1, limit=2048, side=32, mean=MEAN))[0]


def sharded(folder: Path, parallel: Parallel = FP32, **frozen: bool) -> Any:
    config, _, weights = read_init(Init(from_=str(folder)))
    model = empty_model(config, "sdpa")
    freeze(model, llm=frozen.get("llm", False), projector=frozen.get("projector", False))
    checkpoint_activations(model, parallel.checkpointing)
    shard(model, parallel, CPU)
    fill(model, weights, CPU, seed=0)
    return model.train()


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {
        name: p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def test_a_model_filled_shard_by_shard_is_the_one_transformers_loads(process: None, tiny: Path) -> None:
    """Buffers too: after `to_empty` three of them are whatever was in memory, and no loss would tell."""
    ours, theirs = sharded(tiny), LlavaForConditionalGeneration.from_pretrained(tiny)
    buffers = dict(theirs.named_buffers())
    assert len(buffers) == 3
    for name, buffer in ours.named_buffers():
        assert torch.equal(buffer, buffers[name]), name
    whole = {n: p.full_tensor() if hasattr(p, "full_tensor") else p for n, p in ours.named_parameters()}
    for name, parameter in theirs.named_parameters():
        assert torch.equal(whole[name], parameter), name


def test_packed_documents_learn_as_padded_ones(process: None, tiny: Path, step: Any) -> None:
    """Gradients, not the loss alone: one row of nine documents against nine rows with an attention mask."""
    (row,) = step.rows
    packed = sharded(tiny)
    losses = row_loss(packed, row, CPU, torch.float32)
    losses.sum().backward()

    alone = LlavaForConditionalGeneration.from_pretrained(tiny).train()
    longest, start, image, total = max(row.lengths), 0, 0, torch.zeros(())
    for length in row.lengths:
        ids = torch.zeros(1, longest, dtype=torch.long)
        ids[0, :length] = row.token_ids[start : start + length]
        mask = (torch.arange(longest) < length).long()[None]
        images = int((ids == alone.config.image_token_id).any())
        pixels = normalize(row.images[image : image + images], torch.float32) if images else None
        logits = alone(input_ids=ids, attention_mask=mask, pixel_values=pixels).logits[0]
        inside = (row.predicting >= start) & (row.predicting < start + length)
        text = logits[row.predicting[inside] - start, : alone.config.image_token_id]
        total = total + F.cross_entropy(text, row.labels[inside], reduction="sum")
        start, image = start + length, image + images
    total.backward()
    torch.testing.assert_close(losses.sum(), total, rtol=1e-5, atol=1e-5)
    expected = gradients(alone)
    for name, gradient in gradients(packed).items():
        torch.testing.assert_close(
            gradient, expected[name], rtol=1e-3, atol=2e-5, msg=lambda m, n=name: n + m
        )


def test_an_attention_mask_would_let_documents_see_each_other(tiny: Path, step: Any) -> None:
    """Why `row_loss` passes none: with one, transformers 5.23 keeps packed documents apart no longer."""
    (row,) = step.rows
    model = LlavaForConditionalGeneration.from_pretrained(tiny).eval()
    given = {
        "input_ids": row.token_ids[None],
        "position_ids": row.positions[None],
        "pixel_values": normalize(row.images, torch.float32),
        "use_cache": False,
    }
    with torch.no_grad():
        apart = model(**given, attention_mask=None).logits
        joined = model(**given, attention_mask=torch.ones_like(row.token_ids[None])).logits
    first = row.lengths[0]
    torch.testing.assert_close(apart[:, :first], joined[:, :first], rtol=1e-4, atol=1e-4)
    assert (apart[:, first:] - joined[:, first:]).abs().max() > 1e-2


def test_the_gpus_attentions_keep_documents_apart_too(
    tiny: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the GPU's kernels and forward only, which is what a CPU can do; also rows filled up to 128."""
    import transformers.integrations.flex_attention as integration
    from torch.nn.attention.flex_attention import flex_attention

    def eager(q: Any, k: Any, v: Any, training: bool = False, **given: Any) -> Any:
        return flex_attention(q, k, v, **given)

    monkeypatch.setattr(integration, "compile_friendly_flex_attention", eager)
    data = Data(root=str(compiled), max_tokens=256, sources=(Source(exclude=()),))
    encoder = Encoder(load_tokenizer(tiny), data, 16)
    corpus = open_corpus(data, seed=0)
    found = []
    for attention, multiple in (("sdpa", 1), ("flex_attention", 128), ("varlen", 1), ("varlen", 128)):
        steps = Steps(
            corpus,
            encoder,
            Packing(batch=6, rank=0, ranks=1, limit=2048, side=32, mean=MEAN, multiple=multiple),
        )
        config, _, weights = read_init(Init(from_=str(tiny)))
        model = empty_model(config, attention)
        fill(model, weights, CPU, seed=0)
        with torch.no_grad():
            found.append(row_loss(model.eval(), steps[0].rows[0], CPU, torch.float32))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("device", "precision", "attention"),
    [("cpu", "bf16", "sdpa"), ("cuda", "bf16", "varlen"), ("cuda", "fp32", "flex_attention")],
)
def test_attention_follows_the_device_unless_it_is_named(device: str, precision: str, attention: str) -> None:
    """PyTorch has no flash attention for float32."""
    assert attention_for(Parallel(precision=precision), torch.device(device)) == attention
    named = Parallel(precision=precision, attention="sdpa")
    assert attention_for(named, torch.device(device)) == "sdpa"


def test_rows_of_the_vocabulary_beyond_the_text_take_no_part(process: None, tiny: Path, step: Any) -> None:
    """llava-hf has 64 rows more than Vicuna; LLaVA's softmax runs over Vicuna's."""
    model = sharded(tiny)
    before = row_loss(model, step.rows[0], CPU, torch.float32)
    model.reshard()
    with torch.no_grad():
        model.lm_head.weight.to_local()[model.config.image_token_id :] = 100.0
    assert torch.equal(row_loss(model, step.rows[0], CPU, torch.float32), before)


@pytest.mark.parametrize("how", ["full", "2"])
def test_recomputed_activations_change_nothing(process: None, tiny: Path, step: Any, how: str) -> None:
    found = []
    for checkpointing in ("none", how):
        model = sharded(tiny, Parallel(precision="fp32", checkpointing=checkpointing))
        layers = model.model.language_model.layers
        wanted = {"none": [False, False], "full": [True, True], "2": [True, False]}[checkpointing]
        assert [layer.gradient_checkpointing for layer in layers] == wanted
        row_loss(model, step.rows[0], CPU, torch.float32).sum().backward()
        found.append(gradients(model))
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name]), name


def test_compiled_layers_learn_the_same(process: None, tiny: Path, step: Any) -> None:
    found = []
    for backend in ("", "aot_eager"):
        model = sharded(tiny, Parallel(precision="fp32", checkpointing="none", compile=backend))
        row_loss(model, step.rows[0], CPU, torch.float32).sum().backward()
        found.append(gradients(model))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)


def test_bf16_computes_over_float32_weights_that_move(process: None, tiny: Path, step: Any) -> None:
    """Weights kept in bf16 stay where they are at the paper's learning rate; float32 ones do not."""
    model = sharded(tiny, Parallel(precision="bf16", checkpointing="none"))
    weight = model.model.language_model.layers[0].mlp.up_proj.weight
    assert weight.dtype == torch.float32
    before = weight.full_tensor().clone()
    optimizer = torch.optim.AdamW([weight], lr=2e-5, weight_decay=0.0)
    loss = row_loss(model, step.rows[0], CPU, torch.bfloat16)
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert weight.grad.dtype == torch.float32
    pure = torch.nn.Parameter(before.bfloat16())
    pure.grad = weight.grad.full_tensor().bfloat16()
    torch.optim.AdamW([pure], lr=2e-5, weight_decay=0.0).step()
    optimizer.step()
    assert (weight.full_tensor() != before).float().mean() > 0.99
    assert (pure != before.bfloat16()).float().mean() < 0.1


def test_only_what_learns_has_gradients(process: None, tiny: Path, step: Any) -> None:
    for frozen, learning in (
        ({}, {"model.language_model", "model.multi_modal_projector", "lm_head.weight"}),
        ({"llm": True}, {"model.multi_modal_projector"}),
        ({"projector": True}, {"model.language_model", "lm_head.weight"}),
    ):
        model = sharded(tiny, **frozen)
        row_loss(model, step.rows[0], CPU, torch.float32).sum().backward()
        assert {".".join(name.split(".")[:2]) for name in gradients(model)} == learning
    with pytest.raises(WeightsError, match="nothing learns"):
        sharded(tiny, llm=True, projector=True)


def test_a_row_without_anything_learned_gives_no_gradient(process: None, compiled: Path, tiny: Path) -> None:
    data = Data(root=str(compiled), max_tokens=20, sources=(Source(),))
    steps = Steps(
        open_corpus(data, 0),
        Encoder(load_tokenizer(tiny), data, 16),
        Packing(batch=2, rank=0, ranks=1, limit=256, side=32, mean=MEAN),
    )
    model = sharded(tiny)
    row_loss(model, steps[0].rows[0], CPU, torch.float32).sum().backward()
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients(model).values())


@pytest.fixture()
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """A Llama in PyTorch's own files, as Vicuna is published, and a CLIP tower."""
    tokenizer = make_tokenizer(["Which digit?"])
    shape: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    }  # fmt: skip
    torch.manual_seed(5)
    llm = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
    tokenizer.save_pretrained(tmp_path / "llm")
    llm.config.save_pretrained(tmp_path / "llm")
    state = llm.state_dict()
    half = len(state) // 2
    for number, names in enumerate((list(state)[:half], list(state)[half:])):
        file = tmp_path / "llm" / f"pytorch_model-0000{number + 1}-of-00002.bin"
        torch.save({name: state[name].clone() for name in names}, file)
    CLIPVisionModel(CLIPVisionConfig(image_size=32, patch_size=8, **shape)).save_pretrained(tmp_path / "clip")
    return tmp_path / "llm", tmp_path / "clip"


def test_parts_join_as_llava_hf_joins_them(process: None, parts: tuple[Path, Path]) -> None:
    llm, clip = parts
    config, tokenizer, weights = read_init(Init(llm=str(llm), vision=str(clip)))
    have = weights.shape("lm_head.weight")[0]
    assert config.image_token_id == tokenizer.convert_tokens_to_ids("<image>") == have
    assert config.text_config.vocab_size % 64 == 0
    assert have < config.text_config.vocab_size <= have + 64 + 2
    assert (config.vision_feature_layer, config.image_seq_length) == (-2, 16)
    model = empty_model(config, "sdpa")
    freeze(model, llm=False, projector=False)
    shard(model, FP32, CPU)
    fill(model, weights, CPU, seed=0)
    head = model.lm_head.weight.full_tensor()
    torch.testing.assert_close(head[have:], head[:have].mean(0).expand(len(head) - have, -1))
    again = {}
    for seed in (0, 0, 1):
        fill(model, weights, CPU, seed=seed)
        again[seed] = model.model.multi_modal_projector.linear_1.weight.full_tensor().clone()
    bound = 1 / math.sqrt(64)
    assert again[0].abs().max() <= bound and again[0].std() > bound / 3
    assert not torch.equal(again[0], again[1])


def test_a_part_that_is_missing_is_named(parts: tuple[Path, Path], tmp_path: Path, tiny: Path) -> None:
    llm, clip = parts
    with pytest.raises(WeightsError, match="starts from no model"):
        read_init(Init())
    with pytest.raises(WeightsError, match="no model at 'nobody/nothing'"):
        read_init(Init(llm="nobody/nothing", vision=str(clip)))
    (tmp_path / "bare").mkdir()
    with pytest.raises(WeightsError, match="no configuration of a model"):
        read_init(Init(llm=str(llm), vision=str(tmp_path / "bare")))
    with pytest.raises(WeightsError, match="no configuration of a model"):
        read_init(Init(from_=str(tmp_path / "bare")))
    shutil.copy(tiny / "config.json", tmp_path / "bare")
    with pytest.raises(WeightsError, match="no tokenizer"):
        read_init(Init(from_=str(tmp_path / "bare")))
    with pytest.raises(WeightsError, match="no tensor begins with model.vision_tower"):
        Weights.read(llm, ("model.vision_tower.",))
    small = tmp_path / "small"
    shutil.copytree(tiny, small)
    state = load_file(small / "model.safetensors")
    state.pop("language_model.model.norm.weight")
    save_file(state, small / "model.safetensors")
    with pytest.raises(WeightsError, match=r"no tensor model.language_model.norm.weight"):
        fill(empty_model(read_init(Init(from_=str(small)))[0], "sdpa"), Weights.read(small), CPU, 0)


def test_every_published_name_comes_back(tiny: Path) -> None:
    for name in load_file(tiny / "model.safetensors"):
        ours = model_name(name)
        assert ours is not None and published_name(ours) == name
        assert model_name(ours) == ours
    assert (
        model_name("model.layers.0.mlp.up_proj.weight") == "model.language_model.layers.0.mlp.up_proj.weight"
    )
    assert model_name("text_model.embeddings.token_embedding.weight") is None
    with pytest.raises(WeightsError):
        published_name("optimizer.state")


def test_shards_are_written_with_their_index(tmp_path: Path, tiny: Path) -> None:
    weights = Weights.read(tiny)
    shapes = {name: weights.shape(name) for name in weights.places}
    tensors = ((name, weights.full(name, shape[0])) for name, shape in shapes.items())
    write(tmp_path, shapes, tensors, torch.float32, limit=100_000)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(files) > 3 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(4 * math.prod(shape) for shape in shapes.values())
    assert set(index["weight_map"].values()) == set(files)
    shutil.copy(tiny / "config.json", tmp_path)
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path)
    first = LlavaForConditionalGeneration.from_pretrained(tiny)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), first.parameters(), strict=True))


@pytest.mark.slow
def test_an_export_reloads_in_its_own_type_and_is_the_next_start(
    compiled: Path, tiny: Path, tmp_path: Path, lines: Callable[[Path], Any], tensors: Callable[[Path], Any]
) -> None:
    common = [f"data.root={compiled}", "init.tiny=false", "data.workers=0", "log.samples=0", "train.batch=8"]
    first = run(
        load("tiny_cpu", [*common, f"init.from={tiny}", f"out={tmp_path / 'a'}", "train.steps=2", "seed=1",
                          "checkpoint.export_dtype=bfloat16", "checkpoint.asynchronous=false"])
    )  # fmt: skip
    model = LlavaForConditionalGeneration.from_pretrained(first)
    assert model.dtype == torch.bfloat16
    assert AutoProcessor.from_pretrained(first).tokenizer.model_max_length > 0
    beyond = range(model.config.image_token_id, model.config.text_config.vocab_size)
    assert model.generation_config.suppress_tokens == list(beyond)
    still = [*common, f"init.from={first}", "train.lr=1e-30", "train.steps=1", f"out={tmp_path / 'b'}"]
    second = run(load("tiny_cpu", [*still, "checkpoint.export_dtype=bfloat16"]))
    start, end = tensors(first), tensors(second)
    assert all(torch.equal(start[name], end[name]) for name in start)
    line = lines(tmp_path / "b")[0]
    assert line["step"] == 1 and line["category_loss"] and line["mfu"] is None and line["padding"] == 0
    assert (tmp_path / "b" / "config.yaml").exists()


def test_the_learning_rate_is_transformers_cosine() -> None:
    from transformers import get_cosine_schedule_with_warmup

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=2e-5)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(200 * 0.03), 200)
    for step in range(200):
        assert learning_rate(step, 200, Train()) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        schedule.step()
    assert learning_rate(100, 200, Train(schedule="constant")) == 2e-5


def test_operations_are_those_torch_counts(tiny: Path, step: Any) -> None:
    """The formula of MFU against PyTorch's own counter, on one document of text and image."""
    from torch.utils.flop_counter import FlopCounterMode

    model = LlavaForConditionalGeneration.from_pretrained(tiny, attn_implementation="eager")
    (row,) = step.rows
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        row_loss(model, row, CPU, torch.float32)
    tokens, squares = sum(row.lengths), sum(n**2 for n in row.lengths)
    text = model.config.text_config
    # eager attention multiplies the whole square of the row; a document needs half of its own
    dense = text.num_hidden_layers * 4 * text.hidden_size * tokens**2
    needed = text.num_hidden_layers * 2 * text.hidden_size * squares
    projector = 2 * (64 * 64 + 64 * 64) * 16 * len(row.images)
    patches = 2 * 3 * 8 * 8 * 64 * 16 * len(row.images)
    forward = counter.get_total_flops() - dense + needed - patches
    language = operations(model.config, [row], trains_llm=True) - operations(
        model.config, [row], trains_llm=False
    )
    whole = operations(model.config, [row], trains_llm=True)
    assert whole - 2 * language - 2 * projector == pytest.approx(forward, rel=0.01)
