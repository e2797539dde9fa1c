"""Every task compiled from miniatures into one folder, for tests of the whole suite."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.tasks.test_every_task import RECORDS, tasks_of
from vision_flan.build.compile import Options, compile_task
from vision_flan.dataset.card import write_card
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog


def compile_all(folder: Path, limit: int, workers: int = 2) -> Path:
    """Compile all tasks, `limit` instances each; half a minute on two cores.

    Returns:
        The compiled folder. Each dataset's raw files are in a folder of its own, `folder/raw/<dataset>`.
    """
    datasets = sorted(Catalog.default().dataset_files)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(partial(compile_dataset, folder, limit), datasets))
    write_card(folder / "out")
    return folder / "out"


def compile_dataset(folder: Path, limit: int, dataset: str) -> None:
    """Compile the tasks of one dataset into `folder/out`."""
    raw = folder / "raw" / dataset
    registry.make(dataset, raw, RECORDS, seed=0)
    for slug in Catalog.default().dataset(dataset).borrows:
        if slug == "mscoco":
            list_photos(raw / slug)
    for task in tasks_of(dataset):
        compile_task(task, raw, folder / "out", Catalog.default(), Options(limit=limit), Silent())


def list_photos(mscoco: Path) -> None:
    """COCO's lists of the images that a miniature borrows, which hold each image's license: the miniature has
    the images alone. Licenses change from image to image, as upstream's do."""
    licenses = [
        {"id": number, "name": f"license {number}", "url": f"https://example.org/{number}"}
        for number in range(1, 9)
    ]
    for folder in sorted(path for path in mscoco.glob("*20*") if path.is_dir()):
        images = [
            {
                "id": int(path.stem[-12:]),
                "file_name": path.name,
                "license": int(path.stem[-12:]) % 8 + 1,
                "flickr_url": f"https://example.org/{path.stem}",
            }
            for path in sorted(folder.glob("*.jpg"))
        ]
        document = mscoco / f"annotations/captions_{folder.name}.json"
        document.parent.mkdir(exist_ok=True)
        document.write_text(json.dumps({"images": images, "licenses": licenses, "annotations": []}), "utf-8")
