from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import DATASET, TASK, Toy
from vision_flan.errors import SpecError
from vision_flan.spec.catalog import Catalog, load_labels
from vision_flan.spec.findings import as_annotations, as_text
from vision_flan.spec.schema import check_schema
from vision_flan.spec.text import parse_yaml


def findings(kind: str, text: str) -> list[str]:
    return as_text(check_schema(parse_yaml(text, Path("x.yaml")), kind)).splitlines()


def test_the_toy_specs_have_no_findings() -> None:
    assert findings("task", TASK) == []
    assert findings("dataset", DATASET) == []


def test_an_unknown_key_names_the_near_one() -> None:
    found = findings("task", TASK + "limt: 5\n")
    assert found == [
        "x.yaml:12:1: error: the spec has no key 'limt' [schema]",
        "    did you mean 'limit'?",
    ]


def test_all_findings_come_at_once_with_their_lines() -> None:
    text = TASK.replace("form: options", "form: option").replace("key: name\n", "")
    found = "\n".join(findings("task", text))
    line = text.splitlines().index("form: option") + 1
    assert f"x.yaml:{line}:1" in found and "did you mean 'options'?" in found
    assert "the spec lacks key" in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("table: records", "table: records\nsql: SELECT 1", "needs exactly one of: table or sql"),
        ("image: images/{{ name }}\n", "", "needs exactly one of: image or compose"),
        ("labels: colors}", "labels: colors, coutn: 3}", "options has no key 'coutn'"),
        ("form: options", "form: options\nderive: {f: {shufle: x}}", "derive.f"),
        ("form: options", "form: options\nlimit: 0", "limit"),
    ],
)
def test_task_specs_that_the_schema_refuses(old: str, new: str, message: str) -> None:
    assert old in TASK
    assert any(message in line for line in findings("task", TASK.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reader: json,", "reader: jsn,", "tables.records.reader"),
        ("reader: json,", "reader: lines,", "lacks line"),
        ('verdict: "yes"', "verdict: perhaps", "one of: yes, per_image, unclear, no"),
        ("access: direct", "access: free", "access"),
        ("0123456789abcdef0123456789abcdef", "0123", "files.0.md5"),
    ],
)
def test_dataset_specs_that_the_schema_refuses(old: str, new: str, message: str) -> None:
    assert old in DATASET
    text = "\n".join(findings("dataset", DATASET.replace(old, new)))
    assert message in text


def test_findings_as_annotations_of_a_pull_request() -> None:
    found = check_schema(parse_yaml(TASK + "limt: 5\n", Path("x.yaml")), "task")
    assert as_annotations(found).startswith(
        "::error file=x.yaml,line=12,col=1,title=schema::the spec has no key"
    )


def test_a_name_that_is_no_task_suggests_the_nearest(toy: Toy) -> None:
    with pytest.raises(SpecError) as caught:
        toy.catalog.task("toy_colour")
    assert "toy_color" in caught.value.hint


def test_label_tables_may_lie_beside_the_spec(toy: Toy) -> None:
    (toy.specs / "toy/colors.yaml").write_text("r: red\n1: one\nno: nothing\n")
    toy.write_specs(DATASET.replace("{r: red, g: green, b: blue, y: yellow}", "colors.yaml"))
    dataset = toy.catalog.dataset("toy")
    assert load_labels(dataset, dataset.folder) == {"colors": {"r": "red", "1": "one", "no": "nothing"}}
    assert list(toy.catalog.task_files) == ["toy_color"]


def test_a_label_table_is_flat(toy: Toy) -> None:
    (toy.specs / "toy/colors.yaml").write_text("r: [red]\n")
    toy.write_specs(DATASET.replace("{r: red, g: green, b: blue, y: yellow}", "colors.yaml"))
    dataset = toy.catalog.dataset("toy")
    with pytest.raises(SpecError, match="maps raw values to names"):
        load_labels(dataset, dataset.folder)


def test_suites_are_lists_of_tasks(toy: Toy) -> None:
    (toy.specs / "suites").mkdir()
    (toy.specs / "suites/small.yaml").write_text("title: Small\ntasks: [toy_color]\n")
    assert toy.catalog.suites == {"small": ("toy_color",)}


def test_the_specs_that_ship_are_found_from_anywhere() -> None:
    assert "ocr_textocr" in Catalog.default().task_files
