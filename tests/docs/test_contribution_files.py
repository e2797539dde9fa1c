"""The workflow, hooks, template and forms of pull requests name what exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from vision_flan.cli.main import COMMANDS, vflan
from vision_flan.errors import REPOSITORY, install_command

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / ".github").rglob("*.y*ml")),
    ROOT / ".pre-commit-hooks.yaml",
    ROOT / ".pre-commit-config.yaml",
    ROOT / ".github/pull_request_template.md",
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_and_options_that_are_named_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    if path.suffix != ".md":
        assert yaml.safe_load(text)
    found = re.findall(r"vflan ((?:[a-z]+)(?: [^\n`\"|]*)?)", text)
    for command in found:
        name, *words = command.split()
        assert name in COMMANDS, f"{path.name}: vflan {command}"
        made = vflan.get_command(vflan.make_context("vflan", ["--help"], resilient_parsing=True), name)
        assert made is not None
        known = {option for parameter in made.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, f"{path.name}: vflan {command}"
    for target in re.findall(r"run: make (\w+)", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), target


def test_a_pull_request_runs_the_check_without_trusting_its_text() -> None:
    workflow = (ROOT / ".github/workflows/check.yaml").read_text("utf-8")
    assert 'vflan check --since "origin/$BASE" --format github' in workflow
    assert "pull_request_target" not in workflow and "contents: read" in workflow
    for script in re.findall(r"run: (.*)", workflow):
        assert "${{" not in script, f"an expression in a script is code of whoever names the branch: {script}"


def test_the_repository_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Repository"] == REPOSITORY
    assert install_command() in (ROOT / "README.md").read_text("utf-8")
    extras = set(project["optional-dependencies"])
    for path in (*ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("vision_flan/**/*.py")):
        text = path.read_text("utf-8")
        assert not re.search(r"""pip install ["']?vision-flan(?:\[\w+\])?["'`]""", text), path
        assert set(re.findall(r'install_command\("(\w+)"\)', text)) <= extras, path
