"""`vflan reproduce --dry-run`: every command of an experiment with its cost."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from vision_flan.cli.main import vflan
from vision_flan.evaluate.experiment import names
from vision_flan.train.recipe import dump, load

Reproduce = Callable[..., tuple[int, str, str]]


def shown(out: str) -> list[str]:
    """The commands of a dry run that are still to do."""
    return [line for line in out.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", names())
def test_every_experiment_prints_its_commands_and_what_they_cost(name: str, reproduce: Reproduce) -> None:
    code, out, err = reproduce(name, "--dry-run")
    assert code == 0, err
    assert re.search(r"GPU hours left, estimated: [\d,]+\. Assumed, not measured: 13B parameters", out)
    commands = shown(out)
    assert commands[-1].startswith("vflan tables ")
    assert any(command.startswith("vflan evaluate ") for command in commands)
    assert not list(Path().iterdir())  # a dry run writes nothing


def test_table_3_trains_four_models_at_the_papers_numbers(reproduce: Reproduce) -> None:
    out = reproduce("table3", "--dry-run", "--train", "data.root=/data")[1]
    trained = [command for command in shown(out) if "vision_flan.train" in command]
    start = "torchrun --nproc-per-node 8 -m vision_flan.train tasks_x_instances"
    assert trained == [
        f"{start} data.root=/data",
        f"{start} data.sources.0.tasks=187 data.sources.0.per_task=500 data.root=/data",
        f"{start} data.sources.0.tasks=20 data.root=/data",
        f"{start} data.sources.0.tasks=187 data.sources.0.per_task=1000 data.root=/data",
    ]
    assert "#   782 steps, 100,096 samples; about 12.8 GPU hours" in out
    assert "#   731 steps, 93,568 samples; about 12.0 GPU hours" in out


def test_what_a_model_starts_from_comes_before_it(reproduce: Reproduce) -> None:
    commands = shown(reproduce("table7", "--dry-run")[1])
    made = [next(i for i, c in enumerate(commands) if re.search(text, c)) for text in (
        r"train untuned$", r"exchange runs/untuned/hf .*--out runs/table7_untuned$",
        r"train stage1$", r"train stage2$", r"exchange runs/stage2/hf", r"evaluate runs/table7_chat ",
    )]  # fmt: skip
    assert made == sorted(made)
    assert all("--prompt llama2_chat" in command for command in commands if " exchange " in command)


def test_a_model_of_the_hub_is_not_trained(reproduce: Reproduce) -> None:
    commands = shown(reproduce("figure9", "--dry-run", "--gpus", "1")[1])
    assert any(
        c.startswith("vflan evaluate runs/llava15 ") and "--model llava-hf/llava-1.5-13b-hf" in c
        for c in commands
    )
    assert "vflan train stage1" in commands
    assert not any("llava15" in command for command in commands if command.startswith("vflan train"))


def test_what_is_there_is_not_made_again_unless_it_is_of_another_recipe(
    tmp_path: Path, reproduce: Reproduce
) -> None:
    hf = tmp_path / "runs" / "stage1" / "hf"
    hf.mkdir(parents=True)
    (hf / "config.json").write_text("{}")
    config = tmp_path / "runs" / "stage1" / "config.yaml"
    config.write_text(dump(load("stage1")))
    out = reproduce("table2", "--dry-run")[1]
    assert "# there: torchrun --nproc-per-node 8 -m vision_flan.train stage1" in out
    assert any(command.endswith("stage2") for command in shown(out))
    config.write_text(dump(load("stage1", ["train.lr=1e-4"])))
    assert any(
        command.endswith("vision_flan.train stage1") for command in shown(reproduce("table2", "--dry-run")[1])
    )


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("{a: {exchange: b, llm: x}, b: {exchange: a, llm: x}}", "runs need one another: a -> b -> a"),
        ("{a: {exchange: nothing, llm: x}}", "which is no run"),
        ("{a: {recipe: nothing}}", "no recipe 'nothing'"),
    ],
)
def test_runs_that_cannot_be_made_are_refused(
    tmp_path: Path, reproduce: Reproduce, runs: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(f"{{title: a, columns: [mme], runs: {runs}, rows: [{{run: a}}]}}")
    code, _, err = reproduce("mine.yaml", "--dry-run")
    assert code == 1
    assert message in err
    assert "no experiment 'table1'" in reproduce("table1")[2]


#: What each training of the paper shows, by paper.md: instances, and samples of a step.
PLANNED = {
    "stage1": (1_664_261, 128),
    "stage2": (8_192, 64),  # 128 steps
    "freeze_llm": (1_664_261, 128),
    "freeze_projector": (1_664_261, 128),
    "tasks_x_instances": (100_000, 128),
    "tasks_x_instances tasks=187 per_task=500": (93_500, 128),
    "tasks_x_instances tasks=20": (200_000, 128),
    "tasks_x_instances tasks=187 per_task=1000": (187_000, 128),
    "single_stage_mixed": (1_665_261, 128),
    "single_stage_mixed_158k": (1_821_973, 128),
    **{
        f"instances_from_{start} total={count}": (max(shown, 8_192), 64)
        for start in ("base", "pretrained")
        for count, shown in (
            ("100", 100), ("1000", 1_000), ("10000", 10_000), ("50000", 50_000), ("100000", 100_000),
            ("0 at_least=150000", 157_712),
        )
    },
}  # fmt: skip
QUESTIONS = {
    "mmbench": 4_329, "mme": 2_374, "mmmu": 900, "llava_bench": 60, "mm_vet": 218, "pope": 9_000,
    "yes_ratio": 0, "cf": 40_000, "textocr": 3_124, "wit": 1_000,
}  # fmt: skip


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a `vflan` command as click reads them; unknown ones and wrong values are errors."""
    command: click.Command = vflan
    context = click.Context(command)
    assert words.pop(0) == "vflan"
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    return command.make_context(command.name, words).params


@pytest.mark.parametrize("name", names())
def test_every_printed_command_can_be_typed_and_costs_what_the_paper_says(
    name: str, reproduce: Reproduce
) -> None:
    lines = reproduce(name, "--dry-run", "--train", "data.root=/data")[1].splitlines()
    total = 0.0
    for shown, cost in zip(lines[:-1:2], lines[1:-1:2], strict=True):
        words = shlex.split(shown)
        figures = [
            int(text.replace(",", "")) for text in re.findall(r"([\d,]+) (?:steps|samples|questions)", cost)
        ]
        hours = float(found[1]) if (found := re.search(r"about ([\d,.]+) GPU hours", cost)) else 0.0
        total += hours
        if words[0] == "torchrun":
            assert words[:5] == ["torchrun", "--nproc-per-node", "8", "-m", "vision_flan.train"]
            recipe, *overrides = words[5:]
            load(recipe, overrides)  # the recipe is there, and has these keys
            changed = [text.removeprefix("data.sources.0.") for text in overrides if "sources" in text]
            instances, batch = PLANNED[" ".join([recipe, *changed])]
            steps = -(-instances // batch)
            assert figures == [steps, steps * batch]
            # 13B parameters, 700 tokens, an A100 at 38 %: 0.46 s a sample; a third less with a frozen LLM
            each = 0.46 * (2 / 3 if recipe == "freeze_llm" else 1)
            assert hours == pytest.approx(steps * batch * each / 3600, rel=0.05)
            continue
        given = parsed(words)
        if "benchmarks" in given:
            assert figures == [sum(QUESTIONS[benchmark] for benchmark in given["benchmarks"])]
            assert 0.1 <= hours < 10
        else:
            assert not figures and not hours
    assert lines[-2:-1] == ["#   no training"]
    assert float(re.findall(r"estimated: ([\d,]+)", lines[-1])[0].replace(",", "")) == pytest.approx(
        total, abs=1.5
    )
