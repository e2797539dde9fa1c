"""A publication of miniatures sends what each verdict allows, image by image, and names everybody."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants

from tests.hub.lawful import CHECKS, Publication, Row, faults, leaks, of_tasks, wrong_rows
from tests.hub_server import HubServer
from tests.hub_server.publishing import REPO, Publish
from vision_flan.build.compile import Options, compile_task
from vision_flan.dataset.attribution import Credit
from vision_flan.dataset.manifest import verify
from vision_flan.hub import plan
from vision_flan.hub.plan import Choices
from vision_flan.hub.rehydrate import Rehydrator
from vision_flan.hub.waiting import Patience
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import Terms

FORMS = {
    "eval_mme": "nothing",  # the annotations must stay, too
    "caption_coco": "mixed",  # per image
    "anomaly_road": "mixed",  # per image, with authors
    "ocr_textocr": "mixed",  # yes, with authors; one image is in no list
    "scene_eurosat_land": "whole",  # yes, with a notice
    "face_lfw": "recipe",  # unclear
    "scene_300w": "recipe",  # no
    "caption_localized_narratives_flickr30k": "recipe",  # a task's own: as its lender
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Raw folder and compiled folder."""
    root, catalog = tmp_path_factory.mktemp("verdicts"), Catalog.default()
    raw, out = root / "raw", root / "vision-flan"
    for dataset in sorted({catalog.task(task).dataset for task in FORMS}):
        registry.make(dataset, raw, 40 if dataset == "textocr" else 24, 0)
    for task in FORMS:
        compile_task(task, raw, out, catalog, Options(limit=40), Silent())
    return raw, out


def rows_of(folder: Path, task: str) -> list[dict[str, object]]:
    return [
        row for file in sorted((folder / task).glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


@pytest.fixture
def sent(
    hub: HubServer, publish: Publish, compiled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """The files of the repository after a publication without any option."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    publish(compiled[1])
    return hub.files(REPO)


def publication(out: Path, hub: HubServer) -> Publication:
    return of_tasks(out, list(FORMS), hub.files(REPO), hub.everything_received())


def changed(content: bytes, change: Callable[[Row], None]) -> bytes:
    """A table with a change in each row."""
    before = pq.read_table(io.BytesIO(content))
    rows = before.to_pylist()
    for row in rows:
        change(row)
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, before.schema), out)
    return out.getvalue()


def with_rows(one: Publication, task: str, change: Callable[[Row], None]) -> Publication:
    """The same publication with a change in each row of a task."""
    shards = [name for name in one.files if re.search(rf"(^|/){task}/[^/]+\.parquet$", name)]
    return with_files(one, {name: changed(one.files[name], change) for name in shards})


def with_files(one: Publication, files: Mapping[str, bytes | None]) -> Publication:
    """The same publication with other files; None takes one away."""
    together = {name: text for name, text in {**one.files, **files}.items() if text is not None}
    return replace(one, files=together)


def without_line(one: Publication, name: str, words: str) -> Publication:
    lines = one.files[name].decode().splitlines(keepends=True)
    assert any(words in line for line in lines)
    return with_files(one, {name: "".join(line for line in lines if words not in line).encode()})


def test_each_verdict_sends_the_images_it_allows_and_no_byte_of_another(
    hub: HubServer, sent: dict[str, bytes], compiled: tuple[Path, Path]
) -> None:
    """And the checks behind that find each fault that is planted."""
    one = publication(compiled[1], hub)
    assert {task: one.form(task) for task in one.public} == {
        task: form for task, form in FORMS.items() if form != "nothing"
    }
    assert faults(one) == {}
    kept, free = one.rows("scene_300w")[0], one.rows("caption_coco")
    stays = next(row for row in free if row["id"] not in one.allowed("caption_coco"))

    def give_all(row: Row) -> None:
        row["image"] = stays["image"]

    def take_all(row: Row) -> None:
        row["image"] = None

    def forget_author(row: Row) -> None:
        row["author"] = row["landing_url"] = row["license_url"] = row["license"] = None

    image = bytes(kept["image"]["bytes"])
    credits = "attribution/ocr_textocr.parquet"
    notice = "LICENSES/eurosat-COPERNICUS.txt"
    planted = {
        "leaks": replace(one, received=[*one.received, b"before" + image + b"after"]),
        "wrong_rows": with_rows(one, "caption_coco", give_all),
        "wrong_rows ": with_rows(one, "caption_coco", take_all),
        "withheld_there": with_files(one, {"manifest/eval_mme.json": b"{}"}),
        "shown_in_galleries": with_files(one, {"gallery/caption_coco.jpg": image}),
        "without_author": with_files(one, {credits: None}),
        "without_author ": with_files(one, {credits: changed(one.files[credits], forget_author)}),
        "wrong_notices": with_files(one, {notice: None}),
        "wrong_notices ": with_files(one, {notice: b"We made it."}),
        "unnamed": without_line(one, "LICENSES.md", "| [ADE20K"),
        "unnamed ": without_line(one, "CITATIONS.bib", "kuznetsova2020open"),
        "doubts": with_files(one, {"LICENSES.md": one.files["LICENSES.md"] + b"MIT (recalled)"}),
    }
    for name, bad in planted.items():
        check = next(check for check in CHECKS if check.__name__ == name.strip())
        assert check(bad), name
    assert {name.strip() for name in planted} == {check.__name__ for check in CHECKS}


def test_one_license_that_is_read_wrongly_is_seen(
    hub: HubServer, publish: Publish, compiled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leak is in the decision about each image, so all that comes after it is as in a real one."""

    def careless(terms: Terms, credits: Iterable[Credit]) -> frozenset[str]:
        return frozenset(credit.id for credit in credits)

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(plan, "permitted", careless)
    publish(compiled[1])
    one = publication(compiled[1], hub)
    must_stay = {
        row["id"] for row in one.rows("anomaly_road") if row["id"] not in one.allowed("anomaly_road")
    }
    assert must_stay and must_stay <= set(wrong_rows(one))
    assert {f"anomaly_road {name}" for name in must_stay} <= set(leaks(one))


def test_authors_notices_and_lenders_are_named(sent: dict[str, bytes]) -> None:
    authors = pq.read_table(io.BytesIO(sent["attribution/ocr_textocr.parquet"])).to_pylist()
    assert all(row["author"] and row["landing_url"] and row["license_url"] for row in authors)
    assert "attribution/scene_300w.parquet" not in sent
    assert b"Patrick Helber" in sent["LICENSES/eurosat-LICENSE.txt"]
    assert b"Copernicus" in sent["LICENSES/eurosat-COPERNICUS.txt"]
    licenses, citations = sent["LICENSES.md"].decode(), sent["CITATIONS.bib"].decode()
    for lender in ("Open Images", "ADE20K", "MSCOCO", "Flickr30k"):
        assert f"[{lender}" in licenses
    assert "kuznetsova2020open" in citations and "zhou2017scene" in citations
    croissant = json.loads(sent["croissant.json"])
    assert "Open Images" in {work["name"] for work in croissant["prov:wasDerivedFrom"]}
    assert "faces of people" in croissant["rai:personalSensitiveInformation"]


def test_the_card_counts_the_images_of_mixed_configs(sent: dict[str, bytes]) -> None:
    card = sent["README.md"].decode()
    for task in ("caption_coco", "anomaly_road", "ocr_textocr"):
        about = json.loads(sent[f"manifest/{task}.json"])["published"]
        rows = sum(shard["rows"] for shard in about["shards"])
        assert f"mixed, {about['images']} of {rows} |" in card


def test_a_mixed_config_is_rehydrated(
    api: HfApi, sent: dict[str, bytes], compiled: tuple[Path, Path], tmp_path: Path
) -> None:
    raw, out = compiled
    again = Rehydrator(
        api, REPO, raw, tmp_path / "mine", Catalog.default(), Silent(), Patience(print, lambda seconds: None)
    )
    remote, tasks = again.tasks([])
    asked = {task for task, form in FORMS.items() if form in ("mixed", "recipe")}
    assert {task.task for task in tasks} == asked
    for task in tasks:
        if task.task == "caption_coco":
            again.run(remote, task)
    assert rows_of(tmp_path / "mine", "caption_coco") == rows_of(out, "caption_coco")


def test_without_the_list_of_authors_no_image_goes_out(
    publish: Publish, compiled: tuple[Path, Path], tmp_path: Path
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    registry.make("textocr", raw, 6, 0)
    for path in (raw / "textocr/open_images").iterdir():
        path.unlink()
    compile_task("ocr_textocr", raw, out, Catalog.default(), Options(), Silent())
    (change,) = publish.plan(out, Choices()).changes
    assert change.published is not None and change.published.publication.form == "recipe"
    assert "the authors of the images (textocr/open_images/{name}.csv) missing" in publish.said
    registry.make("textocr", tmp_path / "more", 6, 0)
    (tmp_path / "more/textocr/open_images").rename(raw / "textocr/open_images_")
    (raw / "textocr/open_images").rmdir()
    (raw / "textocr/open_images_").rename(raw / "textocr/open_images")
    result = compile_task("ocr_textocr", raw, out, Catalog.default(), Options(), Silent())
    assert not result.built and result.renewed
    (change,) = publish.plan(out, Choices()).changes
    assert change.published is not None and change.published.publication.form == "whole"
    assert all(not found.problems for _, found in verify(out))
