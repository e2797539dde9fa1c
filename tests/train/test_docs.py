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
                    values = [value.replace("$n", "100") for value in overrides]
                    found.append(load(recipe, values).name)
    figures = ["instances_from_base", "instances_from_pretrained"]
    tables = ["untuned", "freeze_llm", "freeze_projector", "stage1"]
    assert found == ["tiny_cpu", "stage1", "stage2", *tables, *figures, *figures, "stage1"]


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[:2] == ["vflan", "projector"]])
def test_every_projector_command_takes_what_it_is_given(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the models: the Hub is not asked."""
    from click.testing import CliRunner

    from vision_flan.cli.main import vflan
    from vision_flan.train import projector

    called = []
    monkeypatch.setattr(projector, "exchange", lambda *given: called.append(given))
    monkeypatch.setattr(projector, "correlation", lambda *given: called.append(given) or 1.0)
    assert CliRunner().invoke(vflan, words[1:]).exit_code == 0 and len(called) == 1


def test_tables_6_and_7_use_the_pretrained_projector_and_llama_2s_prompt() -> None:
    exchanges = [words for words in COMMANDS if words[:3] == ["vflan", "projector", "exchange"]]
    assert len(exchanges) == 6
    for words in exchanges:
        if "--llm" in words:
            assert words[words.index("--prompt") + 1] == "llama2_chat" and "Llama-2-13b-chat" in " ".join(
                words
            )
        else:
            assert words[words.index("--projector") + 1] == load("stage1").init.projector


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
