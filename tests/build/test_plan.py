"""Who gets how many instances: the paper's cap and total, counted supplies, a user's own plan."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.pets import TASK, pets_catalog, pets_raw
from vision_flan.build.plan import PAPER_INSTANCES, Supply, allocate, choose_tasks, read_quotas, water_fill
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.manifest import read_manifest
from vision_flan.errors import ExitCode, SpecError
from vision_flan.spec.catalog import Catalog

counts = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.integers(0, 50_000), max_size=30)


def supply(task: str, declared: int | None, category: str = "OCR", **more: int) -> Supply:
    return Supply(task, category, declared, "high", **more)  # type: ignore[arg-type]


# --- water-filling


@given(available=counts, wanted=st.integers(0, 400_000), seed=st.integers(0, 5))
def test_the_total_is_exact_whenever_there_is_as_much(
    available: dict[str, int], wanted: int, seed: int
) -> None:
    quotas, _ = water_fill(available, wanted, seed)
    assert sum(quotas.values()) == min(wanted, sum(available.values()))
    assert all(0 <= quotas[task] <= available[task] for task in available)


@given(available=counts, wanted=st.integers(0, 400_000))
def test_tasks_that_do_not_give_all_differ_by_one_at_most(available: dict[str, int], wanted: int) -> None:
    quotas, level = water_fill(available, wanted)
    cut = [quotas[task] for task in available if quotas[task] < available[task]]
    assert not cut or max(cut) - min(cut) <= 1
    assert all(count <= level for count in quotas.values())


@given(available=counts, wanted=st.integers(0, 400_000))
def test_more_wanted_never_takes_from_a_task(available: dict[str, int], wanted: int) -> None:
    less, _ = water_fill(available, wanted)
    more, _ = water_fill(available, wanted + 1)
    assert all(more[task] >= less[task] for task in available)


@given(available=counts, wanted=st.integers(0, 400_000))
def test_the_order_of_tasks_does_not_matter(available: dict[str, int], wanted: int) -> None:
    backwards = dict(reversed(available.items()))
    assert water_fill(available, wanted)[0] == water_fill(backwards, wanted)[0]


def test_the_seed_decides_who_gets_the_odd_instance() -> None:
    available = dict.fromkeys("abcdefgh", 100)
    winners = {
        next(t for t, n in water_fill(available, 81, seed)[0].items() if n == 11) for seed in range(20)
    }
    assert len(winners) > 1


# --- plans


def test_small_tasks_give_all_the_rest_the_cap_and_then_share_what_is_missing() -> None:
    made = allocate(
        [supply("small", 4_000), supply("mid", 10_500), supply("large", 90_000)], suite="s", wanted=30_000
    )
    assert made.quotas == {"small": 4_000, "mid": 10_500, "large": 15_500}
    assert (made.total, made.missing) == (30_000, 0)
    assert {share.task: share.over_cap for share in made.shares} == {"small": 0, "mid": 500, "large": 5_500}
    reasons = {share.task: share.reason for share in made.shares}
    assert reasons["small"] == reasons["mid"] == "all that is available"
    assert reasons["large"] == "the cap plus a share of what the total lacks"


def test_what_no_task_has_is_said_to_be_missing() -> None:
    made = allocate([supply("a", 10), supply("b", 20)], suite="s", wanted=100)
    assert (made.total, made.missing) == (30, 70)


def test_without_a_total_nobody_exceeds_the_cap() -> None:
    made = allocate([supply("a", 4_000), supply("b", 90_000)], suite="s", cap=500)
    assert made.quotas == {"a": 500, "b": 500}
    assert made.missing == 0


def test_counted_goes_before_declared_and_unknown_is_taken_for_the_cap() -> None:
    made = allocate([supply("a", 4_000, counted=3_999), supply("b", None)], suite="s")
    assert made.quotas == {"a": 3_999, "b": 10_000}
    assert [share.basis for share in made.shares] == ["counted", "unknown"]
    assert made.shares[1].reason == "availability unknown: the cap is assumed"


def test_a_limit_of_the_spec_holds_even_when_instances_are_missing() -> None:
    made = allocate([supply("a", 40_000, limit=200), supply("b", 100)], suite="s", wanted=10_000)
    assert made.quotas == {"a": 200, "b": 100}
    assert made.shares[0].reason == "the limit of the spec"


def test_a_total_below_the_cap_lowers_all_evenly() -> None:
    made = allocate([supply("a", 40_000), supply("b", 100), supply("c", 9_000)], suite="s", wanted=1_100)
    assert made.quotas == {"a": 500, "b": 100, "c": 500}


# --- choice of tasks


def many() -> list[Supply]:
    sizes = {"OCR": 12, "Reasoning": 3, "Perception": 1}
    return [supply(f"{c.lower()}_{i}", 20_000, c) for c, size in sizes.items() for i in range(size)]


def test_chosen_tasks_are_balanced_over_categories() -> None:
    chosen = choose_tasks(many(), 7, 10_000)
    assert Counter(found.category for found in chosen) == {"OCR": 3, "Reasoning": 3, "Perception": 1}
    assert len({found.task for found in chosen}) == 7


def test_chosen_tasks_depend_on_the_seed_and_not_on_the_order() -> None:
    assert choose_tasks(many(), 5, 10_000) == choose_tasks(many()[::-1], 5, 10_000)
    assert len({tuple(s.task for s in choose_tasks(many(), 5, 10_000, seed)) for seed in range(10)}) > 1


def test_tasks_that_have_enough_are_chosen_first() -> None:
    chosen = choose_tasks([supply("poor", 10, "Reasoning"), supply("rich", 20_000)], 2, 10_000)
    assert [found.task for found in chosen] == ["rich", "poor"]
    assert len(choose_tasks(many(), 100, 10_000)) == 16


# --- the command


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    found = pets_catalog(tmp_path)
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: found))
    return found


def suite_plan(*arguments: str) -> Result:
    return CliRunner().invoke(vflan, ["suite", "plan", "small", *arguments], catch_exceptions=False)


def test_the_plan_is_a_table_with_the_total_below(catalog: Catalog) -> None:
    result = suite_plan()
    assert (
        result.stdout.splitlines()[1]
        == "animal_pets\tAnimal Classification\t200\t\t200\t\tall that is available"
    )
    assert "1 task, 200 instances" in result.stderr


def test_raw_files_are_counted_where_they_are(catalog: Catalog, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (share,) = json.loads(suite_plan("--raw", str(raw), "--json").stdout)["tasks"]
    assert (share["counted"], share["reason"]) == (None, "all that is available; no raw files")
    pets_raw(raw)
    (share,) = json.loads(suite_plan("--raw", str(raw), "--json").stdout)["tasks"]
    assert (share["counted"], share["available"], share["quota"], share["basis"]) == (10, 10, 10, "counted")


def test_the_cost_is_what_a_build_then_reads_and_writes(catalog: Catalog, tmp_path: Path) -> None:
    raw = pets_raw(tmp_path / "raw", 400)
    found = json.loads(suite_plan("--raw", str(raw), "--cost", "--json").stdout)
    (task,) = found["cost"]["tasks"]
    out = tmp_path / "out"
    assert (
        run(vflan, ["compile", "--task", TASK, "--raw", str(raw), "--out", str(out), "--limit", "400"]) == 0
    )
    manifest = read_manifest(out / "manifest" / f"{TASK}.json")
    images = sum(path.stat().st_size for path in (raw / "pets/images").iterdir())
    assert (task["basis"], task["instances"]) == ("measured", found["quotas"][TASK])
    whole = task["instances"] / manifest.rows
    assert task["writes"] == pytest.approx(manifest.num_bytes * whole, rel=0.1)
    assert task["reads"] == pytest.approx(images * whole + (raw / "pets/pets.jsonl").stat().st_size, rel=0.1)
    assert task["images"] == pytest.approx(manifest.images["files"] * whole, rel=0.1)
    assert found["cost"]["minutes_in_one_process"] * 60 < 60
    assert task["seconds"] > 0


def test_the_cost_is_a_table_with_the_total_below(catalog: Catalog, tmp_path: Path) -> None:
    result = suite_plan("--raw", str(pets_raw(tmp_path / "raw")), "--cost")
    assert f"{TASK}\t10\t10\t" in result.stdout
    assert "10 images; " in result.stderr
    assert "minutes in one process" in result.stderr


def test_a_task_that_cannot_be_measured_says_why(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    result = suite_plan("--raw", str(tmp_path / "raw"), "--cost")
    assert "\tno raw files" in result.stdout
    assert "1 task without an estimate" in result.stderr
    assert suite_plan("--cost").exit_code == 2


def test_raw_files_that_cannot_be_read_are_said_and_declared_is_used(
    catalog: Catalog, tmp_path: Path
) -> None:
    raw = pets_raw(tmp_path / "raw")
    (raw / "pets" / "pets.jsonl").write_text('{"id": 1,\n', "utf-8")
    result = suite_plan("--raw", str(raw))
    assert "animal_pets is not counted" in result.stderr
    assert "\t200\t\t200\t\tall that is available; not counted: " in result.stdout


def test_what_is_wanted_and_missing_is_said(catalog: Catalog) -> None:
    assert "wanted 150: reached exactly" in suite_plan("--instances", "150").stderr
    result = suite_plan("--instances", "300", "--cap", "100")
    assert "wanted 300: 100 are missing: no task has more" in result.stderr
    assert "1 task above the cap of 100, by up to 100 (level 200)" in result.stderr


def test_tasks_and_per_task_make_a_plan_of_ones_own(catalog: Catalog) -> None:
    made = json.loads(suite_plan("--tasks", "10", "--per-task", "50", "--json").stdout)
    assert made["quotas"] == {TASK: 50}


def test_the_papers_suite_is_filled_up_to_the_papers_total(catalog: Catalog) -> None:
    suites = catalog.specs / "suites"
    (suites / "small.yaml").rename(suites / "vision_flan.yaml")
    result = CliRunner().invoke(vflan, ["suite", "plan", "vision_flan", "--json"])
    made = json.loads(result.stdout)
    assert (made["wanted"], made["missing"]) == (PAPER_INSTANCES, PAPER_INSTANCES - 200)


def test_an_unknown_suite_is_an_error(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(vflan, ["suite", "plan", "large"]) == ExitCode.FAILED
    assert "suites: small" in capsys.readouterr().err
    assert run(vflan, ["suite", "plan", "small", "--cap", "1", "--per-task", "1"]) == ExitCode.USAGE


def test_compile_takes_its_quotas_from_a_plan(catalog: Catalog, tmp_path: Path) -> None:
    raw, out, file = pets_raw(tmp_path / "raw"), tmp_path / "out", tmp_path / "plan.json"
    file.write_text(suite_plan("--raw", str(raw), "--cap", "4", "--json").stdout, "utf-8")
    assert run(vflan, ["compile", "--plan", str(file), "--raw", str(raw), "--out", str(out)]) == ExitCode.OK
    assert read_manifest(out / "manifest" / f"{TASK}.json").rows == 4


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"quotas": {"a": "3"}}', '{"quotas": {"a": -1}}', '{"quotas": []}']
)
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text, "utf-8")
    with pytest.raises(SpecError, match="not a plan"):
        read_quotas(tmp_path / "plan.json")


def test_a_plan_says_in_one_line_how_its_total_comes_about() -> None:
    rows = [supply("poor", 400), supply("even", 10_000), supply("rich", 20_000), supply("richer", 90_000)]
    strict = allocate(rows, suite="small")
    assert strict.explained == "30,400 = 2 tasks give all they have, 2 the cap of 10,000"
    rows = [supply("poor", 400), supply("even", 10_000), supply("rich", 20_000), supply("richer", 10**7)]
    filled = allocate(rows, suite="vision_flan", wanted=PAPER_INSTANCES)
    assert filled.explained == (
        "1,664,261 = 2 tasks give all they have, 0 the cap of 10,000, 2 up to 1,633,861 to reach the total; "
        "the paper draws from more splits; --cap 10000 alone gives 30,400 here"
    )


def test_counting_the_records_of_a_suite_is_one_stage_with_a_step_a_task(
    tmp_path: Path, catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = pets_raw(tmp_path / "raw")
    assert run(vflan, ["suite", "plan", "small", "--raw", str(raw)]) == ExitCode.OK
    stages = [line for line in capsys.readouterr().err.splitlines() if line.endswith(" ...")]
    assert stages == [f"counting records of tasks: {len(catalog.suite('small'))} ..."]
