"""What `pip install vision-flan` gives: the specs are inside, and are found without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(REPOSITORY)], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, folder: Path, *arguments: str) -> str:
    code = "import sys; from vision_flan.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_a_spec_and_every_template_is_in_the_wheel(installed: Path) -> None:
    for source, shipped in (("task_specs", "task_specs"), ("instructions", "instructions")):
        here = {path.relative_to(REPOSITORY / source) for path in (REPOSITORY / source).rglob("*.*")}
        there = {
            path.relative_to(installed / "vision_flan" / shipped)
            for path in (installed / "vision_flan" / shipped).rglob("*.*")
        }
        assert here == there
    for name in (
        "dataset/card.md.j2",
        "review/diff.html.j2",
        "review/duplicates.html.j2",
        "review/preview.html.j2",
        "review/stats.html.j2",
        "review/preview.css",
        "review/preview.js",
        "spec/task.schema.json",
        "spec/dataset.schema.json",
        "py.typed",
        "tested_versions.json",
    ):
        assert (installed / "vision_flan" / name).exists(), name


def test_the_installed_package_compiles_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    run(installed, tmp_path, "miniature", "textocr", "--out", "raw", "--n", "12")
    printed = run(installed, tmp_path, "compile", "--task", "ocr_textocr", "--raw", "raw")
    assert "ocr_textocr: 11 instances of 11 records" in printed
