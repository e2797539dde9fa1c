"""Where blocks are made, and by how many workers, changes no byte; a worker that dies costs nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from tests.toy import Toy
from vision_flan.build import looked_up, schedule
from vision_flan.build.blocks import BlockMaker, Made, Span, Tables
from vision_flan.build.compile import Result
from vision_flan.build.cores import usable_cores
from vision_flan.build.engines import EngineSpec, InFlight, Inline, open_engine
from vision_flan.build.looked_up import LookedUp
from vision_flan.build.schedule import Schedule, layout_of
from vision_flan.dataset.manifest import manifest_path
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.errors import BadRawError, MachineError, SpecError
from vision_flan.report import Silent

REPOSITORY = Path(__file__).parents[2]


def shas(result: Result) -> list[tuple[int, str]]:
    return [(shard.rows, shard.sha256) for shard in result.manifest.shards]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Seven blocks; every third image is missing."""
    toy = Toy(tmp_path_factory.mktemp("large"), count=6 * BLOCK_ROWS + 50)
    for i in range(0, 6 * BLOCK_ROWS, 3):
        (toy.raw / f"toy/images/{i:04}.png").unlink()
    return toy


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of three blocks, and processes for all work."""
    monkeypatch.setattr(schedule, "RUN_BLOCKS", 3)
    monkeypatch.setattr(schedule, "WORTH_STARTING", 0.0)


@pytest.mark.usefixtures("short_runs")
class TestTheSameBytes:
    @pytest.mark.parametrize("limit", [None, 3100])
    def test_in_one_piece_in_parts_and_in_processes(
        self, large: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
    ) -> None:
        whole = large.compile(out=tmp_path / "whole", limit=limit)
        monkeypatch.setattr(schedule, "LOSABLE", 0.0)
        parts = large.compile(out=tmp_path / "parts", limit=limit)
        two = large.compile(out=tmp_path / "two", limit=limit, engine=EngineSpec(jobs=2))
        six = large.compile(out=tmp_path / "six", limit=limit, engine=EngineSpec(jobs=6))
        assert len(shas(whole)) == (3 if limit is None else 2)
        assert shas(whole) == shas(parts) == shas(two) == shas(six)
        outs = ("whole", "parts", "two", "six")
        assert len({manifest_path(tmp_path / out, "toy_color").read_text() for out in outs}) == 1
        assert parts.manifest.contents["images"] == whole.manifest.contents["images"] != 0

    def test_runs_in_one_piece_in_processes(
        self, large: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedule, "RUN_BLOCKS", 1)
        one = large.compile(out=tmp_path / "one", limit=3100)
        three = large.compile(out=tmp_path / "three", limit=3100, engine=EngineSpec(jobs=3))
        assert len(shas(one)) == 5
        assert shas(one) == shas(three)

    def test_a_quota_ends_where_the_selection_order_says(self, large: Toy, tmp_path: Path) -> None:
        counts = large.compile(out=tmp_path / "out", limit=1500).manifest.counts
        assert counts["written"] == 1500 and counts["candidates"] == 6050
        rest = counts["written"] + counts["not_needed"] + counts["dropped"]["missing_image"]
        assert rest == 6050

    def test_a_field_of_other_records_is_drawn_alike_in_workers(
        self, large: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy = large
        toy.replace("form: options", "form: options\nderive:\n  wrong: {other: color, differ_in: name}")
        toy.replace('target: "', 'input: "{{ wrong }}"\ntarget: "')
        try:
            one = toy.compile(out=tmp_path / "one")
            two = toy.compile(out=tmp_path / "two", engine=EngineSpec(jobs=2))
        finally:
            toy.replace("\nderive:\n  wrong: {other: color, differ_in: name}", "")
            toy.replace('input: "{{ wrong }}"\n', "")
        assert shas(one) == shas(two)


@pytest.mark.usefixtures("short_runs")
class TestWorkers:
    def test_errors_of_a_worker_are_those_of_one_process(self, large: Toy, tmp_path: Path) -> None:
        large.replace("image: images/{{ name }}", "image: images/{{ nam }}")
        try:
            for jobs in (1, 2):
                with pytest.raises(SpecError, match="'nam' is undefined") as caught:
                    large.compile(out=tmp_path / str(jobs), engine=EngineSpec(jobs=jobs))
                assert "toy_color.yaml:8" in str(caught.value)
        finally:
            large.replace("image: images/{{ nam }}", "image: images/{{ name }}")

    def test_a_disk_that_fills_while_parts_are_joined_is_said_and_the_parts_are_kept(
        self, large: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path) -> Iterator[pa.RecordBatch]:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        out = tmp_path / "out"
        with monkeypatch.context() as patch:
            patch.setattr("vision_flan.build.joining.batches_of", full)
            with pytest.raises(MachineError, match="No space left"):
                large.compile(out=out, engine=EngineSpec(jobs=6))
        assert list(out.glob(".vflan/toy_color/blocks/*.arrow"))
        assert not (out / "toy_color").exists()
        assert shas(large.compile(out=out, engine=EngineSpec(jobs=6))) == shas(
            large.compile(out=tmp_path / "undisturbed")
        )

    def test_progress_of_workers_arrives(self, large: Toy, tmp_path: Path) -> None:
        class Report(Silent):
            rows = 0
            lock = threading.Lock()

            def advance(self, steps: int, size: int = 0) -> None:
                with self.lock:  # workers report through a thread, and this process makes blocks too
                    self.rows += steps if size else 0

        report = Report()
        result = large.compile(report=report, out=tmp_path / "out", engine=EngineSpec(jobs=2))
        assert report.rows >= result.manifest.rows

    def test_of_two_jobs_this_process_is_one(
        self, large: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here: list[int] = []
        part = BlockMaker.part

        def noted(maker: BlockMaker, span: Span, tables: Tables) -> Made:
            here.append(span.first)
            return part(maker, span, tables)

        monkeypatch.setattr(BlockMaker, "part", noted)
        two = large.compile(out=tmp_path / "two", engine=EngineSpec(jobs=2))
        assert here, "it waited for another process all the time"
        assert shas(two) == shas(large.compile(out=tmp_path / "one"))

    def test_a_build_of_two_jobs_that_is_killed_goes_on_and_leaves_no_worker(
        self, large: Toy, tmp_path: Path
    ) -> None:
        code = f"""
            import os, signal
            from pathlib import Path
            from vision_flan.build import schedule
            from vision_flan.build.compile import Options, compile_task
            from vision_flan.build.engines import EngineSpec
            from vision_flan.report import Silent
            from vision_flan.spec.catalog import Catalog
            class Report(Silent):
                rows = 0
                def advance(self, steps, size=0):
                    self.rows += steps if size else 0
                    if self.rows > 2500:
                        os.kill(os.getpid(), signal.SIGKILL)
            schedule.RUN_BLOCKS, schedule.WORTH_STARTING = 3, 0.0
            root, out = Path({str(large.root)!r}), Path({str(tmp_path / "out")!r})
            catalog = Catalog(root / "task_specs", root / "instructions")
            options = Options(engine=EngineSpec(jobs=2))
            compile_task("toy_color", root / "raw", out, catalog, options, Report())
        """
        killed = subprocess.run(  # returns when no worker is left that holds the pipe
            [sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY, check=False,
            stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert list((tmp_path / "out/.vflan/toy_color/blocks").glob("*.json"))
        again = large.compile(out=tmp_path / "out", engine=EngineSpec(jobs=2))
        assert shas(again) == shas(large.compile(out=tmp_path / "one"))
        assert not (tmp_path / "out/.vflan/toy_color/blocks").exists()

    def test_large_images_are_shared_out_however_quickly_their_rows_are_made(self) -> None:
        class Rows:
            count = 5_000

            def expect(self, count: int) -> None:
                """Nothing to prepare."""

            def table(self, start: int, rows: int) -> None:
                """No row is looked at."""

        class Maker:
            def probe(self, table: None) -> tuple[float, float]:
                return 100_000, 0.00002

        layout = layout_of(Maker(), Rows(), None)  # type: ignore[arg-type]
        assert layout.run == 1 and layout.seconds == pytest.approx(5_000 * (0.00002 + 0.00012))

    def test_small_work_starts_no_process(self, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("a process for twelve rows")

        monkeypatch.setattr("vision_flan.build.processes.Processes.submit", refuse)
        assert toy.compile(engine=EngineSpec(jobs=8)).manifest.rows == 12


@pytest.mark.usefixtures("short_runs")
class TestTroubleInTheMiddle:
    """The raw files or the disk fail while workers build; the same command then ends in the same files."""

    @pytest.fixture
    def small(self, tmp_path: Path) -> Toy:
        return Toy(tmp_path, count=2 * BLOCK_ROWS + 50)

    @pytest.mark.parametrize("trouble", ["replaced", "removed", "a folder"])
    def test_an_image_that_changes_is_not_installed(self, small: Toy, trouble: str) -> None:
        expected = small.compile(out=small.root / "expected").manifest
        first = small.rows(small.root / "expected")[0]["source_id"]
        image = small.raw / "toy/images" / first
        content = image.read_bytes()

        class Report(Silent):
            rows = 0

            def advance(self, steps: int, size: int = 0) -> None:
                self.rows += steps if size else 0
                if self.rows > BLOCK_ROWS + 100 and image.is_file() and image.read_bytes() == content:
                    image.unlink()
                    if trouble == "replaced":
                        image.write_bytes(b"another")
                    elif trouble == "a folder":
                        image.mkdir()

        with pytest.raises(BadRawError, match=f"changed during the build: images/{first}"):
            small.compile(report=Report(), engine=EngineSpec(jobs=2))
        assert not (small.out / "toy_color").exists()
        if image.is_dir():
            image.rmdir()
        image.write_bytes(content)
        assert small.compile(engine=EngineSpec(jobs=2)).manifest.shards == expected.shards

    def second_look(self, monkeypatch: pytest.MonkeyPatch, before: Callable[[Schedule, str], None]) -> None:
        """Do something to the image that is looked at last, when all are read; each job looks at some."""
        look = Schedule.first_change

        def late(made: Schedule, images: LookedUp) -> str | None:
            assert images.pieces > 100
            before(made, [path for seen in images for path in seen.stamps][-1])
            return look(made, images)

        monkeypatch.setattr(looked_up, "PIECE", 10)
        monkeypatch.setattr(Schedule, "first_change", late)

    def test_a_worker_too_sees_that_an_image_has_changed(
        self, small: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.second_look(monkeypatch, lambda _, path: os.utime(small.raw / "toy" / path, (1, 1)))
        with pytest.raises(BadRawError, match="changed during the build: images/"):
            small.compile(engine=EngineSpec(jobs=2))
        assert not (small.out / "toy_color").exists()

    def test_a_worker_that_dies_before_its_second_look_is_replaced(
        self, small: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killed: list[int] = []

        def kill(made: Schedule, _: str) -> None:
            pool = made._engine._pool._processes  # type: ignore[attr-defined]
            killed.extend(pool)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

        self.second_look(monkeypatch, kill)
        assert small.compile(engine=EngineSpec(jobs=2)).manifest.rows == 2 * BLOCK_ROWS + 50
        assert killed

    def test_a_disk_that_fills_in_a_worker_is_said(self, small: Toy) -> None:
        for i in range(200):
            noise = Image.effect_noise((100, 100), 90)
            noise.save(small.raw / f"toy/images/{i:04}.png", "PNG")
        code = f"""
            import resource, sys
            from pathlib import Path
            from vision_flan.build import schedule
            from vision_flan.cli.main import run, vflan
            from vision_flan.spec.catalog import Catalog
            root = Path({str(small.root)!r})
            Catalog.default = classmethod(lambda cls: cls(root / "task_specs", root / "instructions"))
            schedule.WORTH_STARTING = 0.0
            resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))  # EFBIG, as on a full disk
            sys.exit(run(vflan, ["compile", "--task", "toy_color", "--raw", str(root / "raw"), "--jobs", "2",
                                 "--out", str(root / "vision-flan")]))
        """
        full = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=REPOSITORY, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert full.returncode == 5, full.stderr
        assert "cannot write: File too large" in full.stderr and "Traceback" not in full.stderr
        assert not (small.out / "toy_color").exists()
        assert small.compile().manifest.rows == 2 * BLOCK_ROWS + 50


def die_once(mark: Path, value: int) -> int:
    """Kill this process, the first time."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def wait_for(mark: Path) -> int:
    while not mark.exists():
        pass
    return os.getpid()


class TestLostWorkers:
    def test_a_worker_that_is_killed_once_is_replaced_and_no_result_is_lost(self, tmp_path: Path) -> None:
        with open_engine(EngineSpec(jobs=2)) as engine:
            flight = InFlight(engine)
            units = [flight.start(f"unit {i}", die_once, tmp_path / "mark", i) for i in range(4)]
            assert [flight.take(unit) for unit in units] == [0, 1, 2, 3]

    def test_work_that_kills_its_worker_twice_is_named_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        with open_engine(EngineSpec(jobs=2)) as engine:
            flight = InFlight(engine)
            bad = flight.start("block 7 of toy_color", die)
            good = flight.start("block 8 of toy_color", die_once, tmp_path, 8)
            with pytest.raises(MachineError, match="killed twice while it made block 7 of toy_color"):
                flight.take(bad)
            assert flight.take(good) == 8

    def test_workers_end_with_the_engine(self, tmp_path: Path) -> None:
        with open_engine(EngineSpec(jobs=2)) as engine:
            ready, never = tmp_path / "ready", tmp_path / "never"
            ready.touch()
            worker = engine.submit(wait_for, ready).result()
            engine.submit(wait_for, never)
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)

    def test_one_job_is_this_process(self) -> None:
        with open_engine(EngineSpec(jobs=1)) as engine:
            assert isinstance(engine, Inline)
            assert engine.submit(os.getpid).result() == os.getpid()

    def test_the_default_is_the_cores_this_process_may_use(self) -> None:
        assert EngineSpec(jobs=None).cores() == usable_cores() == len(os.sched_getaffinity(0))

    def test_a_broken_engine_is_an_executor_that_is_broken(self) -> None:
        with open_engine(EngineSpec(jobs=2)) as engine:
            assert isinstance(engine.submit(die).exception(), BrokenExecutor)
