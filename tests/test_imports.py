"""The package mirrors the data's way: a module imports only from those before it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vision_flan"

#: The data's way. A folder stands for all its modules, which import among themselves as they like,
#: but without a circle.
ORDER = [
    "errors", "limits", "faults", "children", "places", "columns", "report", "guard", "versions", "spec",
    "raw", "readers", "records", "instances", "dataset", "build", "hub", "miniatures", "review",
    "propose", "train", "exports", "evaluate", "api", "cli",
]  # fmt: skip


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vision_flan."):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("vision_flan.")}
    return found


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return found


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_from_those_before_it(name: str) -> None:
    if name == "vision_flan":
        return
    assert part(name) in ORDER, f"{name} has no place in the data's way: add it to ORDER"
    here = ORDER.index(part(name))
    later = [other for other in imports(modules()[name]) if ORDER.index(part(other)) > here]
    assert not later, f"{name} imports from what comes after it: {later}"


def test_the_design_page_has_every_room_in_this_order() -> None:
    text = (PACKAGE.parent / "docs" / "design.md").read_text("utf-8")
    table = text.split("| room | what happens there |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    assert named == ORDER


def test_every_room_says_what_it_is_for() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path.parent.name} has no docstring"


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {name: imports(path) & modules().keys() for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_trainer_takes_little_of_the_package_and_has_torch_to_itself() -> None:
    for name, path in modules().items():
        if part(name) == "train":
            taken = {part(other) for other in imports(path)} - {"train"}
            assert taken <= {"errors", "columns", "spec", "instances"}, f"{name} takes {taken}"
        elif name != "vision_flan.cli.train":
            assert "import torch" not in path.read_text("utf-8"), name


def test_a_worker_waits_for_no_library_that_blocks_do_not_need() -> None:
    code = (
        "import sys, vision_flan.build.worker\n"
        "print(*({'duckdb', 'jsonschema', 'pyarrow.compute', 'pandas', 'fsspec'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.split()


@pytest.mark.parametrize("arguments", [["--help"], ["compile", "--help"], ["list", "--help"]])
def test_the_command_line_starts_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        f"from vision_flan.cli.main import run, vflan; sys.exit(run(vflan, {arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
