"""Label tables written by hand, compared with what upstream's own lists of classes hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
import yaml

from vision_flan.spec.catalog import Catalog

FACTS = Path(__file__).parent / "facts"
catalog = Catalog.default()

#: Birds of CUB-200-2011 whose English name is more than its class with hyphens and apostrophes.
OTHER_NAMES = {
    "Cardinal": "Northern Cardinal",
    "Chuck_will_Widow": "Chuck-will's-widow",
    "Florida_Jay": "Florida Scrub-Jay",
    "Mockingbird": "Northern Mockingbird",
    "Nighthawk": "Common Nighthawk",
    "White_Pelican": "American White Pelican",
    "Sayornis": "phoebe",
    "Geococcyx": "roadrunner",
    "Great_Grey_Shrike": "Great Gray Shrike",
    "Le_Conte_Sparrow": "LeConte's Sparrow",
    "Artic_Tern": "Arctic Tern",
}

#: Dataset and table -> number of keys, and the start of the sha256 over them, sorted and one a line. Each was
#: computed from a public list of upstream's classes, not from the table.
CLASSES = {
    ("imagenet_sketch", "classes"): (1000, "385e0240499426c0"),
    ("imagenet_a", "classes"): (200, "f6aa4b23244554d9"),
    ("imagenet_r", "classes"): (200, "e19a59d84e3746fa"),
    ("stanford_dogs", "breeds"): (120, "c7f76b7e647fe4fb"),
    ("aid", "classes"): (30, "74968b441baac8d2"),
    ("office_31", "classes"): (31, "4ab1e7fb82753b51"),
    ("office_home", "classes"): (65, "00976e599f5dd6d4"),
    ("mvtecad", "defects"): (48, "f59f817db30e69a8"),
    ("caltech101", "classes"): (101, "8a8e85497a026703"),
}


@cache
def table(dataset: str, name: str) -> Mapping[str, str]:
    """A label table as its file spells it."""
    path = catalog.dataset_files[dataset]
    found = yaml.safe_load(path.read_text("utf-8"))["labels"][name]
    return yaml.safe_load((path.parent / found).read_text("utf-8")) if isinstance(found, str) else found


def letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def test_every_class_of_cub_has_its_bird() -> None:
    classes = (FACTS / "cub_200_2011.txt").read_text("utf-8").split()
    names = table("cub_200_2011", "classes")
    assert len(classes) == 200 and list(names) == classes
    assert len(set(names.values())) == 200


@pytest.mark.parametrize("name", (FACTS / "cub_200_2011.txt").read_text("utf-8").split())
def test_a_bird_is_called_by_its_class_with_hyphens_and_apostrophes(name: str) -> None:
    bird = table("cub_200_2011", "classes")[name]
    if name in OTHER_NAMES:
        assert bird == OTHER_NAMES[name]
        return
    first, _, rest = name.partition("_")
    if "'s " in bird:
        assert bird.startswith((f"{first.removesuffix('s')}'s ", f"{first}'s "))
        assert letters(bird) in (letters(f"{first}s{rest}"), letters(name))
    else:
        assert letters(bird) == letters(name)
    assert ("_" not in bird and bird[0].isupper()) or name == "Frigatebird"


@pytest.mark.parametrize("dataset, name", CLASSES)
def test_a_table_has_the_classes_of_a_public_list(dataset: str, name: str) -> None:
    keys = sorted(key.lower() if dataset == "caltech101" else key for key in table(dataset, name))
    count, start = CLASSES[dataset, name]
    assert len(keys) == count
    assert hashlib.sha256("\n".join(keys).encode()).hexdigest().startswith(start)


@pytest.mark.parametrize(
    "dataset, name", [("imagenet_a", "classes"), ("imagenet_r", "classes"), ("stanford_dogs", "breeds")]
)
def test_a_class_of_imagenet_has_one_name_in_all_datasets(dataset: str, name: str) -> None:
    everywhere = table("imagenet_sketch", "classes")
    assert {key: everywhere[key] for key in table(dataset, name)} == dict(table(dataset, name))
