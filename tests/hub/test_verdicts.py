"""A publication of miniatures sends what each verdict allows, image by image, and names everybody."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants

from tests.hub_server import HubServer
from tests.hub_server.publishing import REPO, Publish
from vision_flan.build.compile import Options, compile_task
from vision_flan.dataset.manifest import verify
from vision_flan.hub.plan import Choices
from vision_flan.hub.rehydrate import Rehydrator
from vision_flan.hub.waiting import Patience
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

FORMS = {
    "caption_coco": "mixed",  # per image
    "anomaly_road": "mixed",  # per image, with authors
    "ocr_textocr": "mixed",  # yes, with authors; one image is in no list
    "scene_eurosat_land": "whole",  # yes, with a notice
    "face_lfw": "recipe",  # unclear
    "scene_300w": "recipe",  # no
    "caption_localized_narratives_flickr30k": "recipe",  # a task's own: as its lender
}
Rows = dict[str, list[dict[str, object]]]


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


def published(sent: dict[str, bytes], task: str) -> list[dict[str, object]]:
    shards = [sent[path] for path in sorted(sent) if path.endswith(".parquet") and f"{task}/" in path]
    return [row for shard in shards for row in pq.read_table(io.BytesIO(shard)).to_pylist()]


def test_each_verdict_sends_the_images_it_allows_and_no_byte_of_another(
    hub: HubServer, sent: dict[str, bytes], compiled: tuple[Path, Path]
) -> None:
    kept = b"".join(hub.everything_received())
    gone = [
        bytes(row["image"]["bytes"])  # type: ignore[index]
        for task, form in FORMS.items()
        for row in rows_of(compiled[1], task)
        if form == "whole" or row["id"] in allowed_rows(compiled[1], task)
    ]
    looked_for = 0
    for task, form in FORMS.items():
        assert json.loads(sent[f"manifest/{task}.json"])["published"]["form"] == form
        there = {row["id"]: row for row in published(sent, task)}
        full = rows_of(compiled[1], task)
        assert set(there) == {row["id"] for row in full}
        allowed = allowed_rows(compiled[1], task)
        images = {str(row["id"]): bytes(row["image"]["bytes"]) for row in full}  # type: ignore[index]
        for name, content in images.items():
            goes = form == "whole" or name in allowed
            assert bool(there[name].get("image")) == goes
            pieces = [content] if goes else pieces_of_its_own(content, gone)
            assert all((piece in kept) == goes for piece in pieces), name
            looked_for += 0 if goes else len(pieces)
        if form == "mixed":
            assert 0 < len(allowed) < len(full)
    assert looked_for > 1000


def pieces_of_its_own(content: bytes, others: list[bytes]) -> list[bytes]:
    """Pieces of an image that stand in none of the others; drawings share their flat parts."""
    pieces = [content[at : at + 48] for at in range(640, len(content) - 48, 48)]
    return [piece for piece in pieces if not any(piece in other for other in others)]


def allowed_rows(out: Path, task: str) -> set[str]:
    """What may go out, from the attribution table and the words of each license."""
    path = out / "attribution" / f"{task}.parquet"
    if FORMS[task] != "mixed":
        return set()
    table = pq.read_table(path).to_pylist()
    free = {"4", "5", "7", "8", "CC BY-SA 4.0", "CC0", "public domain"}
    return {row["id"] for row in table if task == "ocr_textocr" or row["license"] in free}


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
    assert {task.task for task in tasks} == {task for task, form in FORMS.items() if form != "whole"}
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
