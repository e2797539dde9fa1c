"""What tasks share with benchmarks is named in the card, in the folder and in the repository."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub_server import HubServer
from tests.hub_server.compiled import compile_folder, compile_task, marker
from tests.hub_server.publishing import REPO, Publish, actions
from vision_flan.build.shares import merge
from vision_flan.dataset.card import is_current, write_card
from vision_flan.dataset.manifest import read_manifests
from vision_flan.dataset.overlaps import Overlap, Overlaps, read_overlaps, shards_checksum, write_overlaps
from vision_flan.dataset.publication import PublishedTask
from vision_flan.errors import Location, VflanError
from vision_flan.hub.plan import CHANGED, UNCHANGED
from vision_flan.report import Silent

HEADING = "### Overlap with benchmarks"


def overlap(folder: Path, task: str, **counts: int) -> Overlap:
    facts = {"benchmark_images": 4329, "bits": 6, "instances": 4, "exact": 0, "near": 0, "dropped": 0}
    return Overlap(**{**facts, **counts}, shards=shards_checksum(read_manifests(folder)[task]))


def record(folder: Path, found: dict[str, dict[str, dict[str, int]]]) -> None:
    """Write what `vflan duplicates --against` found: task -> benchmark -> counts."""
    overlaps: Overlaps = {
        task: {name: overlap(folder, task, **counts) for name, counts in some.items()}
        for task, some in found.items()
    }
    write_overlaps(folder, read_manifests(folder), overlaps)
    write_card(folder)


def table(card: str) -> list[str]:
    """The rows of the card's table of benchmarks."""
    section = card.partition(HEADING)[2].partition("\n#")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text("utf-8")


def test_the_card_names_each_benchmark_with_the_tasks_that_still_share_images_with_it(
    folder: Path,
) -> None:
    record(
        folder,
        {
            "ocr_one": {"MMBench": {"exact": 1, "near": 2, "dropped": 1}, "POPE": {}},
            "scene_two": {"MMBench": {"near": 3}},
        },
    )
    assert table(card_of(folder)) == [
        "| MMBench<br>4,329 images<br>2 of 2 tasks | 6 | 1 | `scene_two` 3, `ocr_one` 2 |",
        "| POPE<br>4,329 images<br>1 of 2 tasks | 0 | 0 | no task |",
    ]
    assert "a\n  benchmark that is not [below](#overlap-with-benchmarks)" in card_of(folder)
    assert is_current(folder, read_manifests(folder))


def test_without_a_comparison_the_card_says_only_to_make_one(folder: Path) -> None:
    assert HEADING not in card_of(folder)
    assert "before you evaluate a model on them: `vflan duplicates FOLDER --against BENCHMARK`" in card_of(
        folder
    )


def test_bytes_only_and_to_the_eye_are_told_apart(folder: Path) -> None:
    record(folder, {"ocr_one": {"POPE": {"bits": -1, "exact": 1}}})
    assert table(card_of(folder)) == [
        "| POPE<br>4,329 images, bytes only<br>1 of 2 tasks | 1 | 0 | `ocr_one` 1 |"
    ]
    assert "to\nthe eye" not in card_of(folder)
    record(folder, {"scene_two": {"POPE": {"near": 1}}})
    assert len(table(card_of(folder))) == 2, "the two ways are no one number"
    assert "to\nthe eye" in card_of(folder)


def test_many_tasks_do_not_fill_a_cell(tmp_path: Path) -> None:
    names = [f"task_{at:02}" for at in range(15)]
    folder = compile_folder(tmp_path / "out", dict.fromkeys(names, "yes"))
    record(folder, {name: {"POPE": {"exact": 1}} for name in names})
    (row,) = table(card_of(folder))
    assert "`task_11` 1 and 3 more tasks |" in row and "task_12" not in row


def test_a_rebuilt_task_is_known_no_more(folder: Path) -> None:
    record(folder, {"ocr_one": {"POPE": {"exact": 1}}, "scene_two": {"POPE": {"near": 1}}})
    compile_task(folder, "ocr_one", version="2")
    assert not is_current(folder, read_manifests(folder)), "verify finds the card stale"
    write_card(folder)
    assert table(card_of(folder)) == ["| POPE<br>4,329 images<br>1 of 2 tasks | 1 | 0 | `scene_two` 1 |"]


@pytest.mark.parametrize("verdict", ["yes", "no"])
def test_a_published_card_names_them_whatever_the_form(
    hub: HubServer, publish: Publish, tmp_path: Path, verdict: str
) -> None:
    folder = compile_folder(tmp_path / "out", {"ocr_one": verdict})
    publish(folder)
    assert "overlaps" not in hub.files(REPO)["manifest/ocr_one.json"].decode(), "nothing is known"
    record(folder, {"ocr_one": {"POPE": {"exact": 1, "near": 1}}})
    plan = publish.plan(folder)
    (change,) = plan.to_do
    assert change.action == CHANGED and not change.uploads, "only the manifest, not the shards"
    publish(folder)
    there = hub.files(REPO)
    assert table(there["README.md"].decode()) == table(card_of(folder)) != []
    assert json.loads(there["manifest/ocr_one.json"])["published"]["overlaps"]["POPE"]["near"] == 1
    assert actions(publish.plan(folder)) == {"ocr_one": UNCHANGED}


def test_the_overlaps_of_somebody_elses_tasks_stay_in_the_card(
    hub: HubServer, publish: Publish, tmp_path: Path
) -> None:
    theirs = compile_folder(tmp_path / "theirs", {"ocr_one": "yes"})
    record(theirs, {"ocr_one": {"POPE": {"exact": 1}}})
    publish(theirs)
    publish(compile_folder(tmp_path / "ours", {"scene_two": "yes"}))
    assert table(hub.files(REPO)["README.md"].decode()) == [
        "| POPE<br>4,329 images<br>1 of 2 tasks | 1 | 0 | `ocr_one` 1 |"
    ]


def test_no_image_and_no_path_of_a_benchmark_is_sent(
    hub: HubServer, publish: Publish, tmp_path: Path, transport: str
) -> None:
    bench = compile_folder(tmp_path / "secret-bench", {"bench_one": "no"})
    folder = compile_folder(tmp_path / "out", {"ocr_one": "yes", "c_no": "no"})
    record(folder, {task: {bench.name: {"exact": 1}} for task in ("ocr_one", "c_no")})
    publish(folder)
    kept = b"".join(hub.everything_received())
    assert b"secret-bench" in kept and str(tmp_path).encode() not in kept and b"bench_one" not in kept
    for task in ("bench_one", "c_no"):
        for row in range(4):
            noise = marker(f"{task} 1 00000-of-00001-{row}")
            assert not any(noise[at : at + 16] in kept for at in range(0, len(noise) - 16, 16))


HOSTILE = [
    "<script>alert(1)</script>",
    "a | b | c",
    "x\n\n# Everything is free",
    "[free](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "`code`",
    "\u202egnp.exe",
    "\x1b[2J",
    "[[_TOC_]] $x$ ~~y~~ &copy;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_benchmark_is_text(hub: HubServer, publish: Publish, tmp_path: Path, name: str) -> None:
    folder = compile_folder(tmp_path / "out", {"ocr_one": "yes"})
    record(folder, {"ocr_one": {name: {"exact": 1}}})
    publish(folder)
    for card in (card_of(folder), hub.files(REPO)["README.md"].decode()):
        (row,) = table(card)
        assert row.replace(r"\|", "").count("|") == 5
        shown = row.removeprefix("| ").partition("<br>")[0]
        assert not re.search(r"[<>\[\]`*~$!#\x00-\x1f\u202e]", re.sub(r"&#\d+;", "", shown)), shown
        assert not [line for line in card.splitlines() if line.startswith("# Everything")]


NOT_OURS: dict[str, object] = {
    "no mapping": [],
    "a benchmark of text": {"POPE": "one"},
    "a count of text": {"POPE": {"exact": "<b>"}},
    "a count of a half": {"POPE": {"exact": 0.5}},
    "true": {"POPE": {"exact": True}},
    "a negative count": {"POPE": {"exact": -1}},
    "more dropped than found": {"POPE": {"dropped": 1}},
    "more found than there are": {"POPE": {"exact": 5}},
    "a key of its own": {"POPE": {"x": 1}},
}


@pytest.mark.parametrize("case", NOT_OURS)
def test_what_is_not_ours_is_no_overlap_in_a_folder_and_refused_from_a_repository(
    folder: Path, case: str
) -> None:
    facts = vars(overlap(folder, "ocr_one"))
    wrong = NOT_OURS[case]
    if isinstance(wrong, dict):
        wrong = {k: {**facts, **v} if isinstance(v, dict) else v for k, v in wrong.items()}
    (folder / "overlaps.json").write_text(json.dumps({"version": 1, "tasks": {"ocr_one": wrong}}))
    manifests = read_manifests(folder)
    assert read_overlaps(folder, manifests) == {}
    write_card(folder)
    assert HEADING not in card_of(folder)
    published = {"form": "whole", "license": "yes", "shards": [], "overlaps": wrong}
    text = json.dumps({**json.loads(manifests["ocr_one"].to_json()), "published": published})
    with pytest.raises(VflanError, match="not a published manifest"):
        PublishedTask.from_json(text, Location("manifest/ocr_one.json"))


def test_a_merged_folder_knows_what_each_of_its_folders_knew(tmp_path: Path) -> None:
    one = compile_folder(tmp_path / "one", {"ocr_one": "yes"})
    two = compile_folder(tmp_path / "two", {"scene_two": "yes"})
    record(one, {"ocr_one": {"POPE": {"exact": 1}}})
    record(two, {"scene_two": {"POPE": {}, "MMBench": {"near": 1}}})
    merge([one, two], tmp_path / "both", Silent())
    both = tmp_path / "both"
    assert read_overlaps(both, read_manifests(both)) == {
        "ocr_one": {"POPE": overlap(one, "ocr_one", exact=1)},
        "scene_two": {"MMBench": overlap(two, "scene_two", near=1), "POPE": overlap(two, "scene_two")},
    }
    assert len(table(card_of(both))) == 2


def test_a_published_manifest_comes_back_with_its_overlaps(folder: Path) -> None:
    manifest = read_manifests(folder)["ocr_one"]
    plain = PublishedTask.from_json(manifest.to_json(), Location("m"))
    known = {"POPE": overlap(folder, "ocr_one", exact=2)}
    full = replace(plain, publication=replace(plain.publication, overlaps=known))
    again = PublishedTask.from_json(full.to_json(), Location("m"))
    assert again.publication == full.publication
