"""What the room takes of the package, and what it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.test_imports import imports, modules, part


def test_the_room_takes_only_the_ground_floor_specs_and_recipes() -> None:
    recipes = {"vision_flan.train.recipe", "vision_flan.train.config"}
    for name, path in modules().items():
        if part(name) == "evaluate":
            taken = {part(other) for other in imports(path) - recipes} - {"evaluate"}
            assert taken <= {"errors", "columns", "report", "children", "spec"}, f"{name} takes {taken}"


@pytest.mark.parametrize("absent", [["torch", "transformers"], ["spacy", "openpyxl"]])
def test_scoring_loads_neither_torch_nor_what_the_extra_brings(absent: list[str]) -> None:
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "from vision_flan.cli.main import run, vflan; sys.exit(run(vflan, ['score', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--judge-model" in done.stdout
