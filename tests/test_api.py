"""`import vision_flan as vf`: cheap, typed, and the same data as the commands give."""

from __future__ import annotations

import inspect
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vision_flan as vf
from vision_flan import api
from vision_flan.columns import COLUMNS
from vision_flan.errors import BadRawError, MissingRawError, SpecError, VflanError
from vision_flan.miniatures import registry
from vision_flan.spec.catalog import Catalog

TASK, DATASET, ALIAS = "ocr_textocr", "textocr", "AID+aerial_scene_classification"
HEAVY = (
    "pyarrow",
    "duckdb",
    "numpy",
    "PIL",
    "datasets",
    "yaml",
    "jinja2",
    "torch",
    "click",
    "vision_flan.api",
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    registry.make(DATASET, tmp_path / "raw", 20, 0)
    return tmp_path / "raw"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of `datasets` in tmp_path."""
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def modules_after(code: str) -> set[str]:
    """Modules that a fresh interpreter has imported after some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not modules_after("import vision_flan, vision_flan as vf; dir(vf)") & set(HEAVY)


def test_specs_are_read_without_arrow_and_duckdb() -> None:
    loaded = modules_after(f"import vision_flan as vf; vf.tasks(); vf.task({TASK!r})")
    assert "vision_flan.api" in loaded
    assert not loaded & {"pyarrow", "duckdb", "datasets", "PIL", "torch"}


def test_the_package_has_the_functions_of_the_api_and_no_others() -> None:
    assert set(vf.__all__) == {*api.__all__, "__version__"} <= set(dir(vf))
    for name in api.__all__:
        assert getattr(vf, name) is getattr(api, name)
    with pytest.raises(AttributeError, match="no attribute 'picture_of'"):
        vf.picture_of  # noqa: B018


@pytest.mark.parametrize("name", api.__all__)
def test_every_function_is_typed_and_says_what_it_takes_gives_and_raises(name: str) -> None:
    function = getattr(api, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    doc = inspect.getdoc(function) or ""
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert f"    {parameter.name}: " in doc
    for heading in ("Args:", "Returns:", "Raises:", "Examples:"):
        assert f"\n{heading}\n" in doc


def test_tasks_are_those_of_a_suite_a_dataset_or_both() -> None:
    catalog = Catalog.default()
    assert vf.tasks() == list(catalog.task_files)
    assert vf.tasks("vision_flan") == list(catalog.suite("vision_flan"))
    extras = set(vf.tasks("extras"))
    both = vf.tasks("vision_flan", "office_31")
    assert both and set(both) <= set(vf.tasks(dataset="office_31")) - extras
    with pytest.raises(SpecError, match="no suite 'vision'"):
        vf.tasks(suite="vision")
    with pytest.raises(SpecError, match="did you mean textocr"):
        vf.tasks(dataset="textcr")


def test_a_task_answers_to_its_id_and_to_its_published_name() -> None:
    assert vf.task(ALIAS) is not None and vf.task(ALIAS).id == "scene_aid"
    with pytest.raises(SpecError, match="did you mean ocr_textocr"):
        vf.task("ocr_textcr")


def test_examples_are_the_first_rows_of_the_compiled_config(raw: Path, tmp_path: Path, cached: None) -> None:
    broken = sorted((raw / DATASET / "train_images").iterdir())[0]
    broken.write_bytes(b"")
    result = vf.compile(TASK, raw, tmp_path / "out", seed=3)
    assert result.manifest.counts["dropped"] == {"empty_image": 1}
    compiled = vf.load(tmp_path / "out", TASK)
    shown = vf.examples(TASK, raw, n=1000, seed=3)
    assert len(shown) == len(compiled) == result.manifest.rows
    for ours, theirs in zip(shown, compiled, strict=True):
        assert list(ours) == list(COLUMNS)
        assert isinstance(ours["image"], Image.Image)
        assert ours == theirs
    assert vf.examples(TASK, raw, n=2, seed=3) == shown[:2]


def test_examples_without_raw_files_come_from_a_miniature() -> None:
    shown = vf.examples("vqa_clevr_matching", n=3)
    assert [row["task"] for row in shown] == ["vqa_clevr_matching"] * 3
    assert len({row["id"] for row in shown}) == 3
    assert vf.examples(TASK, n=0) == []
    with pytest.raises(ValueError, match="not -1"):
        vf.examples(TASK, n=-1)


def test_missing_and_damaged_raw_files_are_errors_with_a_next_step(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingRawError, match="vflan fetch clevr"):
        vf.examples("vqa_clevr", raw)
    with pytest.raises(MissingRawError):
        vf.compile("vqa_clevr", raw, tmp_path / "out")
    (raw / DATASET / "TextOCR_0.1_train.json").write_text('{"anns": {"1": {')
    with pytest.raises(BadRawError):
        vf.examples(TASK, raw)


def test_options_mean_what_those_of_the_command_mean(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert vf.compile(TASK, raw, out, limit=4, check_images="full").manifest.rows == 4
    assert not vf.compile(TASK, str(raw), str(out), limit=4, check_images="full").built
    assert vf.compile(TASK, raw, out, limit=4, check_images="full", force=True).built
    whole = vf.compile(TASK, raw, out, limit=None).manifest
    assert whole.rows == whole.counts["candidates"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"check_images": "all"}, "check_images is 'header' or 'full', not 'all'"),
        ({"limit": "all"}, "limit is a whole number from 1 on, None or 'spec', not 'all'"),
        ({"limit": -3}, "limit is a whole number from 1 on, None or 'spec', not -3"),
        ({"limit": 0.5}, "not 0.5"),
        ({"jobs": 0}, "jobs is a whole number from 1 on, or None, not 0"),
        ({"seed": "x"}, "seed is a whole number, not 'x'"),
        ({"raw": None}, "raw is a folder or several, not None"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named_before_anything_is_read(
    named: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        vf.compile(TASK, **{"raw": tmp_path / "nowhere", "out": tmp_path / "out"} | named)
    assert not (tmp_path / "out").exists()


def test_what_a_notebook_shows_of_a_result_and_a_spec_is_short(raw: Path, tmp_path: Path) -> None:
    shown = repr(vf.compile(TASK, raw, tmp_path / "out", limit=4))
    assert shown == f"<Result of {TASK}: 4 instances, 1 shard, in {tmp_path / 'out'}, built=True>"
    assert "Location" not in repr(vf.task(TASK))


def test_loading_needs_no_network(
    raw: Path, tmp_path: Path, cached: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vf.compile(TASK, raw, tmp_path / "out")

    def refused(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    loaded = vf.load(tmp_path / "out", TASK)
    assert loaded.config_name == TASK and str(loaded.split) == "train"


def test_a_config_that_is_not_there_is_named_with_those_that_are(raw: Path, tmp_path: Path) -> None:
    vf.compile(TASK, raw, tmp_path / "out")
    with pytest.raises(VflanError, match=f"no config 'scene_aid' in this folder; it has: {TASK}"):
        vf.load(tmp_path / "out", ALIAS)
    with pytest.raises(VflanError, match="it has none"):
        vf.load(tmp_path / "nowhere", TASK)


def test_verify_finds_a_changed_byte_and_refuses_a_folder_without_configs(raw: Path, tmp_path: Path) -> None:
    result = vf.compile(TASK, raw, tmp_path / "out")
    assert vf.verify(tmp_path / "out").problems == []
    shard = tmp_path / "out" / result.manifest.shards[0].path
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (problem,) = vf.verify(tmp_path / "out").problems
    assert problem.task == TASK and "sha256" in problem.message
    with pytest.raises(VflanError, match="no compiled config"):
        vf.verify(raw)
