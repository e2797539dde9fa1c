"""What docs/train.md tells people to type, checked as far as it goes without their GPUs."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from vision_flan.cli.train import FORMATS
from vision_flan.train.recipe import load, recipe_names

TEXT = (Path(__file__).parents[2] / "docs" / "train.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
]


def test_every_training_command_is_a_recipe_with_known_keys() -> None:
    found = []
    for words in COMMANDS:
        for opening in (["vflan", "train"], ["-m", "vision_flan.train"]):
            for place in range(len(words) - 1):
                if words[place : place + 2] == opening:
                    recipe, *overrides = words[place + 2 :]
                    found.append(load(recipe, overrides).name)
    assert found == ["tiny_cpu", "stage1", "stage2", "stage1"]


def test_every_recipe_format_and_figure_is_described() -> None:
    for name in (*recipe_names(), *FORMATS):
        assert f"`{name}`" in TEXT
    figures = ["loss", "lr", "grad_norm", "samples_per_s", "tokens_per_s", "mfu", "padding", "data_wait"]
    for name in (*figures, "memory_gib", "dropped", "category_loss"):
        assert f"`{name}`" in TEXT


def test_keys_named_in_the_text_exist() -> None:
    for key, value in re.findall(r"`((?:data|train|parallel|log|init)\.[a-z_.0-9]+)=([^` ]+)`", TEXT):
        load("single_stage_mixed", [f"{key}={value}"])


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_the_recipe_shown_loads(block: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(block)
    config = load(str(path))
    assert len(config.data.sources) == len(yaml.safe_load(block)["data"]["sources"])
