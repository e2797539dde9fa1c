"""Card, licenses, citations and Croissant: what a reader of the published dataset finds."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import mlcroissant
import numpy as np
import pytest
import yaml
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from PIL import Image

from tests.hub_server.compiled import compile_task, source
from tests.review.phone import on_phone
from vision_flan.dataset.card import render_card, render_published_card
from vision_flan.dataset.croissant import croissant
from vision_flan.dataset.front_matter import parsed, size_category
from vision_flan.dataset.licenses import citations_bib, licenses_md
from vision_flan.dataset.manifest import read_manifests
from vision_flan.dataset.plot import PLOT, by_category, plot
from vision_flan.dataset.publication import (
    RECIPE,
    PublishedTask,
    decide,
    form_schema,
    write_recipes,
)

REPO = "ORG/vision-flan"


@pytest.fixture
def tasks(tmp_path: Path) -> dict[str, PublishedTask]:
    """Three sources: one whole, one unclear, one with faces, published as a recipe."""
    folder = tmp_path / "out"
    compile_task(folder, "ocr_textocr", rows=3)
    compile_task(folder, "scene_b", redistribute="unclear", dataset="b")
    compile_task(folder, "facial_c", redistribute="no", source=source("c", "no", sensitive=["faces"]))
    found = {}
    for name, manifest in read_manifests(folder).items():
        publication = decide(manifest, include_unclear=True, allowed={})
        if publication.form == "recipe":
            facts = tuple(f for _, f in write_recipes(folder, manifest, tmp_path / "cache"))
            publication = type(publication)(publication.form, publication.license, "", facts)
        found[name] = PublishedTask(manifest, publication)
    return found


def card(tasks: Mapping[str, PublishedTask]) -> str:
    return render_published_card(tasks, REPO, gated=False, kept={})


def test_the_front_matter_names_configs_files_and_counts(tasks: dict[str, PublishedTask]) -> None:
    front = parsed(card(tasks))
    assert front == yaml.safe_load(card(tasks).split("---\n")[1])  # the same with the Python loader
    assert [c["config_name"] for c in front["configs"]] == ["all", "facial_c", "ocr_textocr", "scene_b"]
    assert front["configs"][1]["data_files"] == [
        {"split": "train", "path": "recipe/facial_c/train-*.parquet"}
    ]
    infos = {info["config_name"]: info for info in front["dataset_info"]}
    assert infos["ocr_textocr"]["splits"][0]["num_examples"] == 3
    assert "/LICENSES.md" in front["license_link"] and front["license"] == "other"
    assert front["size_categories"] == ["n<1K"] and front["source_datasets"] == ["b", "c", "textocr"]


def test_the_default_config_is_all_tasks_that_have_images(tasks: dict[str, PublishedTask]) -> None:
    front = parsed(card(tasks))
    (default,) = (c for c in front["configs"] if c.get("default"))
    assert default["config_name"] == "all"
    assert default["data_files"] == [{"split": "train", "path": "*/train-*.parquet"}]  # recipes lie deeper
    infos = {info["config_name"]: info for info in front["dataset_info"]}
    whole = [infos["ocr_textocr"], infos["scene_b"]]
    for key in ("download_size", "dataset_size"):
        assert infos["all"][key] == sum(info[key] for info in whole)
    assert infos["all"]["splits"][0]["num_examples"] == sum(i["splits"][0]["num_examples"] for i in whole)


def test_recipes_alone_have_no_config_of_all(tasks: dict[str, PublishedTask]) -> None:
    front = parsed(card({"facial_c": tasks["facial_c"]}))
    assert [(c["config_name"], c["default"]) for c in front["configs"]] == [("facial_c", True)]


def test_the_hubs_own_card_class_reads_the_front_matter(tasks: dict[str, PublishedTask]) -> None:
    data = DatasetCard(card(tasks)).data
    assert data.license == "other" and data.language == ["en"] and data.pretty_name == "Vision-Flan"


def test_the_body_lists_every_task_under_its_category_with_counts_license_and_link(
    tasks: dict[str, PublishedTask],
) -> None:
    text = card(tasks)
    for name, task in tasks.items():
        (row,) = (line for line in text.splitlines() if f"<br>[`{name}`](" in line)
        assert row.startswith(f"| {task.manifest.title}<br>")
        assert f"| {task.rows} |" in row and task.publication.form in row
        assert "](https://example.org/source)" in row
        heading = text[: text.index(row)].rindex("### ")
        assert text[heading:].startswith(f"### {task.manifest.category}\n")


def test_the_body_has_the_sections_a_reader_looks_for(tasks: dict[str, PublishedTask]) -> None:
    headings = re.findall(r"^## (.*)$", card(tasks), re.M)
    assert headings == [
        "Mixing and training",
        "Tasks",
        "Columns",
        "Tasks without images",
        "How it was built",
        "Known issues and biases",
        "Personal and sensitive information",
        "Published with care",
        "Contact and takedown",
        "How to cite",
    ]
    assert "- faces of people: `facial_c`" in card(tasks)


def test_the_first_screen_says_how_much_there_is_and_how_to_load_it(
    tasks: dict[str, PublishedTask],
) -> None:
    first = card(tasks).partition("\n## ")[0]
    assert "| tasks | 3 (2 whole, 1 without all images) |\n|---|---:|\n" in first
    names = ("instances", "distinct images", "tokens of answers", "size")
    rows, images, tokens, size = (re.findall(rf"^\| {name} \| (.*) \|$", first, re.M)[0] for name in names)
    assert int(rows) == int(images) == sum(task.rows for task in tasks.values()) == 11
    texts = [f"target of 00000-of-00001-{row}" for row in (0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3)]
    assert int(tokens) == sum(len(re.findall(r"[a-z0-9]+|-", text)) for text in texts)
    assert re.fullmatch(r"[\d.,]+ [kKMG]?i?B|[\d,]+ bytes", size)
    assert "(https://github.com/vision-flan/vision-flan)" in first
    assert len(re.findall("^```python", first, re.M)) == 2, "all tasks, and one"


def test_what_was_not_counted_when_compiled_is_not_guessed(tasks: dict[str, PublishedTask]) -> None:
    old = tasks["scene_b"]
    text = card({**tasks, "scene_b": replace(old, manifest=replace(old.manifest, contents={}))})
    assert (
        "| instances | 11 |\n| distinct images | not counted |\n| tokens of answers | not counted |" in text
    )


def test_a_row_of_a_task_leads_to_its_rows_on_the_hub(tasks: dict[str, PublishedTask]) -> None:
    text = card(tasks)
    for name, task in tasks.items():
        (row,) = re.findall(rf"^\| [^|]*`{name}`.*$", text, re.M)
        assert f"<br>[`{name}`](https://huggingface.co/datasets/{REPO}/viewer/{name}/train)" in row
        assert row.split(" | ")[1:3] == [str(task.rows)] * 2, "instances and distinct images"


def test_the_published_name_stands_under_the_title(tasks: dict[str, PublishedTask]) -> None:
    one = tasks["scene_b"]
    text = card({**tasks, "scene_b": replace(one, manifest=replace(one.manifest, alias="Scene+B"))})
    assert re.search(r"^\| scene b<br>\[`scene_b`\]\([^)]*\)<br>Scene\+B \| ", text, re.M)


def test_a_reader_finds_whom_to_ask_for_a_takedown_and_how_to_export(tasks: dict[str, PublishedTask]) -> None:
    text = card(tasks)
    assert f"https://huggingface.co/datasets/{REPO}/discussions" in text
    assert f"vflan export {REPO} --format trl" in text
    assert f"]({PLOT})" in text


def test_the_plot_has_two_bars_a_category_and_is_the_same_each_time(tasks: dict[str, PublishedTask]) -> None:
    one = tasks["ocr_textocr"]
    odd = PublishedTask(replace(one.manifest, category="Unknown", task="zz"), one.publication)
    counts = by_category({**tasks, "zz": odd})
    assert list(counts)[-1] == "Unknown"
    assert plot(dict(reversed(tasks.items()))) == plot(tasks)
    with Image.open(io.BytesIO(plot({**tasks, "zz": odd}))) as image:
        assert (image.format, image.width) == ("PNG", 960)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    for color in ((0x4C, 0x78, 0xA8), (0xB8, 0x5C, 0x00)):
        same = (np.abs(pixels - color).max(axis=2) < 12).any(axis=1)
        assert np.count_nonzero(same[1:] & ~same[:-1]) == len(counts)


def test_the_first_table_and_the_page_fit_a_phone(tasks: dict[str, PublishedTask], tmp_path: Path) -> None:
    """With a style as the Hub's: tables and code scroll within the page, and words break."""
    text = re.sub(r"!\[.*?\]\(.*?\)", "", card(tasks).split("---\n", 2)[2])  # the plot is not there
    page = MarkdownIt("commonmark").enable("table").render(text)
    style = "body{overflow-wrap:break-word} table,pre{display:block;max-width:100%;overflow:auto}"
    file = tmp_path / "card.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{page}", "utf-8")
    with on_phone(file) as shown:
        table = shown.locator("table").first
        assert table.evaluate("table => table.scrollWidth <= table.clientWidth")
        assert "1 without all images" in table.inner_text()


def test_the_contact_stands_where_a_takedown_is_asked_for(tasks: dict[str, PublishedTask]) -> None:
    def said(contact: object) -> str:
        text = render_published_card(tasks, REPO, gated=False, kept={"contact": contact})
        return text.partition("## Contact and takedown")[2].partition("## ")[0]

    assert "Write to [me@example.org](mailto:me@example.org), or open" in said("me@example.org")
    assert "<https://example.org/a>" in said("https://example.org/a")
    assert "&#60;script&#62;" in said("<script>") and "<script" not in said("<script>")
    assert "Open a [discussion]" in said(None)


def test_no_line_of_a_table_is_broken_by_what_sources_are_called(
    tasks: dict[str, PublishedTask], tmp_path: Path
) -> None:
    compile_task(tmp_path / "odd", "odd_d", source=source("d", title="A | B\nC"))
    manifest = read_manifests(tmp_path / "odd")["odd_d"]
    tasks["odd_d"] = PublishedTask(manifest, decide(manifest, include_unclear=False, allowed={}))
    for text in (card(tasks), licenses_md(tasks)):
        assert r"[A \| B C](https" in text
        assert not re.search(r"^\|.*[^|\n]$", text, re.M)


def test_the_card_of_a_folder_on_disk_points_at_the_folder(tmp_path: Path) -> None:
    compile_task(tmp_path, "ocr_textocr", redistribute="no")
    text = render_card(read_manifests(tmp_path))
    assert 'load_dataset("vision-flan", "ocr_textocr"' in text
    assert parsed(text)["configs"][1]["data_files"][0]["path"] == "ocr_textocr/train-*.parquet"


def test_licenses_have_a_row_a_source_with_a_link_and_the_form(tasks: dict[str, PublishedTask]) -> None:
    text = licenses_md(tasks)
    assert (
        "| [C](https://example.org/source) | images: non-commercial research only; annotations: "
        "[CC BY 4.0](https://spdx.org/licenses/CC-BY-4.0.html) | no | recipe | `facial_c` |" in text
    )
    assert (
        "| [Textocr](https://example.org/source) | [CC BY 4.0](https://spdx.org/licenses/CC-BY-4.0.html) "
        "| yes | whole | `ocr_textocr` |" in text
    )
    assert "- **C** (`c`): Ask | the authors." in text


def test_citations_hold_the_paper_and_every_source_once(
    tasks: dict[str, PublishedTask], tmp_path: Path
) -> None:
    compile_task(tmp_path / "more", "scene_b_again", dataset="b")
    compile_task(tmp_path / "more", "plain_e", source=source("e", citation="E et al., 2020"))
    for manifest in read_manifests(tmp_path / "more").values():
        tasks[manifest.task] = PublishedTask(manifest, decide(manifest, include_unclear=True, allowed={}))
    keys = re.findall(r"^@\w+\{([^,]+),", citations_bib(tasks), re.M)
    assert keys == ["xu2024visionflan", "b", "c", "e", "textocr"]
    assert "note  = {E et al., 2020}" in citations_bib(tasks)


def test_croissant_is_valid_with_all_configs_licenses_and_citations(
    tasks: dict[str, PublishedTask], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(croissant(tasks, REPO)))
    with caplog.at_level(logging.WARNING):
        metadata = mlcroissant.Dataset(str(path)).metadata
    assert not metadata.issues.errors
    assert "is not standard" not in caplog.text
    # A date would make two publishes of the same tasks differ; the Hub shows that of the commit.
    assert [text for text in metadata.issues.warnings if "datePublished" not in text] == []
    assert [record_set.uuid for record_set in metadata.record_sets] == list(tasks)
    assert len(metadata.license) == 3
    fields = {f.name for f in metadata.record_sets[0].fields}
    assert "image" not in fields and "image_sha256" in fields
    assert all("@misc{" in str(record_set.description) for record_set in metadata.record_sets)


@pytest.mark.slow
def test_croissant_is_valid_for_187_configs(tasks: dict[str, PublishedTask], tmp_path: Path) -> None:
    task = tasks["ocr_textocr"]
    many = {}
    for at in range(187):
        manifest = replace(task.manifest, task=f"task_{at}", dataset=f"d{at % 124}")
        many[manifest.task] = replace(task, manifest=manifest)
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(croissant(many, REPO)))
    metadata = mlcroissant.Dataset(str(path)).metadata
    assert not metadata.issues.errors
    assert len(metadata.record_sets) == 187 and len(metadata.license) == 124


def test_the_schema_of_a_recipe_carries_its_features(tasks: dict[str, PublishedTask]) -> None:
    features = json.loads(form_schema(RECIPE).metadata[b"huggingface"])["info"]["features"]
    assert list(features) == form_schema(RECIPE).names


def test_size_categories_are_the_hubs() -> None:
    assert [size_category(n) for n in (10, 5_000, 1_664_000, 20_000_000)] == [
        "n<1K",
        "1K<n<10K",
        "1M<n<10M",
        "10M<n<100M",
    ]


@pytest.mark.parametrize(
    "block",
    [
        "---\na: 1\n---\ntext",
        "---\r\na: 1\r\n---\r\ntext",
        "\n---\na: 1\n---\ntext",
        "---\na: 1\n---",
        "---\na: 1\n---  \nx",
    ],
)
def test_front_matter_is_found_as_the_hubs_client_finds_it(block: str) -> None:
    assert parsed(block) == {"a": 1} == DatasetCard(block).data.to_dict()


def test_front_matter_that_cannot_be_read_is_an_error_and_not_lost() -> None:
    assert parsed("# no block") == parsed("---\n\n---\n") == {}
    for broken in ("---\n[: \n---\n", "---\n- a\n---\n"):
        with pytest.raises(ValueError, match="the front matter is not"):
            parsed(broken)


def test_what_a_person_wrote_into_the_front_matter_stays(tasks: dict[str, PublishedTask]) -> None:
    kept = {
        "tags": ["ours-too", "vision-flan"],
        "license": "cc-by-nc-4.0",
        "pretty_name": "Our mixture",
        "task_categories": ["other"],
        "arxiv": "2402.11690",
        "configs": [{"config_name": "old"}],
        "size_categories": ["n>1T"],
    }
    front = parsed(render_published_card(tasks, REPO, gated=False, kept=kept))
    assert {"ours-too", "vision-flan", "multimodal"} <= set(front["tags"])
    assert len(front["tags"]) == len(set(front["tags"]))
    assert (front["license"], front["pretty_name"]) == ("cc-by-nc-4.0", "Our mixture")
    assert {"other", "image-text-to-text"} <= set(front["task_categories"])
    assert front["arxiv"] == "2402.11690" and front["size_categories"] == ["n<1K"]
    assert "old" not in [config["config_name"] for config in front["configs"]]
    assert parsed(render_published_card(tasks, REPO, gated=False, kept=front)) == front
