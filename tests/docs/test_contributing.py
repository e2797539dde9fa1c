"""CONTRIBUTING, walked: every command of "Add a task", in its order, in a checkout of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.console import examples, matches, run
from tests.folders_of_files import snails

REPOSITORY = Path(__file__).parents[2]

#: What a person writes in a step, file by file.
EDITS = {
    2: {
        "task_specs/snails/dataset.yaml": [
            (r"title: snails .*", "title: Snails of the Garden"),
            (r"homepage: \S+", "homepage: https://snails.org/garden"),
            (r"note: Say .*", "note: The authors state no license; they took the photos themselves."),
            (r"title = \{snails\}", "title = {Snails of the Garden}"),
            (r"author = \{The authors\}", "author = {Doe, Jane}"),
            (r"@misc\{snails", "@misc{doe2024snails"),
            (r"how_to_get: .*", "how_to_get: Press Download on the homepage."),
        ],
        "task_specs/snails/animal_snails.yaml": [(r"title: What .*", "title: Kinds of snails")],
    },
    3: {
        "instructions/animal_snails.j2": [
            (r"Which option .*shows\?", "Which kind of snail does this image show?")
        ]
    },
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout on a branch of its own."""
    folder = tmp_path / "vision-flan"
    skipped = shutil.ignore_patterns("__pycache__", ".hypothesis", "benchmarks")
    for name in ("vision_flan", "task_specs", "instructions", "docs", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=skipped)
    for name in ("pyproject.toml", "CONTRIBUTING.md", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / ".gitignore").open("a").write("preview.html\n")
    for arguments in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "All"],
        ["switch", "--quiet", "--create", "snails"],
        ["config", "user.name", "a"],
        ["config", "user.email", "a@b"],
    ):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder


def steps(document: Path) -> list[tuple[int, int]]:
    """Number and first line of each step of "Add a task"."""
    lines = document.read_text("utf-8").splitlines()
    first, last = lines.index("## Add a task"), lines.index("## Change the code")
    found = [
        (number, re.match(r"(\d+)\. ", line)) for number, line in enumerate(lines, 1) if first < number < last
    ]
    return [(int(match[1]), number) for number, match in found if match]


def unindented(document: Path, folder: Path) -> Path:
    """The document with its blocks at the margin, as `examples` reads them; lines keep their numbers."""
    copy = folder / "contributing.md"
    copy.write_text(re.sub(r"(?m)^   ", "", document.read_text("utf-8")), "utf-8")
    return copy


def edit(checkout: Path, step: int) -> None:
    for name, changes in EDITS.get(step, {}).items():
        path = checkout / name
        text = path.read_text("utf-8")
        for old, new in changes:
            text, count = re.subn(old, new, text)
            assert count, f"{old} is not in {name}"
        path.write_text(text, "utf-8")


def test_every_step_works_in_its_order(checkout: Path, tmp_path: Path) -> None:
    snails(tmp_path / "raw")
    document = REPOSITORY / "CONTRIBUTING.md"
    numbered = steps(document)
    assert [number for number, _ in numbered] == list(range(1, 9))
    commands = {number: 0 for number, _ in numbered}
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(checkout), "PYTEST_ADDOPTS": ""}
    scripts = tmp_path / "bin"
    scripts.mkdir()
    vflan = "#!/bin/sh\nexec python -c 'from vision_flan.cli.main import main; main()' \"$@\"\n"
    (scripts / "vflan").write_text(vflan)
    (scripts / "vflan").chmod(0o755)
    edited = 0
    for example in examples(unindented(document, tmp_path)):
        step = max(number for number, line in numbered if line <= example.line)
        if step > edited + 1:  # what a step asks a person to write is written when its commands have run
            for number in range(edited + 1, step):
                edit(checkout, number)
            edited = step - 1
        if step == 3 and commands[3] == 0:
            edit(checkout, 3)
            edited = 3
        command = f"export PATH={scripts}{os.pathsep}$PATH\n{example.command}"
        printed, code = run(command, checkout, environment)
        where = f"CONTRIBUTING.md:{example.line}: $ {example.command}"
        assert matches(example.output, printed), f"{where}\nshows\n{example.output}\nbut it prints\n{printed}"
        fails = ": error: " in printed
        assert bool(code) == fails, f"{where}\nends with {code}\n{printed}"
        commands[step] += 1
    assert all(commands.values()), "every step has a command"


def test_a_change_of_placeholders_does_not_pass(checkout: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(checkout)}
    vflan = "python -c 'from vision_flan.cli.main import main; main()'"
    printed, _ = run(f"{vflan} check --since main", checkout, environment)
    assert "tasks: 0, datasets: 0, errors: 0" in printed
    printed, code = run(f"{vflan} new gnomes object_gnomes", checkout, environment)
    assert code == 0, printed
    printed, code = run(f"{vflan} check --since main", checkout, environment)
    assert code == 1
    for wrong in (
        "the license is",
        "the citation is",
        "the homepage is",
        "the title is",
        "gnomes has no miniature",
    ):
        assert wrong in printed, printed
    printed, code = run(f"{vflan} check --since --output=x", checkout, environment)
    assert code and not (checkout / "x").exists()
