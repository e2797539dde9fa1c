"""`vflan stats`: numbers of compiled folders whose numbers are known."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.review.phone import on_phone
from tests.toy import Toy, square
from vision_flan.build.compile import Options, compile_task
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode
from vision_flan.report import Silent
from vision_flan.review.stats import folder_stats, spread
from vision_flan.spec.catalog import Catalog


@pytest.fixture
def compiled(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Twelve instances of four answers and images; one of the images is a wide JPEG."""
    (toy.raw / "toy/images/0000.png").write_bytes(square("r", "JPEG", (40, 20)))
    toy.compile()
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    return toy


def test_the_numbers_are_those_of_the_folder(compiled: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(vflan, ["stats", str(compiled.out), "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    (task,) = found["tasks"]
    rows = compiled.rows()
    assert (task["task"], task["category"], task["source"]) == ("toy_color", "General Object", "toy")
    assert (task["instances"], task["distinct_images"]) == (12, 5)
    assert task["shard_bytes"] == sum(
        path.stat().st_size for path in compiled.out.glob("toy_color/*.parquet")
    )
    assert task["image_bytes"] == sum(len(row["image"]["bytes"]) for row in rows)
    assert (task["distinct_answers"], task["answer_entropy_bits"]) == (4, 2.0)  # letters are left out
    assert task["answer_words"] == {"min": 2, "median": 2, "mean": 2, "max": 2}
    words = {len(row["prompt"].split()) for row in rows}
    assert task["prompt_words"]["min"] == min(words) and task["prompt_words"]["max"] == max(words)
    assert task["image_formats"] == {"PNG": 11, "JPEG": 1}
    assert task["image_width"] == {"min": 8, "median": 8, "mean": 10.67, "max": 40}
    assert task["image_height"]["max"] == 20
    assert task["images_not_read"] == {}
    assert found["total"]["instances"] == found["categories"][0]["instances"] == 12


def test_an_image_of_two_tasks_counts_once_in_their_category(compiled: Toy) -> None:
    text = (compiled.specs / "toy/toy_color.yaml").read_text()
    hue = text.replace("id: toy_color", "id: toy_hue").replace("alias: Toy+color\n", "")
    (compiled.specs / "toy/toy_hue.yaml").write_text(hue.replace("General Object", "Color"))
    shutil.copy(compiled.instructions / "toy_color.j2", compiled.instructions / "toy_hue.j2")
    compile_task("toy_hue", compiled.raw, compiled.out, compiled.catalog, Options(limit=6), Silent())
    found = folder_stats(compiled.out, compiled.catalog, Silent())
    assert (found.total.tasks, found.total.instances, found.total.images) == (2, 18, 5)
    assert [(one.name, one.instances) for one in found.categories] == [("General Object", 12), ("Color", 6)]
    only = folder_stats(compiled.out, compiled.catalog, Silent(), ["Toy+color"])
    assert [one.name for one in only.tasks] == ["toy_color"]


def test_the_text_is_a_table_by_category_and_one_by_task(
    compiled: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(vflan, ["stats", str(compiled.out)]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 task: 12 instances, 5 distinct images, ")
    cells = lines[-1].split("\t")
    assert cells[:4] == ["toy_color", "General Object", "12", "5"]
    assert cells[7:] == ["4", "2.00", "8 x 8", "PNG, JPEG"]


def test_the_page_has_the_figures_as_inline_svg_and_escapes_names(compiled: Toy, tmp_path: Path) -> None:
    path = next((compiled.out / "manifest").glob("*.json"))
    path.write_text(path.read_text().replace("General Object", "<b>$x$</b>"))
    out, plots = tmp_path / "stats.html", tmp_path / "plots"
    arguments = ["stats", str(compiled.out), "--out", str(out), "--plots", str(plots)]
    assert run(vflan, arguments) == ExitCode.OK
    html = out.read_text("utf-8")
    assert "<script" not in html and "<b>" not in html
    for title in ("Tasks by category", "Instances by category", "Words of an answer"):
        assert f'aria-label="{title}"' in html
        with Image.open(plots / f"{title.lower().replace(' ', '_')}.png") as image:
            assert image.width > 500
    with on_phone(out) as page:
        assert page.locator("svg").count() == 7


def test_without_matplotlib_plots_say_what_to_install(
    compiled: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert (
        run(vflan, ["stats", str(compiled.out), "--plots", str(compiled.root / "plots")]) == ExitCode.FAILED
    )
    said = capsys.readouterr().err
    assert "vision-flan[report]" in said and "reading" not in said  # said before anything is read


def test_a_damaged_shard_is_named(compiled: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next(compiled.out.glob("toy_color/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-8])
    assert run(vflan, ["stats", str(compiled.out)]) == ExitCode.FAILED
    shown = capsys.readouterr().err
    assert shard.name in shown and f"vflan verify {compiled.out}" in shown


def test_memory_does_not_grow_with_the_images(toy: Toy) -> None:
    """Two hundred images of half a megabyte each; a tenth of them in memory would be seen."""
    for i in range(200):
        Image.new("RGB", (400, 400), (i, 0, 0)).save(toy.raw / f"toy/images/{i:04}.png", compress_level=0)
    toy.write_records([{"name": f"{i:04}.png", "color": "rgby"[i % 4]} for i in range(200)])
    toy.compile()
    tracemalloc.start()
    found = folder_stats(toy.out, toy.catalog, Silent())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.total.image_bytes > 80_000_000
    assert peak < found.total.image_bytes / 10


@given(numbers=st.lists(st.integers(0, 1000), min_size=1))
def test_the_spread_of_counted_numbers_is_that_of_the_numbers(numbers: list[int]) -> None:
    found = spread(Counter(numbers))
    assert (found["min"], found["max"]) == (min(numbers), max(numbers))
    assert found["median"] == statistics.median(numbers)
    assert found["mean"] == pytest.approx(statistics.mean(numbers), abs=0.01)
