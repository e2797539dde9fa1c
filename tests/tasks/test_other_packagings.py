"""Copies in circulation are packed otherwise than upstream does it: those that dataset.yaml names compile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tasks.test_every_task import read_rows, tasks_of
from tests.tasks.truth import disagreements, read_truth
from vision_flan.build.compile import Options, compile_task
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

catalog = Catalog.default()


@pytest.mark.parametrize(
    ("dataset", "there", "here"),
    [
        ("300w", r"^300W/", "300w_cropped/"),
        ("ai2d", r"^ai2d_test_ids\.csv$", "ai2d/ai2d_test_ids.csv"),
        ("crisismmd", r"^CrisisMMD_v2\.0/", ""),
        ("eurosat", r"^2750/", "EuroSAT_RGB/"),
        ("flickrlogos_27", r"^flickr_logos_27_dataset/(?!.*gz$)", ""),
        ("office_31", r"^(amazon|dslr|webcam)/images/", r"\1/"),
        ("office_31", r"^", "domain_adaptation_images/"),
        ("pacs", r"^kfold/", "PACS/"),
        ("places365", r"^data_256/", "data_256_standard/"),
        ("raf_db", r"list_patition_label", "list_partition_label"),
    ],
)
def test_another_packaging_compiles_to_the_same_instances(
    dataset: str, there: str, here: str, tmp_path: Path
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "vision-flan"
    registry.make(dataset, raw, 30, seed=1)
    folder = raw / dataset
    moved = 0
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = path.relative_to(folder).as_posix()
        other = re.sub(there, here, name, count=1)
        if other != name:
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            path.rename(folder / other)
            moved += 1
    assert moved
    for task in tasks_of(dataset):
        compile_task(task, raw, out, catalog, Options(limit=None), Silent())
        assert not list(disagreements(read_rows(out, task), read_truth(raw, task)))
