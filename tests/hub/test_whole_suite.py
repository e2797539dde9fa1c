"""All 228 tasks go to the test Hub: it receives what each license allows, byte for byte, and every name.

What may go out is told here from the dataset.yaml files alone, not by the code that publishes. Compiling and
publishing everything takes more than half a minute of both cores, so `make test-publish` runs this and `make
test` does not: test_verdicts.py has a task of each kind.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import HfApi, constants

from tests.hub.searching import leaked
from tests.hub_server import HubServer
from tests.hub_server.client import ALICE
from tests.tasks.compiled import compile_all
from vision_flan.dataset.verification import verify
from vision_flan.hub.plan import Choices
from vision_flan.hub.publish import Publisher
from vision_flan.spec.catalog import Catalog

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("VFLAN_WHOLE_SUITE"), reason="make test-publish runs it"),
]
REPO, LIMIT = "ORG/vision-flan", 12
Row = dict[str, Any]


@dataclass
class Published:
    """The compiled folder, the files of the repository, and all that the server received."""

    out: Path
    files: dict[str, bytes]
    received: list[bytes]
    specs: dict[str, Row]
    tasks: dict[str, Row]

    def rows(self, task: str) -> list[Row]:
        """What was compiled."""
        return [row for path in sorted((self.out / task).glob("*.parquet")) for row in table(path)]

    def sent(self, task: str) -> list[Row]:
        """What is in the repository."""
        found = [name for name in sorted(self.files) if re.search(rf"(^|/){task}/[^/]+\.parquet$", name)]
        return [row for name in found for row in table(io.BytesIO(self.files[name]))]

    @property
    def public(self) -> dict[str, Row]:
        """The tasks that go out in some form: those whose annotations may be passed on."""
        return {
            task: spec
            for task, spec in self.tasks.items()
            if self.specs[spec["dataset"]]["license"]["annotations"]["verdict"] != "no"
        }

    def manifest(self, task: str) -> Row:
        return json.loads(self.files[f"manifest/{task}.json"])  # type: ignore[no-any-return]

    def terms(self, task: str) -> Row:
        """The license of a task's images as the YAML files have it, that of the lender where one is named."""
        dataset = self.specs[self.tasks[task]["dataset"]]
        terms = (self.tasks[task].get("license") or {}).get("images") or dataset["license"]["images"]
        return self.specs[terms["lender"]]["license"]["images"] if "lender" in terms else terms

    def allowed(self, task: str) -> set[str]:
        """The instances whose image may go out."""
        terms, everything = self.terms(task), {row["id"] for row in self.rows(task)}
        if terms["verdict"] not in ("yes", "per_image"):
            return set()
        if terms["verdict"] == "yes" and not terms.get("attribution"):
            return everything
        free = {str(value) for value in terms.get("per_image", {}).get("allowed", ())}
        listed = self.out / f"attribution/{task}.parquet"
        assert listed.exists(), f"{task}: the miniature has no list of authors"
        return {
            row["id"]
            for row in table(listed)
            if (terms["verdict"] == "yes" or row["license"] in free)
            and (not terms.get("attribution") or row["author"] or row["landing_url"])
        }


def table(file: Path | io.BytesIO) -> list[Row]:
    return pq.read_table(file).to_pylist()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Everything, published without any option."""
    base, catalog = tmp_path_factory.mktemp("whole"), Catalog.default()
    out = compile_all(base, LIMIT)
    specs = {name: yaml.safe_load(path.read_text("utf-8")) for name, path in catalog.dataset_files.items()}
    tasks = {name: yaml.safe_load(path.read_text("utf-8")) for name, path in catalog.task_files.items()}
    with HubServer(base / "hub", [ALICE]) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        publisher = Publisher(HfApi(endpoint=hub.url, token=ALICE.token), REPO, out, Choices())
        publisher.run(publisher.plan())
        yield Published(out, hub.files(REPO), hub.everything_received(), specs, tasks)


def test_every_task_is_there_and_the_folder_verifies(published: Published) -> None:
    assert len(published.tasks) == 228 and len(published.specs) == 124
    assert {Path(name).stem for name in published.files if name.startswith("manifest/")} == set(
        published.public
    )
    kept = set(published.tasks) - set(published.public)
    assert kept == {"eval_mme", "object_exdark"}
    assert not [name for name in published.files for task in kept if task in name]
    *_, (_, found) = verify(published.out)
    assert found.problems == []


def test_each_row_has_its_image_if_its_license_allows_it_and_else_none(published: Published) -> None:
    forms: dict[str, int] = {}
    for task in published.public:
        allowed = published.allowed(task)
        there = {row["id"]: row for row in published.sent(task)}
        rows = published.rows(task)
        assert set(there) == {row["id"] for row in rows}
        for row in rows:
            image = there[row["id"]].get("image")
            assert image == (row["image"] if row["id"] in allowed else None), row["id"]
        form = published.manifest(task)["published"]["form"]
        assert form == ("recipe" if not allowed else "whole" if len(allowed) == len(rows) else "mixed"), task
        forms[form] = forms.get(form, 0) + 1
    assert sum(forms.values()) == len(published.public) > 220
    assert min(forms.get(form, 0) for form in ("whole", "mixed", "recipe")) > 3


def test_no_byte_of_an_image_that_must_stay_is_received(published: Published) -> None:
    kept, gone = [], []
    for task in published.tasks:
        allowed = published.allowed(task)
        for row in published.rows(task):
            (gone if row["id"] in allowed else kept).append(bytes(row["image"]["bytes"]))
    assert len(kept) > 1000 and len(gone) > 300
    assert leaked(kept, gone, published.received) == []
    assert len(kept) - 1 in leaked(kept, gone, [kept[-1]]), "the search finds what is there"


def test_every_image_that_asks_for_its_author_has_one_beside_it(published: Published) -> None:
    asked = 0
    for task in published.public:
        terms, name = published.terms(task), f"attribution/{task}.parquet"
        needs = terms.get("attribution") or terms["verdict"] == "per_image"
        sent = published.manifest(task)["published"]["form"] != "recipe"
        assert (name in published.files) == bool(needs and sent), task
        if name in published.files:
            named = {row["id"]: row for row in table(io.BytesIO(published.files[name]))}
            with_image = {row["id"] for row in published.sent(task) if row["image"]}
            assert with_image <= set(named)
            assert all(named[one]["license_url"] or named[one]["license"] for one in with_image)
            if terms.get("attribution"):
                assert all(named[one]["author"] or named[one]["landing_url"] for one in with_image)
            asked += len(with_image)
    assert asked > 150


def test_every_notice_travels(published: Published) -> None:
    catalog, expected = Catalog.default(), {}
    for task, spec in published.public.items():
        if published.manifest(task)["published"]["form"] != "recipe":
            dataset = published.specs[spec["dataset"]]
            for slug in (spec["dataset"], *dataset.get("borrows", ())):
                for notice in published.specs[slug]["license"].get("notices", ()):
                    path = catalog.dataset_files[slug].parent / notice["file"]
                    expected[f"LICENSES/{slug}-{notice['file']}"] = path.read_bytes()
    there = {name: text for name, text in published.files.items() if name.startswith("LICENSES/")}
    assert there == expected and len(expected) >= 5


def test_every_source_and_every_lender_is_named_and_cited(published: Published) -> None:
    licenses, citations = (published.files[name].decode() for name in ("LICENSES.md", "CITATIONS.bib"))
    others = yaml.safe_load((Catalog.default().specs / "sources.yaml").read_text("utf-8"))
    keys = set(published.specs)
    for spec in published.specs.values():
        keys |= {*spec.get("borrows", ()), *spec.get("derived_from", ())}
    assert keys - set(published.specs) == set(others)  # nothing is listed that nobody uses
    named = {spec["dataset"] for spec in published.public.values()}
    for slug in set(named):
        named |= {*published.specs[slug].get("borrows", ()), *published.specs[slug].get("derived_from", ())}
    for key in named:
        about = published.specs.get(key) or others[key]
        homepage = about["homepage"]
        assert homepage in licenses or homepage.replace("~", "%7E") in licenses, key
        cited = re.match(r"\s*@\w+\s*\{\s*([^,\s]+)", about["citation"])
        assert cited and f"{{{cited[1]}," in citations, key
    for spec in (published.specs[task["dataset"]] for task in published.public.values()):
        for half in ("images", "annotations"):
            for evidence in spec["license"][half].get("evidence", ()):
                assert evidence["url"].split("?")[0] in licenses
