"""Attribution tables and notices of compiled folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_flan.build.compile import Options, compile_task
from vision_flan.build.credits import names_of
from vision_flan.build.shares import merge
from vision_flan.dataset.attribution import read_attribution
from vision_flan.dataset.manifest import read_manifests
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("train2014/a.jpg", ["train2014/a.jpg", "a.jpg", "a"]),
        ("composed:x/a.jpg", ["x/a.jpg", "a.jpg", "a"]),
        ("composed:x/a.jpg and 3 more", []),
        ("@images/b.bin#17", ["@images/b.bin#17"]),
        ("", []),
    ],
)
def test_an_image_is_looked_up_by_its_path_and_by_less_and_less_of_it(path: str, names: list[str]) -> None:
    assert names_of(path) == names


def test_merged_folders_keep_attribution_and_notices(tmp_path: Path) -> None:
    raw, catalog = tmp_path / "raw", Catalog.default()
    for dataset, task in (("textocr", "ocr_textocr"), ("eurosat", "scene_eurosat_land")):
        registry.make(dataset, raw, 6, 0)
        compile_task(task, raw, tmp_path / dataset, catalog, Options(), Silent())
    merge([tmp_path / "textocr", tmp_path / "eurosat"], tmp_path / "out", Silent())
    manifest = read_manifests(tmp_path / "out")["ocr_textocr"]
    credits = read_attribution(tmp_path / "out", manifest)
    assert len(credits) == manifest.rows and all(credit.author for credit in credits)
    assert "Patrick Helber" in (tmp_path / "out/LICENSES/eurosat-LICENSE.txt").read_text("utf-8")
