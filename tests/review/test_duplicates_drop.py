"""`vflan duplicates --drop`: what goes, what stays, and that later compiles leave it out too."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.review.test_duplicates import cropped, encoded, scene, write
from tests.toy import LICENSE, Toy
from vision_flan.build.compile import Options, compile_task
from vision_flan.build.shares import merge
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.drop_list import list_path
from vision_flan.dataset.manifest import manifest_path, read_manifest, read_manifests
from vision_flan.dataset.overlaps import read_overlaps
from vision_flan.dataset.verification import verify
from vision_flan.errors import ExitCode
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

#: Two exact and one near duplicate of five images, all of one color, so that the answer is the same.
IMAGES = {
    "one": encoded(scene(1)),
    "one-again": encoded(scene(1)),
    "two": encoded(scene(2)),
    "two-smaller": encoded(scene(2).resize((160, 120))),
    "three": encoded(scene(3)),
}
Typed = Callable[..., dict[str, object]]


@pytest.fixture
def typed(toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types `vflan duplicates --json`; returns what it prints."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))

    def type_it(*arguments: str, code: ExitCode = ExitCode.OK) -> dict[str, object]:
        capsys.readouterr()
        assert run(vflan, ["duplicates", *arguments, "--json"]) == code
        printed: dict[str, object] = json.loads(capsys.readouterr().out)
        return printed

    return type_it


def compiled(toy: Toy, images: dict[str, bytes], out: Path | None = None, colors: str = "r") -> Path:
    write(toy, images, out or toy.out)
    toy.write_records([{"name": name, "color": colors[i % len(colors)]} for i, name in enumerate(images)])
    toy.compile(out=out)
    return out or toy.out


def keys(out: Path, toy: Toy) -> set[str]:
    return {row["source_id"] for row in toy.rows(out)}


def is_whole(out: Path) -> bool:
    *_, (_, found) = verify(out)
    return not found.problems


def second_task(toy: Toy) -> None:
    text = (toy.specs / "toy/toy_color.yaml").read_text()
    hue = text.replace("id: toy_color", "id: toy_hue").replace("alias: Toy+color\n", "")
    (toy.specs / "toy/toy_hue.yaml").write_text(hue)
    shutil.copy(toy.instructions / "toy_color.j2", toy.instructions / "toy_hue.j2")


def test_one_of_each_stays_and_the_others_are_counted_with_an_example(toy: Toy, typed: Typed) -> None:
    out = compiled(toy, IMAGES)
    before = read_manifest(manifest_path(out, "toy_color"))
    assert typed(str(out))["would_drop"] == {"toy_color": {"exact_duplicate": 1, "near_duplicate": 1}}
    assert keys(out, toy) == set(IMAGES), "without --drop nothing changes"
    printed = typed(str(out), "--drop")
    assert printed["dropped"] == {"toy_color": {"exact_duplicate": 1, "near_duplicate": 1}}
    manifest = read_manifest(manifest_path(out, "toy_color"))
    left = keys(out, toy)
    assert len(left & {"one", "one-again"}) == len(left & {"two", "two-smaller"}) == 1 and "three" in left
    assert manifest.rows == manifest.counts["written"] == 3
    assert manifest.counts["dropped"] == {"exact_duplicate": 1, "near_duplicate": 1}
    gone, stays = ({"one", "one-again"} - left).pop(), ({"one", "one-again"} & left).pop()
    example = f"same image as toy_color/{stays} (record {gone})"
    assert manifest.counts["examples"]["exact_duplicate"] == example
    rows = toy.rows()
    wanted = sum(
        len(row["image"]["bytes"])
        + sum(len(value) for value in row.values() if isinstance(value, str))
        + sum(len(text) for turn in row["turns"] for text in turn.values())
        for row in rows
    )
    assert manifest.num_bytes == wanted < before.num_bytes
    assert (before.contents["images"], manifest.contents["images"]) == (4, 3)
    assert is_whole(out), "shards, manifest and README.md agree"
    assert typed(str(out), "--drop")["dropped"] == {}


def test_a_later_compile_does_not_bring_them_back(toy: Toy, typed: Typed) -> None:
    out = compiled(toy, IMAGES)
    typed(str(out), "--drop")
    left, shards = keys(out, toy), read_manifest(manifest_path(out, "toy_color")).shards
    assert not toy.compile().built, "it is up to date"
    again = toy.compile(force=True).manifest
    assert keys(out, toy) == left
    assert again.shards == shards, "filtering installed shards and filtering new ones give the same bytes"
    assert again.counts["dropped"] == {"exact_duplicate": 1, "near_duplicate": 1}
    list_path(out, "toy_color").unlink()
    assert toy.compile().built, "without its list, the task is made again"
    assert keys(out, toy) == set(IMAGES) and is_whole(out)


def test_with_another_seed_an_instance_stays_if_the_one_it_repeats_is_not_there(
    toy: Toy, typed: Typed
) -> None:
    out = compiled(toy, IMAGES)
    typed(str(out), "--drop")
    for seed in range(8):
        toy.compile(seed=seed, limit=2)
        left = keys(out, toy)
        assert left, "the limit is filled first; a pair that is drawn together loses one"
        assert len(left) == 2 or read_manifest(manifest_path(out, "toy_color")).counts["dropped"]


def test_other_answers_and_other_questions_are_no_duplicates_unless_asked_for(toy: Toy, typed: Typed) -> None:
    images = {"one": IMAGES["one"], "again": IMAGES["one"]}
    out = compiled(toy, images, colors="rg")
    assert typed(str(out), "--drop")["dropped"] == {}
    assert typed(str(out), "--same", "question")["would_drop"] == {"toy_color": {"exact_duplicate": 1}}
    assert typed(str(out), "--same", "image", "--drop")["dropped"] == {"toy_color": {"exact_duplicate": 1}}
    assert len(toy.rows()) == 1 and is_whole(out)


def test_across_tasks_the_smaller_task_keeps_the_instance(toy: Toy, typed: Typed) -> None:
    out = compiled(toy, {name: IMAGES[name] for name in ("one", "two", "three")})
    second_task(toy)
    compile_task("toy_hue", toy.raw, toy.out, toy.catalog, Options(limit=2), Silent())
    shared = keys(out, toy) & {row["source_id"] for row in _rows(out, "toy_hue")}
    assert typed(str(out), "--scope", "within", "--drop")["dropped"] == {}
    printed = typed(str(out), "--drop")
    assert printed["dropped"] == {"toy_color": {"exact_duplicate_across_tasks": 2}}
    assert keys(out, toy) == {"one", "two", "three"} - shared and len(_rows(out, "toy_hue")) == 2
    assert is_whole(out)


def _rows(out: Path, task: str) -> list[dict[str, object]]:
    import pyarrow.parquet as pq

    return [row for file in sorted((out / task).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def test_what_a_benchmark_has_goes_and_the_report_says_how_many(toy: Toy, typed: Typed) -> None:
    bench = compiled(
        toy, {"b1": cropped(scene(1), 2), "b2": IMAGES["two"], "b9": encoded(scene(9))}, toy.root / "b"
    )
    out = compiled(toy, IMAGES, colors="rg")
    typed(str(out), "--against", str(bench))
    facts = read_overlaps(out, read_manifests(out))["toy_color"]["b"]
    assert (facts.benchmark_images, facts.instances, facts.exact, facts.near, facts.dropped) == (
        3,
        5,
        1,
        3,
        0,
    )
    assert "| b<br>3 images<br>1 of 1 tasks | 4 | 0 | `toy_color` 4 |" in (out / "README.md").read_text()
    assert is_whole(out), "the card is that of the folder"
    printed = typed(str(out), "--against", str(bench), "--scope", "against", "--drop")
    assert printed["dropped"] == {"toy_color": {"exact_in_benchmark": 1, "near_in_benchmark": 3}}
    assert "| b<br>3 images<br>1 of 1 tasks | 4 | 4 | no task |" in (out / "README.md").read_text()
    manifest = read_manifest(manifest_path(out, "toy_color"))
    assert manifest.counts["examples"]["exact_in_benchmark"] == "same image as b: toy_color/b2 (record two)"
    assert keys(out, toy) == {"three"} and is_whole(out)
    facts = read_overlaps(out, read_manifests(out))["toy_color"]["b"]
    assert (facts.instances, facts.exact, facts.near, facts.dropped) == (5, 1, 3, 4)
    list_path(out, "toy_color").unlink()
    toy.compile()
    assert read_overlaps(out, read_manifests(out)) == {}, "other shards: what was found is no longer known"
    assert "Overlap with benchmarks" not in (out / "README.md").read_text() and is_whole(out)


def test_a_task_is_not_emptied(toy: Toy, typed: Typed) -> None:
    bench = compiled(toy, IMAGES, toy.root / "b")
    out = compiled(toy, IMAGES)
    printed = typed(str(out), "--against", str(bench), "--drop", code=ExitCode.FAILED)
    assert "not one instance of toy_color would be left" in str(printed["error"])
    assert keys(out, toy) == set(IMAGES) and is_whole(out) and not list_path(out, "toy_color").exists()
    assert not toy.compile().built


def test_what_a_killed_run_left_half_done_the_next_one_ends(
    toy: Toy, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = compiled(toy, IMAGES)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vision_flan.build.install.move", killed)
        run(vflan, ["duplicates", str(out), "--drop"])
    assert not manifest_path(out, "toy_color").exists(), "the installation was cut off"
    toy.compile()
    assert len(toy.rows()) == 3 and is_whole(out)


def test_a_merged_folder_has_the_list_too(toy: Toy, typed: Typed) -> None:
    out = compiled(toy, IMAGES)
    typed(str(out), "--drop")
    left = keys(out, toy)
    merge([out], toy.root / "merged", Silent())
    assert (
        list_path(toy.root / "merged", "toy_color").read_bytes() == list_path(out, "toy_color").read_bytes()
    )
    assert not toy.compile(out=toy.root / "merged").built
    toy.compile(out=toy.root / "merged", force=True)
    assert keys(toy.root / "merged", toy) == left


def test_shards_that_lose_all_rows_disappear_and_the_others_are_renamed(
    toy: Toy, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_flan.dataset.shards.SHARD_BYTES", 1)
    monkeypatch.setattr("vision_flan.dataset.row_groups.ROW_GROUP_ROWS", 1)
    out = compiled(toy, IMAGES)
    assert len(read_manifest(manifest_path(out, "toy_color")).shards) == 5
    typed(str(out), "--drop")
    manifest = read_manifest(manifest_path(out, "toy_color"))
    assert [Path(shard.path).name for shard in manifest.shards] == [
        f"train-{i:05}-of-00003.parquet" for i in range(3)
    ]
    assert is_whole(out) and len(toy.rows()) == 3
    assert toy.compile(force=True).manifest.shards == manifest.shards


def test_a_damaged_list_is_named(toy: Toy, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    out = compiled(toy, IMAGES)
    typed(str(out), "--drop")
    list_path(out, "toy_color").write_text("{")
    printed = typed(str(out), "--same", "image", "--against", str(out), "--drop", code=ExitCode.FAILED)
    assert "not a list of dropped instances" in str(printed["error"])


def test_the_table_of_authors_loses_them_too(toy: Toy, typed: Typed) -> None:
    path = toy.specs / "toy/dataset.yaml"
    credited = LICENSE.replace('verdict: "yes"', 'verdict: "yes"\n    attribution: true')
    text = path.read_text().replace(LICENSE, credited)
    path.write_text(text + "credits: SELECT 'images/' || name AS image, 'Ann' AS author FROM records\n")
    out = compiled(toy, IMAGES)
    assert read_manifest(manifest_path(out, "toy_color")).attribution["rows"] == 5
    typed(str(out), "--drop")
    manifest = read_manifest(manifest_path(out, "toy_color"))
    assert manifest.attribution["rows"] == 3
    assert not toy.compile().built and is_whole(out)
    assert read_manifest(manifest_path(out, "toy_color")).attribution == manifest.attribution
