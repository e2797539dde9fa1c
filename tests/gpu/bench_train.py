"""The trainer at LLaVA-7B's shapes with random weights on one device, next to TRL's SFTTrainer.

    python -m tests.gpu.bench_train                     # a GPU with 140 GB: everything
    python -m tests.gpu.bench_train --layers 8 --no-trl # a smaller one; MFU depends little on depth
    python -m tests.gpu.bench_train --tiny              # a smoke test on CPU; its figures mean nothing

Prints one table for docs/performance.md: MFU, step time over the floor (needed operations over the measured
matmul rate), padding, data wait, memory, samples/s. Images are drawn JPEGs of 400 x 300, answers are short.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import io
import platform
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, LlavaForConditionalGeneration

from tests.train.conftest import row, write_compiled
from vision_flan.exports.write import export
from vision_flan.train.batches import steps_from
from vision_flan.train.config import Config, Data, Log, Parallel, Train
from vision_flan.train.corpus import open_corpus
from vision_flan.train.fsdp import CompiledLayers
from vision_flan.train.generate import Model, answer_samples
from vision_flan.train.loop import Parts, open_steps, prepare
from vision_flan.train.model import join_configs, restore_buffers
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.processes import Processes, start_processes
from vision_flan.train.report import Window, operations, peak_of
from vision_flan.train.tiny import make_tokenizer
from vision_flan.train.update import make_optimizer, update
from vision_flan.train.weights import Weights

QUESTION = "What is shown in the image? Choose from: a red square, a blue circle, a green line, nothing."
WARM = 3


def draw_corpus(folder: Path, count: int) -> Path:
    """A compiled task of `count` drawn photographs-to-be."""
    rng = random.Random(0)
    rows = []
    for number in range(count):
        small = Image.frombytes("RGB", (20, 15), rng.randbytes(20 * 15 * 3))
        out = io.BytesIO()
        small.resize((400, 300), Image.Resampling.BICUBIC).save(out, "JPEG")
        answer = "a red square on the left and something else " * rng.randrange(1, 4)
        rows.append(row("bench", str(number), out.getvalue(), QUESTION, answer, "Bench"))
    return write_compiled(folder, {"bench": rows})


def architecture(tokenizer: Any, layers: int, tiny: bool) -> Any:
    """LLaVA-1.5-7B's configuration, or a toy of the same form."""
    if tiny:
        text = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
        vision = CLIPVisionConfig(
            hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            image_size=56, patch_size=14,
        )  # fmt: skip
    else:
        text = LlamaConfig(
            hidden_size=4096, intermediate_size=11008, num_hidden_layers=layers, num_attention_heads=32
        )
        vision = CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
            image_size=336, patch_size=14,
        )  # fmt: skip
    text.vocab_size = 32000
    return join_configs(text, vision, tokenizer)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(device: torch.device, size: int) -> float:
    """Operations per second of a square bf16 matrix product on this device, measured."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    b = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ b
    synchronize(device)
    began = time.perf_counter()
    for _ in range(20):
        a @ b
    synchronize(device)
    return 20 * 2 * size**3 / (time.perf_counter() - began)


def ours(config: Config, parts: Parts, processes: Processes, count: int, rate: float) -> dict[str, Any]:
    """Figures of `count` steps after a few to warm up, as a run does them: it answers samples first."""
    device = processes.device
    llava = prepare(config, parts.architecture, processes)
    llava.to_empty(device=device)
    restore_buffers(llava)
    with torch.no_grad():
        for parameter in llava.parameters():
            parameter.normal_(0, 0.02) if parameter.dim() > 1 else parameter.fill_(1)
    model = Model(llava.train(), CompiledLayers(llava, config.parallel.compile), device)
    optimizer = make_optimizer(llava, config.train, device)
    steps = open_steps(config, open_corpus(config.data, config.seed), parts, processes)
    answer_samples(model, steps, config)
    window, floor, sent = Window(), 0.0, None
    arriving = steps_from(steps, 0, WARM + count, config.data.workers)
    for number in range(WARM + count):
        if number == WARM:
            synchronize(device)
            window = Window()
        asked = time.perf_counter()
        step = next(arriving)
        waited = time.perf_counter() - asked
        outcome = update(llava, optimizer, step, 1e-5, config)
        if sent is not None:
            sent.read()  # a step late, as in a run
        sent = outcome
        needed = operations(parts.architecture, step.rows, trains_llm=True)
        window.add(step, 0.0, waited, needed)
        floor += needed / rate if number >= WARM else 0
    synchronize(device)
    figures = window.figures(device)
    return {**figures, "over_floor": float(figures["seconds_per_step"] or 0) * count / floor}


def trl_samples_per_s(
    config: Config, wanted: Any, tokenizer: Any, folder: Path, count: int, device: torch.device
) -> float:
    """Samples a second of TRL on the same instances, batch, shapes and kind of recomputation."""
    import datasets
    import trl
    from transformers import AutoProcessor, TrainerCallback

    export(Path(config.data.root), folder / "trl", "trl")
    save_around(folder / "processor", wanted, tokenizer, chat_template("vicuna_v1"), torch.float32)
    with device:
        model = LlavaForConditionalGeneration(wanted)
    model.model.vision_tower.requires_grad_(False)
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            synchronize(device)
            ends.append(time.perf_counter())

    settings = trl.SFTConfig(
        output_dir=str(folder / "out"),
        max_steps=WARM + count,
        per_device_train_batch_size=config.train.batch,
        gradient_checkpointing=config.parallel.checkpointing == "full",
        bf16=device.type == "cuda",
        use_cpu=device.type == "cpu",
        dataloader_num_workers=config.data.workers,
        learning_rate=1e-5,
        max_length=None,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(
        model=model,
        args=settings,
        train_dataset=datasets.load_dataset(str(folder / "trl"), split="train"),
        processing_class=AutoProcessor.from_pretrained(folder / "processor"),
        callbacks=[Clock()],
    )
    trainer.train()
    return count * config.train.batch / (ends[-1] - ends[WARM - 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--compile", default="inductor", help="a torch.compile backend; empty for none")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--no-trl", action="store_true")
    asked = parser.parse_args()
    if not asked.tiny and not torch.cuda.is_available():
        print("no GPU here; --tiny is a smoke test on CPU", file=sys.stderr)
        return 2
    processes = start_processes()
    device = processes.device
    rate = matmul_rate(device, 256 if asked.tiny else 8192)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(f"{datetime.date.today()}, {name}, torch {torch.__version__}")
    print(f"matmul {rate / 1e12:.1f} TFLOP/s measured, peak {(peak_of(device) or 0) / 1e12:.0f}")
    print("| | MFU | step s | over floor | padding | data wait | memory GiB | samples/s |")
    print("|---|" + "---|" * 7)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = Data(root=str(draw_corpus(folder / "data", 40 * asked.batch)), workers=asked.workers)
        for how in ("full", "selective", "none"):
            tokenizer = make_tokenizer([QUESTION])
            wanted = architecture(tokenizer, asked.layers, asked.tiny)
            parallel = Parallel(
                checkpointing=how,
                max_tokens_per_rank=4096 if how == "none" else 16384,
                precision="fp32" if asked.tiny else "bf16",
                compile="" if asked.tiny else asked.compile,
            )
            config = Config(data=data, train=Train(batch=asked.batch), parallel=parallel, log=Log(samples=4))
            f = ours(config, Parts(wanted, tokenizer, Weights({})), processes, asked.steps, rate)
            cells = [f"{f['mfu'] or 0:.3f}", f"{f['seconds_per_step']:.2f}", f"{f['over_floor']:.2f}"]
            cells += [f"{f['padding']:.3f}", f"{f['data_wait']:.3f}", f"{f['memory_gib']:.1f}"]
            print(f"| recompute {how} | {' | '.join(cells)} | {f['samples_per_s']:.1f} |")
            gc.collect()  # the model just measured
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            if how == "full" and not asked.no_trl:
                theirs = trl_samples_per_s(config, wanted, tokenizer, folder / "t", asked.steps, device)
                print(f"| TRL SFTTrainer, recompute full | | | | | | | {theirs:.1f} |")
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
