"""A thing has one everyday name in all datasets: those of label tables, and of folders that have none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tasks.test_every_task import read_rows, tasks_of
from vision_flan.build.compile import Options, compile_task
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog, load_labels

FACTS = Path(__file__).parent / "facts"
catalog = Catalog.default()

#: Another name or spelling of a thing -> the one that targets use.
ONE_NAME = {
    "sofa": "couch",
    "aeroplane|plane": "airplane",
    "motorbike": "motorcycle",
    "bike": "bicycle",
    "automobile": "car",
    "(mobile|cellular) (tele)?phone|cellphone|mobile": "cell phone",
    "phone": "telephone",
    "television|tv|telly": "TV",
    "laptop computer": "laptop",
    "fire engine|firetruck": "fire truck",
    "(tennis )?racquet": "racket",
    "moustache": "mustache",
    "trousers": "pants",
    "eyeglasses|spectacles": "glasses",
    "trash bin|rubbish bin|garbage can|dustbin": "trash can",
    "pop can": "soda can",
    "fridge": "refrigerator",
    "hair drier|hairdryer": "hair dryer",
    "remote": "remote control",
    "head-?phone|head-phones": "headphones",
    "lightbulb": "light bulb",
    "light house": "lighthouse",
    "tea pot": "teapot",
    "doughnut": "donut",
    "ladybird": "ladybug",
    "courgette": "zucchini",
    "spanner": "wrench",
    "lorry": "truck",
    "tyre": "tire",
    "grey": "gray",
}
#: Benchmarks have their own names of classes.
OWN_NAMES = {"cifar_10", "cifar_100", "mini_imagenet"}

#: Datasets that show the names of upstream's folders, with a table for those that are spelled otherwise, and
#: their list of names as public repositories have it.
FOLDERS = {
    "domain_net": ("spelling", FACTS / "domain_net.txt"),
    "sketch": ("spelling", FACTS / "sketch.txt"),
}


def other_name(shown: str) -> str | None:
    """The name that a shown one should be."""
    for other, name in ONE_NAME.items():
        if re.fullmatch(other, shown, re.IGNORECASE) and shown != name:
            return name
    return None


def as_folders_show(name: str) -> str:
    """A folder's name without a table: spaces, and no word in brackets."""
    return re.sub(r" \(.*\)$", "", name).replace("_", " ").replace("-", " ")


def labels(dataset: str) -> dict[str, dict[str, str]]:
    spec = catalog.dataset(dataset)
    return {name: dict(table) for name, table in load_labels(spec, spec.document.path.parent).items()}


def test_no_label_table_has_another_name_for_a_thing() -> None:
    found = {
        f"{dataset}: {value}": other_name(value)
        for dataset in sorted(set(catalog.dataset_files) - OWN_NAMES)
        for table in labels(dataset).values()
        for value in table.values()
        if other_name(value)
    }
    assert found == {}


@pytest.mark.parametrize("dataset", FOLDERS)
def test_names_of_folders_are_everyday_names_or_have_a_row_in_the_table(dataset: str) -> None:
    table, listed = FOLDERS[dataset]
    spelling = labels(dataset)[table]
    folders = listed.read_text("utf-8").splitlines()
    assert len(set(folders)) == {"domain_net": 345, "sketch": 250}[dataset]
    shown = {name: spelling.get(name, as_folders_show(name)) for name in folders}
    assert {name: value for name, value in shown.items() if other_name(value)} == {}
    assert set(spelling) <= set(folders), "a row that no folder has"
    twice = [value for value in shown.values() if list(shown.values()).count(value) > 1]
    assert not twice, "two classes with one name"


@pytest.mark.parametrize("dataset", ["mscoco", "hico", "cinic_10"])
def test_targets_of_miniatures_use_the_one_name(dataset: str, tmp_path: Path) -> None:
    registry.make(dataset, tmp_path / "raw", 30, seed=4)
    for task in tasks_of(dataset):
        if catalog.task(task).category.endswith("Captioning") or task.startswith(("matching", "vqa")):
            continue  # words of upstream's annotators
        compile_task(task, tmp_path / "raw", tmp_path / "out", catalog, Options(limit=None), Silent())
        words = {
            re.sub(r"^(\(\w\) |The \w+ (is|contains) )?(an? )?", "", item).strip(". ")
            for row in read_rows(tmp_path / "out", task)
            for item in row["target"].split("; ")
        }
        assert words and not {word: other_name(word) for word in words if other_name(word)}, task
