"""`vflan new`: what it writes is valid as it stands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pets import pets_catalog
from vision_flan.cli.main import run, vflan
from vision_flan.errors import ExitCode, MachineError, SpecError
from vision_flan.review.scaffold import begin
from vision_flan.review.validate import SCHEMA_COMMENT_ELSEWHERE, validate
from vision_flan.spec.catalog import Catalog


def fresh(catalog: Catalog) -> Catalog:
    """The same folders, read again."""
    return Catalog(catalog.specs, catalog.instructions)


def test_a_new_dataset_and_task_are_valid_at_once(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "task_specs", tmp_path / "instructions")
    files = begin(catalog, "snails", "animal_snails")
    assert [path.name for path in files] == ["dataset.yaml", "animal_snails.yaml", "animal_snails.j2"]
    checked = validate(fresh(catalog))
    assert checked.tasks == ["animal_snails"]
    assert checked.findings == []
    assert files[0].read_text("utf-8").startswith(SCHEMA_COMMENT_ELSEWHERE.format(kind="dataset") + "\n")


def test_a_new_task_of_a_known_dataset_is_valid_and_lists_its_columns(tmp_path: Path) -> None:
    catalog = pets_catalog(tmp_path)
    spec, _ = begin(catalog, "pets", "animal_pets_names")
    assert "#   pets: id, kind, name, colors, _file, _index" in spec.read_text("utf-8")
    assert validate(fresh(catalog)).findings == []


@pytest.mark.parametrize("dataset", sorted(Catalog.default().dataset_files))
def test_a_task_can_be_begun_over_every_dataset_there_is(dataset: str, tmp_path: Path) -> None:
    source = Catalog.default()
    spec = source.dataset(dataset)
    for slug in {dataset, *spec.borrows, *spec.derived_from} & set(source.dataset_files):
        folder = tmp_path / "task_specs" / slug
        folder.mkdir(parents=True)
        for path in source.dataset_files[slug].parent.iterdir():
            if path.stem not in source.task_files:
                (folder / path.name).write_bytes(path.read_bytes())
    (tmp_path / "task_specs/sources.yaml").write_bytes((source.specs / "sources.yaml").read_bytes())
    catalog = Catalog(tmp_path / "task_specs", tmp_path / "instructions")
    begin(catalog, dataset, "begun_task")
    errors = [f for f in validate(fresh(catalog), ["begun_task"]).findings if f.severity == "error"]
    assert errors == []


def test_another_task_has_the_key_and_the_images_of_one_that_there_is(tmp_path: Path) -> None:
    source = Catalog.default()
    catalog = Catalog(
        shutil.copytree(source.specs, tmp_path / "task_specs"),
        shutil.copytree(source.instructions, tmp_path / "instructions"),
    )
    for dataset in catalog.dataset_files:
        begin(catalog, dataset, f"begun_{dataset}")
    catalog = fresh(catalog)
    begun = [f"begun_{dataset}" for dataset in catalog.dataset_files]
    assert [f for f in validate(catalog, begun).findings if f.severity == "error"] == []
    new, like = catalog.task("begun_cinic_10"), source.task("object_cinic10_animal")
    assert (new.table, new.key, new.image) == (like.table, like.key, like.image)
    assert "object_cinic10_animal\n" in catalog.task_files["begun_cinic_10"].read_text("utf-8")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    catalog = pets_catalog(tmp_path)
    with pytest.raises(SpecError, match="exists already"):
        begin(catalog, "pets", "animal_pets")
    (catalog.specs / "pets" / "half_done.yaml").write_text("title: mine\n", "utf-8")
    with pytest.raises(MachineError, match="File exists"):
        begin(fresh(catalog), "pets", "half_done")


@pytest.mark.parametrize(("dataset", "task"), [("../pets", "a_task"), ("pets", "A Task"), ("pets", "ab")])
def test_names_that_are_no_slugs_are_refused(tmp_path: Path, dataset: str, task: str) -> None:
    with pytest.raises(SpecError, match="cannot be the name"):
        begin(pets_catalog(tmp_path), dataset, task)


def test_the_command_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(vflan, ["new", "snails", "animal_snails", "--root", str(tmp_path)]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {tmp_path}/task_specs/snails/dataset.yaml"
    assert lines[3].endswith("vflan validate animal_snails")


def test_specs_of_an_installed_package_are_not_for_editing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = pets_catalog(tmp_path / "site-packages" / "vision_flan")
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    assert run(vflan, ["new", "snails", "animal_snails"]) == ExitCode.FAILED
    assert "--root DIR" in capsys.readouterr().err
