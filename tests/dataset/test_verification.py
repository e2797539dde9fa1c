"""`vflan verify`: tables of authors and notices are what the manifests say and what licenses ask for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub_server.compiled import compile_folder, compile_task, source
from vision_flan.build.compile import Options
from vision_flan.build.compile import compile_task as build
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.attribution import Credit, attribution_path, read_attribution, write_attribution
from vision_flan.dataset.manifest import manifest_path, read_manifests, write_atomically
from vision_flan.dataset.verification import verify
from vision_flan.miniatures import registry
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

TASK, TABLE = "ocr_textocr", "attribution/ocr_textocr.parquet"
NOTICE = "LICENSES/eurosat-LICENSE.txt"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with authors and one with notices."""
    root = tmp_path_factory.mktemp("verify")
    for dataset, task in (("textocr", TASK), ("eurosat", "scene_eurosat_land")):
        registry.make(dataset, root / "raw", 6, 0)
        build(task, root / "raw", root / "out", Catalog.default(), Options(), Silent())
    return root / "out"


@pytest.fixture
def folder(compiled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compiled, tmp_path / "out"))


def faults(folder: Path, tasks: list[str] | None = None) -> list[tuple[str, str]]:
    *_, (_, result) = verify(folder, tasks)
    return [(problem.path, problem.message) for problem in result.problems]


def test_what_was_compiled_verifies(folder: Path) -> None:
    assert faults(folder) == []


@pytest.mark.parametrize(
    ("path", "damage", "said"),
    [
        (TABLE, Path.unlink, f"is missing; compile {TASK} again"),
        (TABLE, lambda path: path.write_bytes(b"PAR1"), "has a different sha256 than in the manifest"),
        (NOTICE, Path.unlink, "is missing; compile scene_eurosat_land again"),
        (
            NOTICE,
            lambda path: path.write_text("none"),
            "differs from its manifest; compile scene_eurosat_land",
        ),
    ],
)
def test_a_lost_or_changed_file_is_named(
    folder: Path, path: str, damage: Callable[[Path], object], said: str
) -> None:
    damage(folder / path)
    ((named, message),) = faults(folder)
    assert named == path and message.startswith(said)


def rewritten(folder: Path, credits: list[Credit], rows: int | None = None) -> None:
    """The table of authors with these rows, and a manifest that names its bytes."""
    manifest = read_manifests(folder)[TASK]
    found, size, sha256 = write_attribution(attribution_path(folder, TASK), credits)
    facts = {"rows": found if rows is None else rows, "bytes": size, "sha256": sha256}
    write_atomically(manifest_path(folder, TASK), replace(manifest, attribution=facts).to_json())


def test_a_table_names_instances_of_its_config_each_once(folder: Path) -> None:
    credits = read_attribution(folder, read_manifests(folder)[TASK])
    rewritten(folder, [*credits, replace(credits[0], id="ocr_textocr/of another")])
    assert faults(folder) == [(TABLE, "names 'ocr_textocr/of another', which is no instance of the config")]
    rewritten(folder, [*credits, credits[0]])
    assert faults(folder) == [(TABLE, "names an instance twice")]
    rewritten(folder, credits, rows=99)
    assert faults(folder) == [(TABLE, f"has {len(credits)} rows, the manifest says 99")]


def test_a_table_that_the_license_asks_for_is_missed_if_nothing_says_why(folder: Path) -> None:
    manifest = read_manifests(folder)[TASK]
    attribution_path(folder, TASK).unlink()
    write_atomically(manifest_path(folder, TASK), replace(manifest, attribution={}).to_json())
    ((path, message),) = faults(folder)
    assert path == TABLE and message.startswith("is missing, and the license asks for it")
    without = replace(manifest, attribution={"missing": ["textocr/open_images/{name}.csv"]})
    write_atomically(manifest_path(folder, TASK), without.to_json())
    assert faults(folder) == []


def test_a_table_of_no_config_or_of_none_that_asks_for_it_is_named(tmp_path: Path) -> None:
    folder = compile_folder(tmp_path / "out", {"ocr_one": "yes"})
    for name in ("ocr_one", "ocr_gone"):
        write_attribution(attribution_path(folder, name), [])
    assert faults(folder) == [
        ("attribution/ocr_one.parquet", "is not in the manifest"),
        ("attribution/ocr_gone.parquet", "belongs to no config here"),
    ]
    assert faults(folder, ["ocr_one"]) == [("attribution/ocr_one.parquet", "is not in the manifest")]


def test_the_command_shows_them_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attribution_path(folder, TASK).unlink()
    assert run(vflan, ["verify", str(folder), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["task"] == TASK and problem["path"] == TABLE


def test_manifests_of_earlier_versions_ask_for_nothing(tmp_path: Path) -> None:
    license = {"name": "CC BY 4.0", "spdx": "CC-BY-4.0", "redistribute_images": "yes", "note": ""}
    compile_task(tmp_path, "ocr_one", source=source("one", license=license))
    assert [path for path, _ in faults(tmp_path)] == ["README.md"]
