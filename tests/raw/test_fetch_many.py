"""`vflan fetch` of a suite and of several datasets, against a real HTTP server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.cli.console import on_specs, on_terminal
from tests.raw.http_server import CONTENT, MD5, Upstream, serving
from vision_flan.cli.main import vflan
from vision_flan.cli.options import SIZE
from vision_flan.errors import ExitCode
from vision_flan.raw import transfer
from vision_flan.spec.catalog import Catalog

TASK = """\
id: TASK
title: A pet
category: General Object
dataset: SLUG
table: images
key: name
image: images/{{ name }}.jpg
target: "{{ name }}"
form: free_text
"""
MEGABYTES = len(CONTENT) / 1e6


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with serving(Upstream()) as state:
        yield state


@pytest.fixture
def fetch(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`vflan fetch` on three datasets of a suite: cats, dogs that borrow from cats, and birds."""

    def file(name: str, **facts: Any) -> dict[str, Any]:
        return {"path": name, "url": f"{upstream.url}/{name}", "bytes": len(CONTENT), "md5": MD5} | facts

    made = {
        "cats": ([file("cats.zip"), file("more.zip")], []),
        "dogs": ([file("dogs.zip"), {"path": "faces.zip", "note": "Ask for it."}], ["cats"]),
        "birds": ([file("birds.zip"), {"path": "nests.zip", "bytes": 5}], []),
    }
    for slug, (files, borrows) in made.items():
        folder = tmp_path / "task_specs" / slug
        folder.mkdir(parents=True)
        (folder / "dataset.yaml").write_text(
            f"dataset: {slug}\ntitle: {slug}\nhomepage: https://example.org/{slug}\n"
            "license:\n"
            '  images: {name: None stated, spdx: null, verdict: "no"}\n'
            "  annotations: {name: None stated, spdx: null, verdict: unclear}\n"
            f'citation: "@misc{{{slug}, title = {{P}}}}"\naccess: direct\n'
            f"how_to_get: Write to {slug}@example.org.\nfiles: {json.dumps(files)}\n"
            f"borrows: {json.dumps(borrows)}\n"
            'tables:\n  images: {reader: files, file: "images/{name}.jpg"}\n'
        )
        (folder / f"pet_{slug}.yaml").write_text(TASK.replace("TASK", f"pet_{slug}").replace("SLUG", slug))
    (tmp_path / "task_specs/suites").mkdir()
    (tmp_path / "task_specs/suites/pets.yaml").write_text("title: Pets\ntasks: [pet_dogs, pet_birds]\n")
    catalog = Catalog(tmp_path / "task_specs", tmp_path / "instructions")
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))

    def typed(*arguments: str) -> Result:
        return CliRunner().invoke(vflan, ["fetch", *arguments, "--raw", str(tmp_path / "raw")])

    return typed


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_suite_is_planned_asked_by_hand_once_a_dataset_and_downloaded(
    fetch: Callable[..., Result], upstream: Upstream, tmp_path: Path
) -> None:
    result = fetch("--suite", "pets", "--yes")
    assert result.exit_code == ExitCode.MISSING_RAW  # some files are to be asked for
    assert files_in(tmp_path / "raw") == [
        "birds/birds.zip",
        "cats/cats.zip",
        "cats/more.zip",
        "dogs/dogs.zip",
    ]
    assert "cats\t\t2 files, 6.0 MB\t\t" in result.stdout
    assert "dogs\t\t1 file, 3.0 MB\t1\t" in result.stdout
    assert result.stdout.count("Write to dogs@example.org.") == 1
    assert "4 files downloaded, 12.0 MB" in result.stdout
    assert "to download: 4 files, 12.0 MB" in result.stderr


def test_the_same_command_again_downloads_nothing(
    fetch: Callable[..., Result], upstream: Upstream, tmp_path: Path
) -> None:
    fetch("--suite", "pets", "--yes")
    upstream.requests.clear()
    result = fetch("--suite", "pets", "--yes")
    assert upstream.requests == []
    assert "cats\t2\t\t\t" in result.stdout


def test_files_that_were_cut_are_resumed(
    fetch: Callable[..., Result], upstream: Upstream, tmp_path: Path
) -> None:
    upstream.cuts = [1_000_000] + [0] * (4 * transfer.ATTEMPTS)
    result = fetch("cats", "birds", "--yes", "--jobs", "1")
    assert result.exit_code == ExitCode.MISSING_RAW
    assert "3 files not downloaded; the same command resumes:" in result.stderr
    upstream.cuts.clear()
    upstream.requests.clear()
    assert "3 files downloaded" in fetch("cats", "birds", "--yes").stdout
    assert sum(wanted == "bytes=1000000-" for wanted in upstream.seen) == 1


def test_a_budget_takes_the_smallest_datasets_and_says_which_are_left_out(
    fetch: Callable[..., Result], tmp_path: Path
) -> None:
    result = fetch("--suite", "pets", "--yes", "--max-size", "7MB", "--json")
    found = {one["dataset"]: one for one in json.loads(result.stdout)["datasets"]}
    assert {slug: one["left_out"] for slug, one in found.items()} == {
        "dogs": False, "birds": False, "cats": True,
    }  # fmt: skip
    assert found["cats"]["files"][0]["state"] == "download"
    assert found["dogs"]["files"][0]["state"] == "downloaded"
    assert files_in(tmp_path / "raw") == ["birds/birds.zip", "dogs/dogs.zip"]


def test_one_file_that_fails_does_not_stop_the_others(
    fetch: Callable[..., Result], upstream: Upstream, tmp_path: Path
) -> None:
    upstream.answers["GET", "/cats.zip"] = (404, {"Content-Length": "0"})
    result = fetch("cats", "birds", "--yes")
    assert files_in(tmp_path / "raw") == ["birds/birds.zip", "cats/more.zip"]
    assert "1 file not downloaded" in result.stderr
    assert "open the link in a browser" in result.stderr


def test_a_terminal_shows_one_bar_for_all_files(
    fetch: Callable[..., Result], upstream: Upstream, tmp_path: Path
) -> None:
    typed = ["fetch", "cats", "birds", "--yes", "--raw", str(tmp_path / "raw")]
    code, shown = on_terminal(*typed, columns=140, command=on_specs(tmp_path))
    assert code == ExitCode.MISSING_RAW
    assert "cats.zip: checksum right" in shown
    assert "of 3 files" in shown
    assert "3 files downloaded, 9.0 MB" in shown


def test_a_dry_run_shows_the_plan_only(fetch: Callable[..., Result], upstream: Upstream) -> None:
    result = fetch("--suite", "pets", "--dry-run")
    assert (result.exit_code, upstream.requests) == (ExitCode.OK, [])
    assert "to download: 4 files, 12.0 MB" in result.stderr


@pytest.mark.parametrize(
    ("text", "size"),
    [("50GB", 50 * 10**9), ("1.5 tb", 15 * 10**11), ("16GiB", 16 << 30), ("7", 7), ("1kB", 1000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size
