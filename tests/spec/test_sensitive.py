"""What images show of people is known wherever they are used."""

from __future__ import annotations

import pytest

from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import DatasetSpec

CATALOG = Catalog.default()
DATASETS = [CATALOG.dataset(slug) for slug in CATALOG.dataset_files]
BORROWED = [dataset for dataset in DATASETS if dataset.license.images.lender]


@pytest.mark.parametrize("dataset", BORROWED, ids=lambda dataset: dataset.dataset)
def test_borrowed_images_show_what_their_lenders_show(dataset: DatasetSpec) -> None:
    lender = CATALOG.dataset(dataset.license.images.lender)
    of_images = set(lender.sensitive) - {"attributes", "identity"}
    assert of_images <= set(dataset.sensitive)


def test_images_of_mscoco_are_said_to_show_children_in_every_task_that_borrows_them() -> None:
    borrowers = [dataset for dataset in BORROWED if dataset.license.images.lender == "mscoco"]
    assert len(borrowers) == 9
    assert all({"faces", "children"} <= set(dataset.sensitive) for dataset in borrowers)


@pytest.mark.parametrize(
    ("kind", "datasets"),
    [
        ("identity", "concadia kvqa lfw mm_vet mmbench mme mocheg viquae wit"),
        ("documents", "docvqa funsd"),
        ("children", "cifar_100 fairface ffhq_text gqa mscoco raf_db set5 visual7w visual_genome voc2007"),
        ("faces", "exdark nocaps nus_wide pacs places205 places365 st_vqa textcaps textocr"),
        ("faces", "cat2000 cifar_100 lad mini_imagenet ocr_vqa visda_2017 winoground"),
        ("medical", "mm_vet mmmu vqa_rad"),
        ("adult", "memotion pickapic wikiart"),
    ],
)  # fmt: skip
def test_datasets_known_to_show_people_say_so(kind: str, datasets: str) -> None:
    assert {name for name in datasets.split() if kind not in CATALOG.dataset(name).sensitive} == set()
