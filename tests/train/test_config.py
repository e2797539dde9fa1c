"""The configuration: strict, resolved, reproducible."""

from pathlib import Path

import pytest

from vision_flan.train.config import ConfigError, Source, dump, load, recipe_names


def test_every_recipe_of_the_issue_is_there_and_loads() -> None:
    assert recipe_names() == [
        "freeze_llm",
        "freeze_projector",
        "llama2_chat",
        "single_stage_mixed",
        "stage0",
        "stage1",
        "stage2",
        "tasks_x_instances",
        "tiny_cpu",
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
        ("train.batch=many", "'train.batch' wants int, not 'many'"),
        ("train.freeze_llm=1", "'train.freeze_llm' wants bool, not 1"),
        ("train.batch=true", "'train.batch' wants int, not True"),
        ("data.prompt=vicuna", "data.prompt is 'vicuna'"),
        ("data.sources=all", "'data.sources' wants a list"),
        ("train.lr", "'train.lr' is not key=value"),
        ("name.first=x", "leads through a value that has no parts"),
        ("parallel.max_tokens_per_rank=100", "less than one sample"),
        ("parallel.checkpointing=0", "parallel.checkpointing is '0'"),
        ("train.batch=0", "must not be empty"),
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
