"""Shares of a suite for arrays of jobs, and `vflan merge`, which puts their folders together."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.killed import REPOSITORY, kill_at_random_points
from vision_flan.build.engines import EngineSpec
from vision_flan.build.job import Options
from vision_flan.build.many import select
from vision_flan.build.shares import expected_size, share_of
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.manifest import verify
from vision_flan.errors import SpecError
from vision_flan.miniatures import registry
from vision_flan.spec.catalog import Catalog

DATASETS = ("textocr", "raven", "dtd", "ok_vqa")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.default()


class TestShares:
    @settings(max_examples=20, deadline=None)
    @given(shares=st.integers(1, 12))
    def test_shares_are_disjoint_whole_in_order_and_balanced(self, catalog: Catalog, shares: int) -> None:
        selection = select(catalog, Options(), suite="evaluation")
        dealt = [share_of(selection, f"{i}/{shares}", catalog) for i in range(1, shares + 1)]
        assert sorted(name for share in dealt for name in share) == sorted(selection)
        order = list(selection)
        assert all(sorted(share, key=order.index) == list(share) for share in dealt)
        sizes = {name: expected_size(catalog.task(name), Options()) for name in selection}
        loads = [sum(sizes[name] for name in share) for share in dealt]
        assert max(loads) - min(loads) <= max(sizes.values())

    @pytest.mark.parametrize("share", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5"])
    def test_what_is_no_share_is_refused(self, catalog: Catalog, share: str) -> None:
        with pytest.raises(SpecError, match="is no share"):
            share_of({}, share, catalog)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Miniatures of a few datasets: JPEG, NPZ that is composed, PNG, JSON of answers."""
    folder = tmp_path_factory.mktemp("raw")
    for name in DATASETS:
        registry.make(name, folder, 60, seed=3)
    return folder


@pytest.fixture(scope="module")
def tasks(catalog: Catalog) -> list[str]:
    return [name for name, path in catalog.task_files.items() if path.parent.name in DATASETS]


def arguments(raw: Path, tasks: list[str], out: Path, *more: str) -> list[str]:
    chosen = [part for task in tasks for part in ("--task", task)]
    return ["compile", *chosen, "--raw", str(raw), "--out", str(out), "--json", *more]


def contents(out: Path) -> Mapping[str, bytes]:
    """Every file of a compiled folder, but the work folder."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.relative_to(out).parts[0].startswith(".")
    }


@pytest.fixture(scope="module")
def alone(raw: Path, tasks: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tasks compiled in one process, undisturbed."""
    out = tmp_path_factory.mktemp("alone")
    assert run(vflan, arguments(raw, tasks, out, "--jobs", "1")) == 0
    return out


def is_whole(folder: Path) -> bool:
    *_, (_, found) = verify(folder)
    return not found.problems


def test_two_jobs_write_the_same_files(raw: Path, tasks: list[str], alone: Path, tmp_path: Path) -> None:
    assert run(vflan, arguments(raw, tasks, tmp_path, "--jobs", "2")) == 0
    assert contents(tmp_path) == contents(alone)


@pytest.fixture(scope="module")
def shares(raw: Path, tasks: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The tasks in three folders."""
    folder = tmp_path_factory.mktemp("shares")
    for i in (1, 2, 3):
        share = arguments(raw, tasks, folder / str(i), "--jobs", "1", "--shard-of", f"{i}/3")
        assert run(vflan, share) == 0
    return [folder / "1", folder / "2", folder / "3"]


class TestMerge:
    def test_three_shares_are_the_same_files_and_up_to_date(
        self, raw: Path, tasks: list[str], alone: Path, shares: list[Path], tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        before = [contents(share) for share in shares]
        assert run(vflan, ["merge", *map(str, shares), "--out", str(tmp_path)]) == 0
        assert f"{len(tasks)} configs added" in capsys.readouterr().out
        assert contents(tmp_path) == contents(alone)
        assert [contents(share) for share in shares] == before and is_whole(tmp_path)
        assert run(vflan, ["merge", *map(str, shares), "--out", str(tmp_path)]) == 0
        assert "0 configs added" in capsys.readouterr().out
        assert run(vflan, arguments(raw, tasks, tmp_path, "--jobs", "1")) == 0
        assert '"built": true' not in capsys.readouterr().out

    def test_a_damaged_shard_is_not_merged(self, shares: list[Path], tmp_path: Path) -> None:
        shard = next(shares[0].glob("*/*.parquet"))
        whole = shard.read_bytes()
        shard.unlink()
        shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        try:
            assert run(vflan, ["merge", str(shares[0]), "--out", str(tmp_path)]) == 1
            assert not (tmp_path / "manifest" / f"{shard.parent.name}.json").exists()
        finally:
            shard.write_bytes(whole)

    def test_different_configs_of_one_task_are_refused(
        self, raw: Path, tasks: list[str], shares: list[Path], tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        task = next(shares[0].glob("manifest/*.json")).stem
        assert run(vflan, arguments(raw, [task], tmp_path / "other", "--limit", "3")) == 0
        folders = [str(shares[0]), str(tmp_path / "other")]
        assert run(vflan, ["merge", *folders, "--out", str(tmp_path / "out")]) == 1
        assert f"have different configs of {task}" in capsys.readouterr().err

    def test_a_folder_without_configs_is_refused(self, tmp_path: Path) -> None:
        assert run(vflan, ["merge", str(tmp_path), "--out", str(tmp_path / "out")]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_at_random_points_the_same_command_ends_in_the_same_files(
    raw: Path, tasks: list[str], alone: Path, tmp_path: Path, jobs: int
) -> None:
    """The processes of a run are killed, most of them several times, until one run is left to end."""
    code = "import sys; from vision_flan.cli.main import main; main()"
    command = [sys.executable, "-c", code, *arguments(raw, tasks, tmp_path, "--jobs", str(jobs))]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    kills = 0
    for _ in kill_at_random_points(command, environment, kills=10, seconds=(0.2, 1.2), seed=str(jobs)):
        kills += 1
        assert is_whole(tmp_path)
    time.sleep(0.2)  # workers end with their parent, within a moment
    assert kills and run(vflan, command[3:]) == 0
    assert contents(tmp_path) == contents(alone)


def test_a_share_says_its_engine_in_options(catalog: Catalog) -> None:
    options = Options(engine=EngineSpec(jobs=3))
    assert set(share_of({"ocr_textocr": options}, "1/1", catalog).values()) == {options}
