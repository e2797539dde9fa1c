"""`vflan licenses`, and the tables about licenses in the docs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.review.test_validate import catalog_in
from vision_flan.cli.main import vflan
from vision_flan.review.licenses import licenses_table
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.license import license_from


def test_a_page_that_states_no_license_is_shown_as_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = catalog_in(tmp_path)
    file = catalog.dataset_files["pets"]
    page = '{url: "https://example.org/readme", states_none: true, seen: 2026-01-02}'
    half = f"{{name: None stated, spdx: null, verdict: unclear, evidence: [{page}]}}"
    lines = file.read_text("utf-8").splitlines()
    start = lines.index("license:")
    end = next(i for i in range(start + 1, len(lines)) if not lines[i].startswith(" "))
    lines[start + 1 : end] = [f"  images: {half}", f"  annotations: {half}", "  note: Nobody asked."]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    monkeypatch.setattr(
        Catalog, "default", classmethod(lambda cls: Catalog(catalog.specs, catalog.instructions))
    )

    shown = CliRunner().invoke(vflan, ["licenses", "animal_pets"]).stdout
    assert shown.count("https://example.org/readme, seen 2026-01-02: no license stated") == 2
    (facts,) = json.loads(CliRunner().invoke(vflan, ["licenses", "animal_pets", "--json"]).stdout)
    assert facts["images"]["evidence"][0]["states_none"] is True
    table = licenses_table(Catalog(catalog.specs, catalog.instructions))
    assert "| unclear | 2 | 0 | 2 | 0 |\n" in table
    assert "[1](https://example.org/readme) (states none) |\n" in table


def test_a_manifest_keeps_that_a_page_states_no_license() -> None:
    entry = {"url": "https://example.org/readme", "states_none": True, "seen": "2026-01-02"}
    half = {"name": "None stated", "verdict": "unclear", "evidence": [entry]}
    (evidence,) = license_from({"images": half, "annotations": half}).images.evidence
    assert evidence.states_none and not evidence.quote


def test_every_work_that_datasets_are_made_from_has_been_looked_up() -> None:
    catalog = Catalog.default()
    for key in catalog.other_sources:
        work = catalog.source(key)
        assert work is not None and work.evidence, key
        assert all(bool(entry.quote) != entry.states_none and entry.seen for entry in work.evidence), key


def test_all_of_the_family_of_mscoco_take_its_terms_or_a_verdict_of_their_own() -> None:
    page = (Path(__file__).parents[2] / "docs/licenses.md").read_text("utf-8")
    assert "36 tasks take the terms of `mscoco`. 8 more have its images among others" in page
