"""Licenses decide what is uploaded, and the card says so."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.hub_server.compiled import compile_folder, compile_task, marker, source
from tests.hub_server.publishing import REPO, Publish
from tests.pets import pets_catalog
from vision_flan.dataset.front_matter import parsed
from vision_flan.hub.plan import Choices
from vision_flan.hub.warnings import warnings
from vision_flan.spec.catalog import Catalog


def test_licenses_decide_what_goes_out_whole(publish: Publish, tmp_path: Path) -> None:
    licenses = {"a_yes": "yes", "b_unclear": "unclear", "c_no": "no"}
    folder = compile_folder(tmp_path / "out", licenses)

    def forms(choices: Choices) -> dict[str, str]:
        plan = publish.plan(folder, choices)
        return {c.task: c.published.publication.form for c in plan.changes if c.published}

    assert forms(Choices()) == {"a_yes": "whole", "b_unclear": "recipe", "c_no": "recipe"}
    assert forms(Choices(include_unclear=True)) == {"a_yes": "whole", "b_unclear": "whole", "c_no": "recipe"}
    assert forms(Choices(allowed={"c_no": "we took them"})) == {
        "a_yes": "whole",
        "b_unclear": "recipe",
        "c_no": "whole",
    }


def test_no_byte_of_a_restricted_image_is_sent(
    hub: HubServer, publish: Publish, tmp_path: Path, transport: str
) -> None:
    folder = compile_folder(tmp_path / "out", {"a_yes": "yes", "b_unclear": "unclear", "c_no": "no"})
    publish(folder)
    kept = b"".join(hub.everything_received())
    for row in range(4):
        key = f"00000-of-00001-{row}"
        assert marker(f"a_yes 1 {key}")[-64:] in kept
        for task in ("b_unclear", "c_no"):
            noise = marker(f"{task} 1 {key}")
            assert not any(noise[at : at + 16] in kept for at in range(0, len(noise) - 16, 16))


def says_now(folder: Path, license: str) -> Catalog:
    """A catalog in which the license of the dataset `pets` says this of its images."""
    catalog = pets_catalog(folder)
    spec = catalog.dataset_files["pets"]
    text = spec.read_text("utf-8").replace('verdict: "yes"', f'verdict: "{license}"')
    spec.write_text(text, "utf-8")
    return catalog


def test_no_byte_of_an_image_is_sent_whose_license_was_corrected_after_compiling(
    hub: HubServer, publish: Publish, tmp_path: Path, transport: str
) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "animal_pets", dataset="pets", redistribute="yes")
    publish(folder, catalog=says_now(tmp_path / "specs", "no"))
    kept = b"".join(hub.everything_received())
    for row in range(4):
        noise = marker(f"animal_pets 1 00000-of-00001-{row}")
        assert not any(noise[at : at + 16] in kept for at in range(0, len(noise) - 16, 16))
    assert "animal_pets: license corrected after compiling, yes -> no" in publish.said
    manifest = json.loads(hub.files(REPO)["manifest/animal_pets.json"])
    assert manifest["source"]["license"]["images"]["verdict"] == "no"
    assert manifest["published"]["form"] == "recipe" and manifest["published"]["license"] == "no"
    assert not publish.plan(folder, catalog=says_now(tmp_path / "again", "no")).to_do


@pytest.mark.parametrize("compiled", ["yes", "unclear", "no"])
@pytest.mark.parametrize("now", ["yes", "unclear", "no"])
def test_the_stricter_of_two_licenses_decides(
    publish: Publish, tmp_path: Path, compiled: str, now: str
) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "animal_pets", dataset="pets", redistribute=compiled)
    (change,) = publish.plan(folder, catalog=says_now(tmp_path / "specs", now)).changes
    assert change.published is not None
    assert change.published.publication.license == max(compiled, now, key=["yes", "unclear", "no"].index)
    corrected = (compiled, now) in [("yes", "unclear"), ("yes", "no"), ("unclear", "no")]
    assert ("license corrected after compiling" in publish.said) == corrected


def test_images_on_the_hub_leave_when_the_license_is_corrected(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder, rest = tmp_path / "out", tmp_path / "rest"
    compile_task(folder, "animal_pets", dataset="pets", redistribute="yes")
    compile_task(rest, "ocr_one")
    publish(folder, catalog=says_now(tmp_path / "before", "yes"))
    now = says_now(tmp_path / "now", "no")
    (warning,) = warnings(publish.plan(rest, catalog=now), Choices(), now)
    assert warning.startswith("on the Hub with images, but the license was corrected since: animal_pets;")
    publish(folder, catalog=now)
    assert [path for path in hub.files(REPO) if path.endswith(".parquet")] == [
        "recipe/animal_pets/train-00000-of-00001.parquet"
    ]
    assert warnings(publish.plan(rest, catalog=now), Choices(), now) == []


def test_a_recipe_has_every_column_but_the_image_and_its_checksum_path_and_size(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    import hashlib

    import pyarrow.parquet as pq

    folder = compile_folder(tmp_path / "out", {"c_no": "no"})
    publish(folder)
    recipe = pq.read_table(
        io.BytesIO(hub.files(REPO)["recipe/c_no/train-00000-of-00001.parquet"])
    ).to_pylist()
    whole = pq.read_table(folder / "c_no/train-00000-of-00001.parquet").to_pylist()
    for short, full in zip(recipe, whole, strict=True):
        image = full.pop("image")
        facts = {name: short.pop(name) for name in list(short) if name.startswith("image_")}
        assert short == full
        assert facts == {
            "image_path": image["path"],
            "image_sha256": hashlib.sha256(image["bytes"]).hexdigest(),
            "image_width": 8,
            "image_height": 6,
        }


def test_the_card_says_who_allowed_a_restricted_task_and_which_licenses_are_unclear(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "out", {"b_unclear": "unclear", "c_no": "no", "d_no": "no"})
    choices = Choices(include_unclear=True, allowed={"c_no": "I took the images myself"})
    publish(folder, choices)
    there = hub.files(REPO)
    for name in ("README.md", "LICENSES.md"):
        assert "`c_no`: I took the images myself" in there[name].decode()
    assert "whole, license unclear |" in there["README.md"].decode()
    assert "here by the\ndecision of the publisher" in there["README.md"].decode()
    assert "| D No" not in there["LICENSES.md"].decode()
    assert "Ask | the authors." in there["LICENSES.md"].decode()


def test_taking_images_back_warns_that_history_keeps_them(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = compile_folder(tmp_path / "out", {"b_unclear": "unclear"})
    publish(folder, Choices(include_unclear=True))
    plan = publish.plan(folder)
    assert any("stay in earlier commits" in line for line in warnings(plan, Choices(), Catalog.default()))
    publish(folder)
    assert "b_unclear/train-00000-of-00001.parquet" not in hub.files(REPO)
    assert "recipe/b_unclear/train-00000-of-00001.parquet" in hub.files(REPO)


def test_people_and_gated_sources_suggest_gating(publish: Publish, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "facial_a", source=source("a", sensitive=["faces"], access="gated"))
    plan = publish.plan(folder)
    said = " ".join(warnings(plan, Choices(), Catalog.default()))
    assert "--gated auto" in said and "--gated manual" in said
    assert warnings(plan, Choices(gated="manual"), Catalog.default()) == []


def test_a_gated_publish_asks_readers_in_the_card_and_in_the_settings(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder, Choices(gated="auto", private=True))
    assert hub.repo(REPO).gated == "auto" and hub.repo(REPO).private
    front = parsed(hub.files(REPO)["README.md"].decode())
    assert "follow the license" in front["extra_gated_prompt"]
