"""Where raw files may be: several roots, other names, archives, links; through `vflan compile`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.console import vflan
from vision_flan.errors import SpecError
from vision_flan.miniatures import registry
from vision_flan.raw.roots import read_map

TASK = "ocr_textocr"


@pytest.fixture(scope="module")
def textocr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a miniature of TextOCR."""
    return registry.make("textocr", tmp_path_factory.mktemp("made"), 12, 0).folder


@pytest.fixture(scope="module")
def expected(textocr: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checksum of the config, compiled from its usual place."""
    return shard_of(tmp_path_factory.mktemp("plain"), "--raw", str(textocr.parent))


def run(cwd: Path, *options: str) -> tuple[int, Any, str]:
    done = vflan("compile", "--task", TASK, "--out", "out", "--json", *options, cwd=cwd)
    return done.returncode, json.loads(done.stdout), done.stderr


def shard_of(cwd: Path, *options: str) -> str:
    code, found, errors = run(cwd, *options)
    assert code == 0, errors
    return str(found[0]["shards"][0]["sha256"])


def files_and_times(root: Path) -> Mapping[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}


def in_two_roots(at: Path, textocr: Path) -> list[str]:
    """Annotations in one root, images in the other."""
    shutil.copytree(textocr, at / "a/textocr")
    (at / "b/textocr").mkdir(parents=True)
    shutil.move(at / "a/textocr/train_images", at / "b/textocr/train_images")
    return ["--raw", "a", "--raw", "b"]


def in_halves(at: Path, textocr: Path) -> list[str]:
    """Images spread over two roots."""
    shutil.copytree(textocr, at / "a/textocr")
    (at / "b/textocr/train_images").mkdir(parents=True)
    for image in sorted((at / "a/textocr/train_images").iterdir())[::2]:
        shutil.move(image, at / "b/textocr/train_images")
    return ["--raw", "a", "--raw", "b"]


def by_the_map_of_the_working_folder(at: Path, textocr: Path) -> list[str]:
    (at / "raw.yaml").write_text(f"# my disks\ntextocr: {textocr}\n")
    return []


def by_a_map_named(at: Path, textocr: Path) -> list[str]:
    (at / "maps").mkdir()
    shutil.copytree(textocr, at / "Scenes")
    (at / "maps/here.yaml").write_text("textocr: ../Scenes\n")  # from the map's own folder
    return ["--raw-map", "maps/here.yaml"]


def by_pyproject(at: Path, textocr: Path) -> list[str]:
    (at / "pyproject.toml").write_text(f'[tool.vision-flan.raw]\ntextocr = "{textocr}"\n')
    return []


def several_folders_mapped(at: Path, textocr: Path) -> list[str]:
    in_halves(at, textocr)
    (at / "raw.yaml").write_text("textocr: [a/textocr, b/textocr]\n")
    return []


def as_one_archive(at: Path, textocr: Path) -> list[str]:
    shutil.make_archive(str(at / "all"), "zip", textocr)
    (at / "raw.yaml").write_text("textocr: all.zip\n")
    return []


def as_one_archive_with_its_folder(at: Path, textocr: Path) -> list[str]:
    shutil.make_archive(str(at / "all"), "gztar", textocr.parent, "textocr")
    (at / "raw.yaml").write_text("textocr: all.tar.gz\n")
    return []


def with_other_capitals(at: Path, textocr: Path) -> list[str]:
    shutil.copytree(textocr, at / "raw/TextOCR")
    return []


def in_a_wrapper_folder(at: Path, textocr: Path) -> list[str]:
    shutil.copytree(textocr, at / "raw/datasets/textocr")
    return []


def with_images_linked_from_another_root(at: Path, textocr: Path) -> list[str]:
    shutil.copytree(textocr, at / "a/textocr")
    (at / "b").mkdir()
    shutil.move(at / "a/textocr/train_images", at / "b/photos")
    (at / "a/textocr/train_images").symlink_to(at / "b/photos")
    return ["--raw", "a", "--raw", "b"]


def as_a_snapshot_of_the_hubs_cache(at: Path, textocr: Path) -> list[str]:
    snapshot, blobs = at / "hub/datasets--x--y/snapshots/abc", at / "hub/datasets--x--y/blobs"
    blobs.mkdir(parents=True)
    for number, file in enumerate(path for path in sorted(textocr.rglob("*")) if path.is_file()):
        shutil.copy2(file, blobs / str(number))
        link = snapshot / file.relative_to(textocr)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    (at / "raw.yaml").write_text(f"textocr: {snapshot}\n")
    return []


@pytest.mark.parametrize(
    "arrange",
    [
        in_two_roots,
        in_halves,
        by_the_map_of_the_working_folder,
        by_a_map_named,
        by_pyproject,
        several_folders_mapped,
        as_one_archive,
        as_one_archive_with_its_folder,
        with_other_capitals,
        in_a_wrapper_folder,
        with_images_linked_from_another_root,
        as_a_snapshot_of_the_hubs_cache,
    ],
    ids=lambda arrange: arrange.__name__,
)
def test_the_same_files_give_the_same_shards_wherever_they_are(
    arrange: Callable[[Path, Path], list[str]], textocr: Path, expected: str, tmp_path: Path
) -> None:
    options = arrange(tmp_path, textocr)
    before = files_and_times(tmp_path)
    assert shard_of(tmp_path, *options) == expected
    after = files_and_times(tmp_path)
    ours = {str(tmp_path), *(path for path in after if path.startswith(str(tmp_path / "out")))}
    assert {path: time for path, time in after.items() if path not in ours} == {
        path: time for path, time in before.items() if path not in ours
    }, "a compile wrote into a raw folder"


def test_moving_a_dataset_to_another_root_rebuilds_nothing(textocr: Path, tmp_path: Path) -> None:
    shutil.copytree(textocr, tmp_path / "a/textocr")
    shard_of(tmp_path, "--raw", "a")
    (tmp_path / "b").mkdir()
    shutil.move(tmp_path / "a/textocr", tmp_path / "b/textocr")
    _, found, _ = run(tmp_path, "--raw", "a", "--raw", "b")
    assert found[0]["built"] is False


def test_a_link_that_leads_elsewhere_stops_the_run_and_names_its_target(
    textocr: Path, tmp_path: Path
) -> None:
    with_images_linked_from_another_root(tmp_path, textocr)
    code, found, _ = run(tmp_path, "--raw", "a")
    assert code == 4
    assert f"'train_images' is a link to {tmp_path / 'b/photos'}" in found["error"]["message"]
    assert f"--raw {tmp_path / 'b'}" in found["error"]["hint"]


@pytest.mark.parametrize(
    ("names", "raw", "hint"),
    [
        (
            ["text_ocr_v1/x"],
            "raw",
            "Then write into raw.yaml: textocr: raw/text_ocr_v1",
        ),
        (["textocr.zip/x"], "raw", "is it raw/textocr.zip?"),
        (["textocr/TextOCR_0.1_train.json"], "raw/textocr", "give the folder above it, --raw raw"),
    ],
)
def test_what_may_be_the_dataset_is_suggested(names: list[str], raw: str, hint: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / "raw" / name).mkdir(parents=True)
    code, found, _ = run(tmp_path, "--raw", raw)
    assert code == 3
    assert hint in found["error"]["hint"]


def test_a_root_or_a_mapped_folder_that_is_not_there_is_named(textocr: Path, tmp_path: Path) -> None:
    code, found, _ = run(tmp_path, "--raw", str(textocr.parent), "--raw", "unmounted")
    assert (code, found["error"]["where"]["file"]) == (3, "unmounted")
    (tmp_path / "raw.yaml").write_text("textocr: /nfs/gone\n")
    code, found, _ = run(tmp_path)
    assert (code, found["error"]["where"]["line"]) == (3, 1)
    assert "textocr is mapped to /nfs/gone, which does not exist" in found["error"]["message"]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("mscoco: /a\ntextocrr: /b\n", 2, "there is no dataset 'textocrr'"),
        ("mscoco: 3\n", 1, "not a folder or an archive: 3"),
        ("mscoco: []\n", 1, "not a folder or an archive"),
        ("- mscoco\n", 1, "not a map"),
    ],
)
def test_a_map_that_is_wrong_is_refused_with_its_line(
    text: str, line: int, what: str, tmp_path: Path
) -> None:
    (tmp_path / "raw.yaml").write_text(text)
    with pytest.raises(SpecError, match=what) as raised:
        read_map(None, ["mscoco", "textocr"], tmp_path)
    assert raised.value.where is not None
    assert raised.value.where.line == line


def test_fetch_finds_files_in_every_root_and_adds_to_the_first(textocr: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    shutil.copytree(textocr, tmp_path / "b/textocr")
    done = vflan("fetch", "textocr", "--raw", "a", "--raw", "b", "--dry-run", "--json", cwd=tmp_path)
    states = {file["path"]: file["state"] for file in json.loads(done.stdout)["files"]}
    assert states["train_val_images.zip"] == "unpacked"


@pytest.mark.parametrize(
    ("root", "command"),
    [
        ("raw", "vflan fetch textocr,"),
        ("disk", "vflan fetch textocr --raw disk,"),
        ("big disk", "vflan fetch textocr --raw 'big disk',"),
    ],
)
def test_missing_files_are_to_fetch_into_the_folder_that_was_given(
    root: str, command: str, tmp_path: Path
) -> None:
    (tmp_path / root).mkdir()
    done = vflan("compile", "--task", "ocr_textocr", "--raw", root, cwd=tmp_path)
    assert f"next: {command} or put the files there" in done.stderr
    (tmp_path / root / "TextOCR").mkdir()
    done = vflan("compile", "--task", "ocr_textocr", "--raw", root, cwd=tmp_path)
    assert f"next: {command} or put the files there" in done.stderr
