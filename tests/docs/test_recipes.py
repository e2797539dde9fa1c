"""docs/recipes.md, walked: its files are written, and its commands print what it shows, in its order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Example, examples, matches, run
from vision_flan.dataset.manifest import read_manifests
from vision_flan.spec.catalog import Catalog

DOCUMENT = Path(__file__).parents[2] / "docs" / "recipes.md"
RECIPES = (
    "Multiple choice",
    "Yes or no, with negatives",
    "Dialogue",
    "Several images",
    "Images in archives",
    "Groups of classes",
)
#: A path on a line of its own, and a block below it: the file.
_FILE = re.compile(r"^`(?P<path>[\w./-]+)`\n\n```\w+\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)


def steps() -> Iterator[tuple[int, tuple[str, str] | Example]]:
    """Files and commands with their lines."""
    text = DOCUMENT.read_text("utf-8")
    for found in _FILE.finditer(text):
        yield text[: found.start()].count("\n") + 1, (found["path"], found["text"])
    for example in examples(DOCUMENT):
        yield example.line, example


@pytest.mark.slow
def test_every_recipe_is_complete_and_gives_what_it_shows(tmp_path: Path) -> None:
    for line, step in sorted(steps(), key=lambda step: step[0]):
        if isinstance(step, tuple):
            path = tmp_path / step[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(step[1], "utf-8")
        else:
            printed, code = run(step.command, tmp_path)
            shown = f"recipes.md:{line}: $ {step.command}\nshows\n{step.output}\nbut it prints\n{printed}"
            assert code == 0 and matches(step.output, printed), shown
    catalog = Catalog(tmp_path / "mine/task_specs", tmp_path / "mine/instructions")
    assert sorted(read_manifests(tmp_path / "out")) == sorted(catalog.task_files), "each is compiled"


def test_every_recipe_is_there_with_a_spec_and_an_instance() -> None:
    sections = re.split(r"^## (.+)\n", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    for title in RECIPES:
        assert "\nform: " in found[title] and "$ vflan compile --task " in found[title], title
        assert "$ python " in found[title], title
