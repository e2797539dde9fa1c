"""The gallery shows only what anybody may see, in the folder and in the repository."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.hub.test_publish_licenses import says_now
from tests.hub_server import HubServer
from tests.hub_server.compiled import SOURCE, compile_folder, compile_task, source
from tests.hub_server.publishing import REPO, Publish, actions
from vision_flan.cli.main import vflan
from vision_flan.dataset.card import write_card
from vision_flan.dataset.gallery import SHOWN, chosen, read_gallery
from vision_flan.dataset.manifest import read_manifests
from vision_flan.hub.plan import CHANGED, UNCHANGED, Choices
from vision_flan.spec.model import CATEGORIES


def gallery(hub: HubServer) -> list[str]:
    return sorted(path for path in hub.files(REPO) if path.startswith("gallery/"))


def licensed(**images: Any) -> dict[str, Any]:
    license = SOURCE["license"]
    return {**license, "images": {**license["images"], **images}}


NOT_SHOWN: Mapping[str, dict[str, Any]] = {
    "per_image": {"license": licensed(verdict="per_image", column="license", allowed=["CC0"])},
    "authors": {"license": licensed(attribution=True)},
    "unclear": {"license": licensed(verdict="unclear")},
    "restricted": {"license": licensed(verdict="no")},
    "no_derivatives": {"license": licensed(name="CC BY-ND 4.0", spdx="CC-BY-ND-4.0")},
    "faces": {"sensitive": ["faces"]},
    "registration": {"access": "registration"},
    "withdrawn": {"withdrawn": {"by": "its makers", "date": "2024-01-01", "evidence": []}},
    "forbidden": {"use": {"train": "forbidden", "reason": "no", "evidence": []}},
}


def test_a_whole_task_shows_an_instance_with_a_small_image(
    hub: HubServer, publish: Publish, folder: Path, transport: str
) -> None:
    publish(folder)
    assert gallery(hub) == ["gallery/ocr_one.jpg", "gallery/scene_two.jpg"]
    there = hub.files(REPO)
    with Image.open(io.BytesIO(there["gallery/ocr_one.jpg"])) as image:
        assert image.format == "JPEG" and max(image.size) <= 256
        assert not image.getexif() and "comment" not in image.info
    card = there["README.md"].decode()
    (row,) = re.findall(r"^\| !\[ocr one\]\(gallery/ocr_one.jpg\) .*$", card, re.M)
    assert "| prompt of 00000-of-00001-0<br>**target of 00000-of-00001-0**<br>`ocr_one`, from" in row
    assert actions(publish.plan(folder)) == {"ocr_one": UNCHANGED, "scene_two": UNCHANGED}


@pytest.mark.parametrize("why", NOT_SHOWN)
def test_no_image_is_shown_that_not_everybody_may_see(
    hub: HubServer, publish: Publish, tmp_path: Path, why: str
) -> None:
    folder = compile_folder(tmp_path / "out", {"ocr_one": "yes"})
    compile_task(folder, "z_other", source=source("other", **NOT_SHOWN[why]))
    write_card(folder)
    assert [path.name for path in folder.glob("gallery/*.jpg")] == ["ocr_one.jpg"]
    publish(folder, Choices(include_unclear=True, allowed={"z_other": "We took them."}))
    assert gallery(hub) == ["gallery/ocr_one.jpg"]
    assert "gallery/z_other" not in hub.files(REPO)["README.md"].decode()


@pytest.mark.parametrize("now", ["no", "unclear"])
def test_a_task_whose_license_was_corrected_loses_its_example_at_the_next_publish(
    hub: HubServer, publish: Publish, tmp_path: Path, now: str
) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "animal_pets", dataset="pets", redistribute="yes")
    publish(folder, catalog=says_now(tmp_path / "before", "yes"))
    assert gallery(hub) == ["gallery/animal_pets.jpg"]
    plan = publish.plan(folder, catalog=says_now(tmp_path / "now", now))
    (change,) = plan.to_do
    assert "gallery/animal_pets.jpg" in change.deletes
    publish(folder, catalog=says_now(tmp_path / "again", now))
    assert gallery(hub) == []
    published = json.loads(hub.files(REPO)["manifest/animal_pets.json"])["published"]
    assert published["example"] is None
    assert "gallery/" not in hub.files(REPO)["README.md"].decode()


def test_a_source_marked_as_sensitive_after_compiling_is_shown_no_more(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    compile_task(folder, "animal_pets", dataset="pets")
    publish(folder, catalog=says_now(tmp_path / "before", "yes"))
    catalog = says_now(tmp_path / "now", "yes")
    spec = catalog.dataset_files["pets"]
    text = re.sub(r"^sensitive:.*\n", "", spec.read_text("utf-8"), flags=re.M)
    spec.write_text(text + "\nsensitive: [faces]\n", "utf-8")
    publish(folder, catalog=catalog)
    assert gallery(hub) == []
    assert "animal_pets: marked after compiling: faces of people" in publish.said
    assert "- faces of people: `animal_pets`" in hub.files(REPO)["README.md"].decode()


def test_removing_a_task_removes_its_example(hub: HubServer, publish: Publish, folder: Path) -> None:
    publish(folder)
    publish(folder, Choices(remove=("ocr_one",)))
    assert gallery(hub) == ["gallery/scene_two.jpg"]


def test_a_rebuilt_task_shows_an_instance_of_its_new_shards(
    hub: HubServer, publish: Publish, folder: Path
) -> None:
    publish(folder)
    before = json.loads(hub.files(REPO)["manifest/ocr_one.json"])["published"]["example"]
    compile_task(folder, "ocr_one", shards=2)
    assert actions(publish.plan(folder))["ocr_one"] == CHANGED
    publish(folder)
    after = json.loads(hub.files(REPO)["manifest/ocr_one.json"])["published"]["example"]
    assert before["id"] == "ocr_one/00000-of-00001-0" and after["id"] == "ocr_one/00000-of-00002-0"


def test_the_same_shards_give_the_same_gallery(tmp_path: Path) -> None:
    one = compile_folder(tmp_path / "one", {"ocr_one": "yes", "scene_two": "yes"})
    two = compile_folder(tmp_path / "two", {"scene_two": "yes", "ocr_one": "yes"})
    for name in ("README.md", "gallery/ocr_one.jpg", "gallery/scene_two.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_missing_or_stale_example_is_found_by_verify_and_made_again_by_card(folder: Path) -> None:
    (folder / "gallery/ocr_one.jpg").unlink()
    (folder / "gallery/gone.jpg").write_bytes(b"of a task that was removed")
    assert CliRunner().invoke(vflan, ["verify", str(folder)]).exit_code == 1
    assert CliRunner().invoke(vflan, ["card", str(folder)]).exit_code == 0
    assert CliRunner().invoke(vflan, ["verify", str(folder)]).exit_code == 0
    assert sorted(path.name for path in folder.glob("gallery/*.jpg")) == ["ocr_one.jpg", "scene_two.jpg"]


def test_a_dozen_is_shown_from_as_many_categories_and_sources_as_there_are(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for at in range(SHOWN + 6):
        compile_task(
            folder,
            f"task_{at:02}",
            rows=1,
            dataset="same" if at < 10 else f"other{at}",
            category=CATEGORIES[0] if at < 16 else CATEGORIES[at],
        )
    write_card(folder)
    manifests = read_manifests(folder)
    examples = read_gallery(folder, manifests)
    found = chosen([(manifest, examples.get(task)) for task, manifest in manifests.items()])
    assert len(found) == SHOWN
    assert {manifest.category for manifest, _ in found} == {CATEGORIES[i] for i in (0, 16, 17)}
    assert len({manifest.dataset for manifest, _ in found}) == 1 + 8
    assert (folder / "README.md").read_text("utf-8").count("](gallery/") == SHOWN
