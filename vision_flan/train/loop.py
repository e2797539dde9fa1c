"""A run from top to bottom: data, model, steps, export."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerBase

from vision_flan.errors import VflanError
from vision_flan.train.attention import attention_for
from vision_flan.train.balance import BalanceWindow
from vision_flan.train.batches import Packing, Step, Steps, steps_from
from vision_flan.train.checkpoint import Checkpoints, machine_errors
from vision_flan.train.config import Config, ConfigError, Init
from vision_flan.train.corpus import Corpus, Sample, open_corpus
from vision_flan.train.fsdp import CompiledLayers, checkpoint_activations, shard
from vision_flan.train.generate import Model, answer_samples, held_out_loss
from vision_flan.train.identity import identify
from vision_flan.train.lora import add_adapters
from vision_flan.train.mixture import Ref, permutation
from vision_flan.train.model import MEAN, empty_model, fill, freeze, patches_of, read_init, side_of
from vision_flan.train.model_folder import export
from vision_flan.train.processes import Processes, start_processes
from vision_flan.train.profile import profiled
from vision_flan.train.prompts import Encoder
from vision_flan.train.recipe import dump
from vision_flan.train.report import Categories, RunLog, Window, operations
from vision_flan.train.untuned import join_parts
from vision_flan.train.update import Outcome, learning_rate, make_optimizer, update
from vision_flan.train.weights import Weights

#: So many samples in a row that are all dropped end a run: it would learn nothing to its end.
HOPELESS = 2000
#: Seconds within which the numbers of a step are read that has ended.
AT_ONCE = 0.002


class NothingLearnedError(VflanError):
    """No sample of the run has an answer within `data.max_tokens`."""


def run(config: Config) -> Path:
    """Trains, resuming where the folder of the run leaves off; the folder of the exported model.

    Raises:
        VflanError: a part of the recipe, the data or the checkpoints that does not work.
    """
    if config.train.untuned:
        return join_parts(config)
    processes = start_processes(config.parallel.startup_minutes)
    try:
        with machine_errors(config.folder):
            return _run(config, processes)
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Run:
    """What the steps of a run work on."""

    config: Config
    model: Model
    optimizer: torch.optim.Optimizer
    steps: Steps
    checkpoints: Checkpoints
    log: RunLog
    held_out: list[Ref]


@dataclass(frozen=True)
class Parts:
    """What `init` names, opened: configuration, tokenizer, and where the weights lie."""

    architecture: LlavaConfig
    tokenizer: PreTrainedTokenizerBase
    weights: Weights


def _run(config: Config, processes: Processes) -> Path:
    corpus = processes.first_on_node(lambda: open_corpus(config.data, config.seed))
    config = _with_model(config, corpus, processes)
    parts = Parts(*processes.first_on_node(lambda: read_init(config.init)))
    steps = open_steps(config, corpus, parts, processes)
    total = total_steps(config, corpus)
    model = build(config, parts, processes)
    optimizer = make_optimizer(model.llava, config.train, processes.device)
    identity = identify(config, corpus, parts.weights, parts.tokenizer, processes)
    checkpoints = Checkpoints(config, model.llava, optimizer, processes, identity)
    start = checkpoints.restore()
    processes.on_main(lambda: _write_config(config))
    log = RunLog(config, total, start, is_main_process=processes.is_main)
    held_out = _held_out(config, corpus)
    training = Run(config, model, optimizer, steps, checkpoints, log, held_out)
    try:
        if not start:
            log.samples("before", answer_samples(model, steps, config))
        train_steps(training, start, total)
        log.samples("after", answer_samples(model, steps, config))
    finally:
        log.close()
    return export(config, model.llava, parts.tokenizer, parts.weights, processes)


def open_steps(config: Config, corpus: Corpus, parts: Parts, processes: Processes) -> Steps:
    """The steps of a run, this rank's share of each.

    Raises:
        ConfigError: `data.max_tokens` is less than the shortest prompt has.
    """
    attention = attention_for(config.parallel, processes.device)
    encoder = Encoder(parts.tokenizer, config.data, patches_of(parts.architecture))
    shortest = len(encoder.prompt_ids(Sample("", "", "", "", "", has_image=False)))
    if config.data.max_tokens <= shortest:
        raise ConfigError(
            f"data.max_tokens is {config.data.max_tokens}, and the prompt style alone has {shortest} tokens",
            hint="data.max_tokens=2048",
        )
    packing = Packing(
        batch=config.train.batch,
        rank=processes.rank,
        ranks=processes.ranks,
        limit=config.parallel.max_tokens_per_rank,
        side=side_of(parts.architecture),
        mean=MEAN,
        multiple=128 if attention == "flex_attention" else 1,
        blocks=config.train.loss_norm == "device_mean",
    )
    window = BalanceWindow.of(config.train, total_steps(config, corpus), config.seed)
    return Steps(corpus, encoder, packing, window)


def build(config: Config, parts: Parts, processes: Processes) -> Model:
    """The model as it is trained: prepared, filled, compiled."""
    llava = prepare(config, parts.architecture, processes)
    fill(llava, parts.weights, processes.device, config.seed)
    llava.train()
    return Model(llava, CompiledLayers(llava, config.parallel.compile), processes.device)


def prepare(config: Config, architecture: LlavaConfig, processes: Processes) -> LlavaForConditionalGeneration:
    """The model without storage: what is frozen, adapted, recomputed and sharded."""
    llava = empty_model(architecture, attention_for(config.parallel, processes.device))
    freeze(llava, llm=config.train.freeze_llm, projector=config.train.freeze_projector)
    add_adapters(llava, config.train.lora)
    checkpoint_activations(llava, config.parallel.checkpointing)
    shard(llava, config.parallel, processes.device)
    return llava


def total_steps(config: Config, corpus: Corpus) -> int:
    """The steps of the run."""
    train = config.train
    return train.steps or max(train.min_steps, corpus.mixture.steps(train.batch, train.epochs))


def _held_out(config: Config, corpus: Corpus) -> list[Ref]:
    order = permutation(len(corpus.held_out), "held out")[: config.log.held_out_at_most]
    return [corpus.held_out[place] for place in sorted(order)]


def _write_config(config: Config) -> None:
    config.folder.mkdir(parents=True, exist_ok=True)
    (config.folder / "config.yaml").write_text(dump(config), encoding="utf-8")


class Progress:
    """What has been counted since the last line of the log, and whether anything is learned at all."""

    def __init__(self, run: Run, total: int) -> None:
        self.run, self.total = run, total
        self.window, self.categories = Window(), Categories()
        self._seen, self._useful = 0, 0

    def add(self, outcome: Outcome, waited: float, sent: float) -> None:
        """Counts a step that was sent to the device then, and logs where a line is due.

        Reading its numbers waits for its end; where it need not, the step had ended with its sending: on a
        CPU, and on a GPU that the host cannot keep busy.

        Raises:
            LossError: its loss is not a number.
            NothingLearnedError: every sample so far was dropped.
        """
        asked = time.perf_counter()
        config, step, figures = self.run.config, outcome.step, outcome.read()
        read = time.perf_counter()
        ended = read if read - asked > AT_ONCE else sent
        llava_config = self.run.model.llava.config
        trains_llm = not config.train.freeze_llm
        self.window.add(
            step,
            figures.loss,
            waited,
            operations(llava_config, step.rows, trains_llm=trains_llm),
            ended,
        )
        self.categories.add(step, figures.of_samples)
        done = step.number + 1
        self._refuse_nothing(step, done)
        if done % config.log.every and done != self.total:
            return
        line: dict[str, object] = {**self.window.figures(self.run.model.device), "lr": outcome.lr}
        line["grad_norm"] = figures.norm
        line["epoch"] = done * config.train.batch / self.run.steps.corpus.mixture.length
        if done % config.log.categories_every == 0 or done == self.total:
            line["category_loss"] = self.categories.log()
        evaluates = bool(self.run.held_out) and (done % config.log.held_out_every == 0 or done == self.total)
        if evaluates:
            line |= held_out_loss(self.run.model, self.run.steps, self.run.held_out, config)
        self.run.log.line(done, line)
        self.window = Window(None if evaluates else self.window.ended)

    def _refuse_nothing(self, step: Step, done: int) -> None:
        self._seen += len(step.samples)
        self._useful += len(step.samples) - step.dropped
        if not self._useful and (done == self.total or self._seen >= HOPELESS):
            raise NothingLearnedError(
                f"none of {self._seen:,} samples has an answer within data.max_tokens "
                f"({self.run.config.data.max_tokens}): nothing is learned",
                hint="raise data.max_tokens",
            )


def train_steps(run: Run, start: int, total: int) -> None:
    """The steps `start` to `total`: load, update, log, checkpoint.

    A step's numbers are read when the next one has been sent to the GPU, which so never waits for the log.
    What is not a number is thus noticed a step late, but before a checkpoint is written.
    """
    config, checkpoints, progress = run.config, run.checkpoints, Progress(run, total)
    arriving = steps_from(run.steps, start, total, config.data.workers)
    sent: deque[tuple[Outcome, float, float]] = deque()
    try:
        with profiled(config, run.model.device, is_main=run.log.is_main_process) as profiler:
            for number in range(start, total):
                asked = time.perf_counter()
                step = next(arriving)
                waited = time.perf_counter() - asked
                lr = learning_rate(number, total, config.train)
                outcome = update(run.model.llava, run.optimizer, step, lr, config)
                sent.append((outcome, waited, time.perf_counter()))
                done = number + 1
                saves = done % config.checkpoint.every == 0 or done == total
                evaluates = bool(run.held_out) and done % config.log.held_out_every == 0
                while len(sent) > (0 if saves or evaluates else 1):
                    progress.add(*sent.popleft())
                if saves:
                    checkpoints.save(done)
                profiler()
    except (VflanError, KeyboardInterrupt):  # what was being written is still good
        checkpoints.finish()
        raise
    checkpoints.finish()


def _with_model(config: Config, corpus: Corpus, processes: Processes) -> Config:
    """The configuration with `init.tiny` made into a folder that `init.from` names."""
    if not config.init.tiny:
        return config
    from vision_flan.train.tiny import create

    folder = config.folder / "init"

    def make() -> None:
        refs = corpus.mixture.step(0, min(1000, corpus.mixture.length))
        samples = [corpus.sample(ref) for ref in refs]
        texts = [text for sample in samples for turn in sample.conversation for text in turn]
        if not folder.exists():
            create(folder, texts, seed=config.seed, prompt=config.data.prompt)

    processes.on_main(make)
    return dataclasses.replace(config, init=Init(from_=str(folder)))
