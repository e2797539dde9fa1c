"""The configuration: strict, resolved, reproducible."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_flan.train.config import Config, ConfigError, Source
from vision_flan.train.recipe import dump, load, recipe_names


def test_every_recipe_of_the_issue_is_there_and_loads() -> None:
    assert recipe_names() == [
        "freeze_llm",
        "freeze_projector",
        "instances_from_base",
        "instances_from_pretrained",
        "llama2_chat",
        "single_stage_mixed",
        "single_stage_mixed_158k",
        "stage0",
        "stage1",
        "stage2",
        "tasks_x_instances",
        "tiny_cpu",
        "untuned",
    ]
    for name in recipe_names():
        assert load(name).name == name


def test_stage_1_and_2_are_the_papers() -> None:
    one, two = load("stage1"), load("stage2")
    assert (one.train.batch, one.train.epochs, one.train.lr) == (16 * 8, 1.0, 2e-5)
    assert (two.train.batch, two.train.steps, two.train.lr) == (8 * 8, 128, 1e-5)
    assert two.data.sources == (Source(include=("stage2_llava_instruct",), exclude=(), total=1000),)
    assert two.init.from_ == "runs/stage1/hf"
    for config in (one, two):
        assert (config.train.warmup, config.train.schedule, config.train.weight_decay) == (
            0.03,
            "cosine",
            0.0,
        )
        assert (config.train.clip, config.data.max_tokens, config.data.prompt) == (1.0, 2048, "vicuna_v1")


def test_what_each_experiment_freezes() -> None:
    frozen = {n: (load(n).train.freeze_llm, load(n).train.freeze_projector) for n in recipe_names()}
    assert frozen["stage1"] == (False, False)
    assert frozen["stage0"] == frozen["freeze_llm"] == (True, False)
    assert frozen["freeze_projector"] == (False, True)


def test_an_override_reaches_into_lists_and_keeps_types() -> None:
    config = load("tasks_x_instances", ["data.sources.0.tasks=187", "train.lr=1e-5", "init.from=runs/a/hf"])
    assert config.data.sources[0].tasks == 187
    assert config.data.sources[0].per_task == 10000
    assert config.train.lr == 1e-5
    assert config.init.from_ == "runs/a/hf"


def test_an_unknown_key_names_the_near_one(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("base: stage1\ntrain:\n  learning_rate: 1.0\n  warmpu: 0.1\n")
    with pytest.raises(ConfigError, match=r"unknown key 'train.learning_rate'"):
        load(str(recipe))
    with pytest.raises(ConfigError) as caught:
        load("stage1", ["train.warmpu=0.1"])
    assert "did you mean 'warmup'?" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch=many", "'train.batch' wants a whole number, not 'many'"),
        ("train.freeze_llm=1", "'train.freeze_llm' wants true or false, not 1"),
        ("train.batch=true", "'train.batch' wants a whole number, not True"),
        ("data.prompt=vicuna", "data.prompt is 'vicuna'"),
        ("data.sources.0.tasks=[ocr_textocr]", "`include` names tasks"),
        ("data.sources=all", "'data.sources' wants a list"),
        ("train.lr", "'train.lr' is not key=value"),
        ("name.first=x", "leads through a value that has no parts"),
        ("parallel.max_tokens_per_rank=100", "less than one sample"),
        ("parallel.checkpointing=0", "parallel.checkpointing is '0'"),
        ("data.sources=[]", "must not be empty"),
        ("train.lr=[", "is not YAML"),
    ],
)
def test_a_wrong_value_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        load("stage1", [override])


def test_a_wrong_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("stage_1")
    assert "did you mean 'stage1'?" in str(caught.value)
    loop = tmp_path / "loop.yaml"
    loop.write_text("base: loop\n")
    with pytest.raises(ConfigError, match="its own base"):
        load(str(loop))
    for name, text, message in (("list", "- 1\n", "a mapping"), ("broken", "a: [", "not YAML")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load(str(path))


def test_the_resolved_copy_gives_the_same_run(tmp_path: Path) -> None:
    for name in recipe_names():
        config = load(name, ["parallel.checkpointing=2", "seed=7"])
        copy = tmp_path / f"{name}.yaml"
        copy.write_text(dump(config))
        assert load(str(copy)) == config


def numbers(kind: type = Config, key: str = "") -> Iterator[tuple[str, object]]:
    """Every number of the configuration: its key, and its type with its range."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        full = f"{key}.{name}".lstrip(".")
        inner = hint.__args__[0] if isinstance(hint, types.GenericAlias) else hint
        if dataclasses.is_dataclass(inner):
            yield from numbers(inner, f"{full}.0" if inner is Source else full)
        elif inner in (int, float) or typing.get_origin(inner) is typing.Annotated:
            yield full, inner


def test_every_number_has_a_range() -> None:
    found = dict(numbers())
    assert len(found) >= 30
    assert not [key for key, kind in found.items() if typing.get_origin(kind) is not typing.Annotated]


@pytest.mark.parametrize("key", [key for key, _ in numbers()])
def test_a_number_out_of_its_range_is_refused_by_its_key(key: str) -> None:
    kind, limits = typing.get_args(dict(numbers())[key])
    wrong = [limits.low - 1, limits.high * 2, -1e300] + ([limits.low] if limits.open_low else [])
    for value in wrong + ([] if kind is int else [".nan", ".inf", "-.inf", "nan"]):
        text = str(int(value)) if kind is int else value
        with pytest.raises(ConfigError, match=rf"{key.replace('.', chr(92) + '.')} is ") as caught:
            load("stage1", [f"{key}={text}"])
        assert "at most" in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "train.clip=0", "data.sources.0.total=-1", "train.steps=-5", "train.epochs=0", "train.warmup=2",
        "log.every=0",
        "checkpoint.every=0", "data.workers=-1", "train.lr=nan", "train.lr=0", "data.sources.0.weight=0",
        "checkpoint.keep=0", "data.max_tokens=1", "train.batch=0",
    ],
)  # fmt: skip
def test_a_run_that_would_learn_nothing_or_lose_its_work_does_not_start(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=f"{key} is "):
        load("stage1", [override])


def test_keys_that_exclude_each_other_are_named() -> None:
    for over in (["train.lora.r=8", "train.freeze_llm=true"], ["train.lora.r=8", "train.lora.targets=[]"]):
        with pytest.raises(ConfigError, match="train.lora"):
            load("stage1", over)


def test_the_series_of_the_figures_differ_only_in_their_start() -> None:
    base, pretrained = load("instances_from_base"), load("instances_from_pretrained")
    assert (base.init.from_, pretrained.init.from_) == ("runs/stage1/hf", "runs/untuned/hf")
    assert dataclasses.replace(base, init=pretrained.init, name="", out="") == dataclasses.replace(
        pretrained, name="", out=""
    )
    assert (base.train.steps, base.train.min_steps, base.train.batch) == (0, 128, 64)
    assert load("untuned").train.untuned and load("untuned").init == load("stage1").init
    assert load("single_stage_mixed_158k").data.sources[1].at_least == 150_000
