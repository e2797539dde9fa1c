"""The loop on one rank: loss norms, errors, logs, trackers, the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from click.testing import CliRunner
from transformers import LlavaConfig

from vision_flan.cli.main import vflan
from vision_flan.cli.train import FORMATS
from vision_flan.exports import write as exports
from vision_flan.train.batches import Step
from vision_flan.train.config import Config, ConfigError
from vision_flan.train.corpus import Sample
from vision_flan.train.loop import Progress, Run, run
from vision_flan.train.recipe import load
from vision_flan.train.report import RunLog
from vision_flan.train.update import LossError, Outcome

Lines = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def common(compiled: Path, tiny: Path) -> list[str]:
    quiet = ["log.every=1", "log.samples=0", "checkpoint.every=100", "data.workers=0"]
    small = ["train.batch=8", "data.max_tokens=256", "parallel.max_tokens_per_rank=512", "init.tiny=false"]
    return [f"data.root={compiled}", f"init.from={tiny}", *quiet, *small]


def test_device_mean_is_the_mean_of_the_devices_means(
    common: list[str], tmp_path: Path, run_worlds: Callable[..., Any], lines: Lines
) -> None:
    """As LLaVA: a device's few long answers weigh as much as another's many short ones."""
    mixed = "data.sources=[{include: [object_digits, text_only], exclude: []}]"
    jobs = []
    for name, ranks, norm in (("one", 1, "tokens"), ("two", 2, "device_mean"), ("sum", 2, "tokens")):
        over = [*common, mixed, "train.steps=1", f"train.loss_norm={norm}", f"out={tmp_path / name}"]
        jobs.append({"ranks": ranks, "recipe": "tiny_cpu", "overrides": [*over, "train.optimizer=sgd"]})
    run_worlds(jobs)
    from transformers import LlavaForConditionalGeneration

    from vision_flan.train.batches import Packing, Steps
    from vision_flan.train.corpus import open_corpus
    from vision_flan.train.model import MEAN, load_tokenizer
    from vision_flan.train.prompts import Encoder
    from vision_flan.train.update import row_loss

    config = load("tiny_cpu", [*common, mixed])
    model = LlavaForConditionalGeneration.from_pretrained(config.init.from_)
    encoder = Encoder(load_tokenizer(Path(config.init.from_)), config.data, 16)
    corpus = open_corpus(config.data, config.seed)
    means = []
    for rank in range(2):
        steps = Steps(
            corpus,
            encoder,
            Packing(batch=8, rank=rank, ranks=2, limit=512, side=32, mean=MEAN, blocks=True),
        )
        with torch.no_grad():
            losses = [row_loss(model, row, torch.device("cpu"), torch.float32) for row in steps[0].rows]
        means.append(float(torch.cat(losses).mean()))
    told = {name: lines(tmp_path / name)[0]["loss"] for name in ("one", "two", "sum")}
    assert told["two"] == pytest.approx(sum(means) / 2, abs=1e-5)
    assert told["one"] == pytest.approx(told["sum"], abs=1e-6)
    assert abs(told["two"] - told["one"]) > 1e-4


def test_a_broken_image_stops_the_run_by_name_not_by_traceback(
    compiled: Path, tiny: Path, common: list[str], tmp_path: Path
) -> None:
    """The image is read in a worker process; its error still arrives as ours."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vision_flan.train.batches import SampleError

    table = pq.read_table(compiled / "object_digits" / "train-00000-of-00001.parquet")
    rows = [
        {**row, "image": {"bytes": row["image"]["bytes"][:60], "path": "x.png"}} for row in table.to_pylist()
    ]
    (tmp_path / "data" / "object_digits").mkdir(parents=True)
    broken = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(broken, tmp_path / "data" / "object_digits" / "train-0.parquet")
    configs = [{"config_name": "object_digits", "data_files": "object_digits/*.parquet"}]
    (tmp_path / "data" / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")
    over = [
        *common,
        f"data.root={tmp_path / 'data'}",
        "data.workers=1",
        "train.steps=1",
        f"out={tmp_path / 'r'}",
    ]
    with pytest.raises(SampleError) as caught:
        run(load("tiny_cpu", over))
    assert "object_digits/" in caught.value.what and "Traceback" not in str(caught.value)


def test_a_run_that_explodes_keeps_whole_checkpoints(common: list[str], tmp_path: Path, lines: Lines) -> None:
    wild = ["train.optimizer=sgd", "train.lr=1e30", "train.steps=5", "checkpoint.every=1", f"out={tmp_path}"]
    for _ in range(2):  # resumed from the last one, it stops at the same place
        with pytest.raises(LossError, match="at step 2; samples"):
            run(load("tiny_cpu", [*common, *wild]))
        kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
        assert kept == ["step-000001", "step-000002"]
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_steps_read_together_have_each_their_own_time() -> None:
    """Before a checkpoint two steps are read at once; the second seemed to have taken no time."""
    told: list[dict[str, Any]] = []
    training = SimpleNamespace(
        config=Config(),
        model=SimpleNamespace(llava=SimpleNamespace(config=LlavaConfig()), device=torch.device("cpu")),
        log=SimpleNamespace(line=lambda number, figures: told.append(figures)),
        held_out=[],
        steps=SimpleNamespace(corpus=SimpleNamespace(mixture=SimpleNamespace(length=8))),
    )
    progress = Progress(cast(Run, training), total=9)
    began = progress.window.began
    for number, sent in enumerate((0.5, 1.5, 1.75)):
        sample = Sample("a", "", "", "", "", has_image=False)
        step = Step(number, [], [sample], (4,), 4, tokens=100, dropped=0)
        outcome = Outcome(step, torch.ones(2, dtype=torch.float64), torch.ones(()), lr=0.1)
        progress.add(outcome, 0.0, began + sent)
    assert [line["seconds_per_step"] for line in told] == pytest.approx([0.5, 1.0, 0.25])
    assert [line["tokens_per_s"] for line in told] == pytest.approx([200, 100, 400])


def test_a_killed_logs_last_lines_are_told_again(tmp_path: Path) -> None:
    config = load("tiny_cpu", [f"out={tmp_path}"])
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')
    reporter = RunLog(config, total=5, start=2, is_main_process=True)
    reporter.line(3, {"loss": 1.0, "lr": 0.1, "samples_per_s": 2.0})
    reporter.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_tensorboard_gets_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = load("tiny_cpu", [f"out={tmp_path}", "log.tracker=tensorboard"])
    reporter = RunLog(config, total=2, start=0, is_main_process=True)
    figures = {"loss": 1.5, "lr": 0.1, "samples_per_s": 2.0, "mfu": None, "category_loss": {"Scene": 0.5}}
    reporter.line(1, figures)
    reporter.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert sorted(read.Tags()["scalars"]) == ["category_loss/Scene", "loss", "lr", "samples_per_s"]
    assert read.Scalars("category_loss/Scene")[0].value == 0.5


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    config = load("tiny_cpu", [f"out={tmp_path}", "log.tracker=trackio"])
    with pytest.raises(ConfigError) as caught:
        RunLog(config, total=1, start=0, is_main_process=True)
    assert caught.value.hint == "pip install trackio"


def test_the_command_line_loads_no_torch_until_it_trains() -> None:
    code = "import sys, vision_flan.cli.train; print('torch' in sys.modules, 'datasets' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "False"]


def test_without_a_terminal_datasets_shows_no_bars(compiled: Path, tmp_path: Path) -> None:
    code = (
        "from vision_flan.train.config import Data; from vision_flan.train.corpus import open_corpus; "
        f"print(len(open_corpus(Data(root={str(compiled)!r}), 0).tables))"
    )
    fresh = {**os.environ, "HF_HOME": str(tmp_path), "HF_DATASETS_CACHE": str(tmp_path)}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=fresh)
    assert told.stdout.split() == ["3"] and "Generating" not in told.stderr


def test_every_command_has_help_with_an_example() -> None:
    for command in (["train"], ["export"], ["projector", "exchange"], ["projector", "compare"]):
        told = CliRunner().invoke(vflan, [*command, "--help"])
        _, _, examples = told.output.partition("\n  Example")
        assert told.exit_code == 0 and f"vflan {' '.join(command)} " in examples
    assert tuple(exports.FORMATS) == FORMATS


def test_vflan_train_says_where_the_model_is(common: list[str], tmp_path: Path) -> None:
    told = CliRunner().invoke(vflan, ["train", "tiny_cpu", *common, "train.steps=1", f"out={tmp_path}"])
    assert told.exit_code == 0, told.output
    assert f"model: {tmp_path / 'hf'}" in told.output
    assert (tmp_path / "hf" / "model.safetensors").exists()
    again = CliRunner().invoke(vflan, ["train", "tiny_cpu", *common, "train.steps=1", f"out={tmp_path}"])
    assert again.exit_code == 0, "a finished run has nothing left to do"


def test_vflan_projector_and_export(compiled: Path, tiny: Path, tmp_path: Path) -> None:
    told = CliRunner().invoke(vflan, ["projector", "compare", str(tiny), str(tiny)])
    assert told.output == "1.000000\n"
    made = ["projector", "exchange", str(tiny), "--projector", str(tiny), "--out", str(tmp_path / "m")]
    assert CliRunner().invoke(vflan, made).output == f"model: {tmp_path / 'm'}\n"
    assert "one of --projector and --llm" in CliRunner().invoke(vflan, made[:3] + made[5:]).output
    out = tmp_path / "e"
    told = CliRunner().invoke(vflan, ["export", str(compiled), "--format", "llava", "--out", str(out)])
    assert told.output.splitlines()[-1] == f"{out}: 112 instances for llava (112 train)"


def test_without_torch_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("vision_flan.train.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    told = CliRunner().invoke(vflan, ["train", "tiny_cpu"])
    assert "not installed" in str(told.exception) and "vision-flan[train]" in str(told.exception)


def test_the_module_reports_errors_without_a_traceback() -> None:
    from vision_flan.train.__main__ import main

    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["stage_9"]) == 1
    assert main(["tiny_cpu", "data.root=/nowhere/at/all"]) == 1
