"""The trainer at LLaVA-7B's shapes with random weights on one device, next to TRL's SFTTrainer.

    python -m tests.gpu.bench_train --rows full,trl              # a GPU with 140 GB
    python -m tests.gpu.bench_train --layers 16 --rows full,none # fewer layers: MFU hardly changes
    python -m tests.gpu.bench_train --tiny                       # a smoke test on CPU: no figures

Prints one table for docs/performance.md: MFU, step time over the floor (needed operations over the measured
matmul rate), padding, data wait, memory, samples/s. Images are drawn JPEGs of 400 x 300, answers are short.
A row is `full`, `selective`, `none` or a number (what is recomputed), `lora`, or `trl`, TRL's SFTTrainer with
full recomputation; `none:24` has 24 layers. `--trace FOLDER` says of each row where its time goes on the GPU.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, LlavaForConditionalGeneration

from tests.gpu.kernels import traced
from tests.train.drawn import row, write_compiled
from vision_flan.exports.write import export
from vision_flan.train.batches import Step, steps_from
from vision_flan.train.config import Config, Data, Log, Lora, Parallel, Train
from vision_flan.train.corpus import open_corpus
from vision_flan.train.fsdp import CompiledLayers
from vision_flan.train.generate import Model, answer_samples
from vision_flan.train.loop import Parts, open_steps, prepare
from vision_flan.train.model import join_configs, restore_buffers
from vision_flan.train.model_folder import chat_template, save_around
from vision_flan.train.processes import Processes, start_processes
from vision_flan.train.report import Window, operations, peak_of
from vision_flan.train.tiny import make_tokenizer
from vision_flan.train.update import Outcome, make_optimizer, update
from vision_flan.train.weights import Weights

QUESTION = "What is shown in the image? Choose from: a red square, a blue circle, a green line, nothing."
WARM = 3
TRACED = 2


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


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    processes: Processes
    tokenizer: Any
    folder: Path
    data: Data
    rate: float
    asked: argparse.Namespace

    def config(self, row: str) -> Config:
        """The configuration behind a row."""
        asked = self.asked
        parallel = Parallel(
            checkpointing="full" if row in ("lora", "trl") else row,
            max_tokens_per_rank=asked.tokens or (4096 if row == "none" else 16384),
            precision="fp32" if asked.tiny else "bf16",
            compile="" if asked.tiny else asked.compile,
            attention=asked.attention,
        )
        train = Train(batch=asked.batch, lora=Lora(r=16 if row == "lora" else 0))
        return Config(data=self.data, train=train, parallel=parallel, log=Log(samples=2))


def random_model(config: Config, architecture: Any, processes: Processes) -> LlavaForConditionalGeneration:
    """The model as a run prepares it, with random weights made where they lie."""
    llava = prepare(config, architecture, processes)
    llava.to_empty(device=processes.device)
    restore_buffers(llava)
    with torch.no_grad():
        for parameter in llava.parameters():
            parameter.normal_(0, 0.02) if parameter.dim() > 1 else parameter.fill_(1)
    return llava.train()


def ours(bench: Bench, row: str, layers: int) -> str:
    """A line: `steps` steps after a few to warm up, as a run does them: it answers samples first."""
    config, asked, device = bench.config(row), bench.asked, bench.processes.device
    wanted = architecture(bench.tokenizer, layers, asked.tiny)
    began = time.perf_counter()
    llava = random_model(config, wanted, bench.processes)
    model = Model(llava, CompiledLayers(llava, config.parallel.compile), device)
    optimizer = make_optimizer(llava, config.train, device)
    corpus = open_corpus(config.data, config.seed)
    steps = open_steps(config, corpus, Parts(wanted, bench.tokenizer, Weights({})), bench.processes)
    answer_samples(model, steps, config)
    last = WARM + asked.steps
    arriving = steps_from(steps, 0, last + TRACED + 1, config.data.workers)
    sent: list[Outcome] = []

    def advance() -> tuple[Step, float]:
        asked_for = time.perf_counter()
        step = next(arriving)
        waited = time.perf_counter() - asked_for
        sent.append(update(llava, optimizer, step, 1e-5, config))
        if len(sent) > 1:
            sent.pop(0).read()  # a step late, as in a run
        return step, waited

    for number in range(WARM):
        advance()
        synchronize(device)
        print(f"<!-- {row}: step {number} after {time.perf_counter() - began:.0f} s -->", flush=True)
    window, floor = Window(), 0.0
    for _ in range(asked.steps):
        step, waited = advance()
        needed = operations(wanted, step.rows, trains_llm=row != "lora")
        window.add(step, 0.0, waited, needed)
        floor += needed / bench.rate
    synchronize(device)
    f = window.figures(device)
    seconds = float(f["seconds_per_step"] or 0)
    cells = [f"{f['mfu'] or 0:.3f}", f"{seconds:.2f}", f"{seconds * asked.steps / floor:.2f}"]
    cells += [f"{f['padding']:.3f}", f"{f['data_wait']:.3f}", f"{f['memory_gib']:.1f}"]
    if asked.trace:
        lines = traced(lambda: [advance() for _ in range(TRACED)] and None, TRACED, asked.trace / row)
        (asked.trace / f"{row}.txt").write_text("\n".join(lines) + "\n")
    return f"| {row}, {layers} layers | {' | '.join(cells)} | {f['samples_per_s']:.1f} |"


def trl_samples_per_s(bench: Bench, layers: int) -> float:
    """Samples a second of TRL on the same instances, batch, shapes and kind of recomputation."""
    import datasets
    import trl
    from transformers import AutoProcessor, TrainerCallback

    config, folder, device = bench.config("trl"), bench.folder, bench.processes.device
    tokenizer, count = bench.tokenizer, bench.asked.steps
    wanted = architecture(tokenizer, layers, bench.asked.tiny)
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


def one_row(bench: Bench, text: str) -> str:
    """A line of the table; a row that does not fit the device says so."""
    row, _, number = text.partition(":")
    layers = int(number or bench.asked.layers)
    try:
        if row == "trl":
            rate = trl_samples_per_s(bench, layers)
            return f"| TRL SFTTrainer, full, {layers} layers | | | | | | | {rate:.1f} |"
        return ours(bench, row, layers)
    except torch.OutOfMemoryError as error:
        return f"| {row} | out of memory: {str(error).splitlines()[0][:100]} | | | | | | |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", default="full,trl,selective,none")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=0, help="of a row; 0: 4,096 for `none`, else 16,384")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--compile", default="inductor", help="a torch.compile backend; empty for none")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--trace", type=Path, help="folder for traces of two steps of each row")
    parser.add_argument("--tiny", action="store_true")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if not asked.tiny and not torch.cuda.is_available():
        print("no GPU here; --tiny is a smoke test on CPU", file=sys.stderr)
        return 2
    processes = start_processes()
    device = processes.device
    rate = matmul_rate(device, 256 if asked.tiny else 8192)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    print(
        f"{datetime.date.today()}, {name}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    print(f"matmul {rate / 1e12:.1f} TFLOP/s measured, peak {(peak_of(device) or 0) / 1e12:.0f}")
    print(f"{asked.batch} samples a step")
    print("| | MFU | step s | over floor | padding | data wait | memory GiB | samples/s |")
    print("|---|" + "---|" * 7, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = Data(root=str(draw_corpus(folder / "data", 40 * asked.batch)), workers=asked.workers)
        bench = Bench(processes, make_tokenizer([QUESTION]), folder, data, rate, asked)
        for row in asked.rows.split(","):
            print(one_row(bench, row), flush=True)
            gc.collect()  # the model just measured
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
    dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
