"""What was corrected in a dataset.yaml after compiling reaches every document at the next publish, without a
rebuild."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hub_server import HubServer
from tests.hub_server.publishing import REPO, Publish, actions
from tests.pets import TASK, pets_catalog, pets_raw
from vision_flan.build.compile import Options, compile_task
from vision_flan.hub.plan import UNCHANGED
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    compile_task(TASK, pets_raw(tmp_path / "raw"), out, pets_catalog(tmp_path / "specs"), Options(), Silent())
    return out


def corrected(folder: Path, **changes: Any) -> Catalog:
    """A catalog whose dataset `pets` differs in these keys."""
    catalog = pets_catalog(folder)
    path = catalog.dataset_files["pets"]
    data = {**yaml.safe_load(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps(data, default=str), "utf-8")
    return catalog


def license_with(**images: Any) -> dict[str, Any]:
    half = {"name": "CC BY 4.0", "spdx": "CC-BY-4.0", "verdict": "yes"}
    return {"images": {**half, **images}, "annotations": {**half, "verdict": "unclear"}}


CITATION = "@article{roe2031cats, title = {Cats}, author = {Roe, Richard}, year = {2031}}"
USE = {
    "train": "forbidden",
    "reason": "Its makers say so.",
    "evidence": [{"url": "https://example.org/use", "quote": "Do not train.", "seen": "2026-01-02"}],
}
WITHDRAWN = {"by": "its makers", "date": "2026-02-03", "evidence": USE["evidence"]}
#: What changes -> the documents that say so then, and in which words.
REACHES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "homepage": (
        {"homepage": "https://example.org/moved"},
        dict.fromkeys(("README.md", "LICENSES.md", "croissant.json"), "https://example.org/moved"),
    ),
    "title": (
        {"title": "Pets and Friends"},
        dict.fromkeys(("README.md", "LICENSES.md", "croissant.json"), "Pets and Friends"),
    ),
    "citation": ({"citation": CITATION}, {"CITATIONS.bib": "roe2031cats", "croissant.json": "roe2031cats"}),
    "languages": ({"languages": ["en", "nl"]}, {"README.md": "- nl\n", "croissant.json": '"nl"'}),
    "the name of the license": (
        {"license": license_with(name="CC BY-SA 4.0", spdx="CC-BY-SA-4.0")},
        dict.fromkeys(("README.md", "LICENSES.md", "croissant.json"), "CC BY-SA 4.0"),
    ),
    "evidence": (
        {"license": license_with(evidence=[{"url": "https://example.org/terms", "seen": "2026-03-04"}])},
        {"LICENSES.md": "https://example.org/terms"},
    ),
    "use": ({"use": USE}, {"README.md": "training is forbidden", "croissant.json": "training is forbidden"}),
    "withdrawn": ({"withdrawn": WITHDRAWN}, {"README.md": "withdrawn on 2026-02-03"}),
    "sensitive": ({"sensitive": ["faces"]}, {"README.md": "faces of people", "croissant.json": "faces of"}),
}


@pytest.mark.parametrize("what", REACHES)
def test_a_correction_reaches_the_documents_without_a_rebuild(
    hub: HubServer, publish: Publish, compiled: Path, tmp_path: Path, what: str
) -> None:
    before = {path: path.read_bytes() for path in compiled.rglob("*.parquet")}
    publish(compiled, catalog=pets_catalog(tmp_path / "specs"))
    changes, wanted = REACHES[what]
    for name, text in wanted.items():
        assert text not in hub.files(REPO)[name].decode()
    catalog = corrected(tmp_path / "now", **changes)
    plan = publish.plan(compiled, catalog=catalog)
    assert [change.uploads for change in plan.to_do] == [()], "the shards stay"
    publish(compiled, catalog=catalog)
    for name, text in wanted.items():
        assert text in hub.files(REPO)[name].decode(), name
    assert {path: path.read_bytes() for path in compiled.rglob("*.parquet")} == before
    assert actions(publish.plan(compiled, catalog=catalog)) == {TASK: UNCHANGED}


def test_access_that_was_closed_after_compiling_is_published_and_said(
    hub: HubServer, publish: Publish, compiled: Path, tmp_path: Path
) -> None:
    publish(compiled, catalog=corrected(tmp_path / "now", access="registration", how_to_get="Ask them."))
    assert json.loads(hub.files(REPO)[f"manifest/{TASK}.json"])["source"]["access"] == "registration"
    assert f"{TASK}: access corrected after compiling, it needs registration by now" in publish.said
    assert not [name for name in hub.files(REPO) if name.startswith("gallery/")], "not for everybody"


def test_what_limits_nothing_is_said_once_for_all_tasks(
    publish: Publish, compiled: Path, tmp_path: Path
) -> None:
    publish.plan(compiled, catalog=corrected(tmp_path / "now", citation=CITATION))
    assert f"citation as in the specs by now, newer than compiled: {TASK}" in publish.said
    assert "license corrected" not in publish.said


def test_a_catalog_that_allows_more_than_the_manifest_loosens_nothing(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    strict = {"access": "registration", "how_to_get": "Ask.", "sensitive": ["faces"], "use": USE}
    strict |= {"withdrawn": WITHDRAWN, "license": license_with(verdict="no")}
    out = tmp_path / "out"
    catalog = corrected(tmp_path / "strict", **strict)
    compile_task(TASK, pets_raw(tmp_path / "raw"), out, catalog, Options(), Silent())
    publish(out, catalog=pets_catalog(tmp_path / "open"))
    manifest = json.loads(hub.files(REPO)[f"manifest/{TASK}.json"])
    found = manifest["source"]
    assert (found["access"], found["sensitive"]) == ("registration", ["faces"])
    assert found["use"]["train"] == "forbidden" and found["withdrawn"]["by"] == "its makers"
    assert found["license"]["images"]["verdict"] == "no" and manifest["published"]["form"] == "recipe"


def test_annotations_that_must_stay_by_now_stay(
    hub: HubServer, publish: Publish, compiled: Path, tmp_path: Path
) -> None:
    license = license_with()
    license["annotations"]["verdict"] = "no"
    assert publish.plan(compiled, catalog=corrected(tmp_path / "now", license=license)).to_do == []
    assert f"{TASK}: stays here, its annotations must not be passed on" in publish.said


@pytest.mark.parametrize("place", ["file", "raw"])
def test_a_license_text_that_was_asked_for_after_compiling_travels_or_the_images_stay(
    hub: HubServer, publish: Publish, compiled: Path, tmp_path: Path, place: str
) -> None:
    catalog = corrected(tmp_path / "now", license={**license_with(), "notices": [{place: "NOTICE.txt"}]})
    (catalog.dataset_files["pets"].parent / "NOTICE.txt").write_text("Copyright Jane Doe")
    publish(compiled, catalog=catalog)
    there = hub.files(REPO)
    form = json.loads(there[f"manifest/{TASK}.json"])["published"]["form"]
    if place == "file":
        assert form == "whole" and there["LICENSES/pets-NOTICE.txt"] == b"Copyright Jane Doe"
    else:
        assert form == "recipe", "the text is in no raw folder at hand"
        assert "the notice pets-NOTICE.txt missing" in publish.said


def test_croissant_is_sent_only_when_what_it_says_changed(
    hub: HubServer, publish: Publish, compiled: Path, tmp_path: Path
) -> None:
    publish(compiled, catalog=pets_catalog(tmp_path / "specs"))
    evidence = [{"url": "https://example.org/terms", "seen": "2026-03-04"}]
    other_evidence = corrected(tmp_path / "evidence", license=license_with(evidence=evidence))
    for catalog, sent in (
        (other_evidence, {"LICENSES.md"}),
        (corrected(tmp_path / "title", title="Pets and Friends"), {"croissant.json"}),
    ):
        plan = publish.plan(compiled, catalog=catalog)
        assert plan.to_do and sent <= set(plan.changed_documents)
        assert ("croissant.json" in plan.changed_documents) == ("croissant.json" in sent)
        publish(compiled, catalog=catalog)
