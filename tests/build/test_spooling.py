"""Images inside tables are copied once, in one pass over each table, and that decides no byte."""

from __future__ import annotations

import base64
import csv
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.toy import Toy
from vision_flan.build import schedule, spooling
from vision_flan.build.blocks import BlockMaker
from vision_flan.build.compile import Result
from vision_flan.build.engines import EngineSpec, InFlight, Unit
from vision_flan.build.inputs import ImageInputs, Seen
from vision_flan.build.spooling import Copier, Piece, Spooling, Wanted
from vision_flan.build.worker import copy_images
from vision_flan.dataset.manifest import manifest_path
from vision_flan.errors import BadRawError, ExitCode, MachineError
from vision_flan.readers.image_refs import ImageStore
from vision_flan.readers.parquet_table import ParquetReader
from vision_flan.readers.spool import Spools, write_spool

REPOSITORY = Path(__file__).parents[2]
ROWS, GROUP = 3_100, 310
FILES = {"parquet": "toy.parquet", "delimited": "toy.tsv"}
TABLE = """{{reader: {reader}, file: {file}, image_column: image, {more}
  columns: {{name: VARCHAR, color: VARCHAR}}}}"""
BASE64 = 'delimiter: "\\t", image_encoding: base64,'


def image(i: int) -> bytes | None:
    """Different for each record; some have none, some are not images."""
    if i % 97 == 0:
        return None
    if i % 89 == 0:
        return b"no image %d" % i
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (i % 251, i // 251, 7)).save(sink, "PNG", compress_level=0)
    return sink.getvalue()


def table_toy(root: Path, reader: str = "parquet") -> Toy:
    toy = Toy(root, count=0)
    dataset = (toy.specs / "toy/dataset.yaml").read_text()
    old = "{reader: json, file: toy.json, columns: {name: VARCHAR, color: VARCHAR}}"
    assert old in dataset
    more = BASE64 if reader == "delimited" else ""
    toy.write_specs(dataset.replace(old, TABLE.format(reader=reader, file=FILES[reader], more=more)))
    toy.replace("image: images/{{ name }}", 'image: "{{ image }}"')
    names, colors = [f"{i:04}" for i in range(ROWS)], ["rgby"[i % 4] for i in range(ROWS)]
    images = [image(i) for i in range(ROWS)]
    if reader == "parquet":
        table = pa.table({"name": names, "color": colors, "image": pa.array(images, pa.binary())})
        pq.write_table(table, toy.raw / "toy/toy.parquet", row_group_size=GROUP)
    else:
        with (toy.raw / "toy/toy.tsv").open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(("name", "color", "image"))
            cells = (base64.b64encode(data).decode() if data else "%" for data in images)
            writer.writerows(zip(names, colors, cells, strict=True))
    return toy


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return table_toy(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def plain(table: Toy) -> Result:
    """Compiled without any copy."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ImageStore, "may_copy", lambda self: False)
        return table.compile(out=table.root / "plain", limit=None)


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes for all work."""
    monkeypatch.setattr(schedule, "WORTH_STARTING", 0.0)


def files_of(result: Result) -> tuple[list[str], str]:
    manifest = manifest_path(result.folder, "toy_color").read_text()
    return [shard.sha256 for shard in result.manifest.shards], manifest


def spools_of(out: Path) -> Path:
    return out / ".vflan/toy_color/spools"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A write beyond it fails, as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class TestTheSameBytes:
    def test_in_one_pass_and_nothing_stays(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: Counter[int] = Counter()
        of_group = ParquetReader._of_group

        def counted(self: ParquetReader, parquet: Any, number: int, *more: Any) -> Any:
            read[number] += 1
            return of_group(self, parquet, number, *more)

        monkeypatch.setattr(ParquetReader, "_of_group", counted)
        monkeypatch.setattr(ParquetReader, "_load_group", None)
        copied = table.compile(out=tmp_path, limit=None)
        assert files_of(copied) == files_of(plain)
        assert copied.manifest.counts["dropped"] == {"unreadable_image": 32, "not_an_image": 34}
        assert len(read) == ROWS / GROUP and max(read.values()) == 2  # the other is for the first 16 rows
        assert not spools_of(tmp_path).exists()

    def test_with_two_jobs_and_room_for_two_blocks_at_a_time(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedule, "WORTH_STARTING", 0.0)
        each = plain.manifest.counts["written"] and sum(s.bytes for s in plain.manifest.shards) / ROWS
        monkeypatch.setattr(spooling, "MOST_BYTES", int(each * 4_000))
        there = []
        wanted = Copier.wanted

        def watched(self: Copier, tables: Any) -> Any:
            there.append(len({path.name.partition("-")[0] for path in self.folder.glob("*.index")}))
            return wanted(self, tables)

        monkeypatch.setattr(Copier, "wanted", watched)
        copied = table.compile(out=tmp_path, limit=None, engine=EngineSpec(jobs=2))
        assert files_of(copied) == files_of(plain)
        assert len(there) >= 2 and max(there) <= 2
        assert not spools_of(tmp_path).exists()

    def test_a_quota_copies_no_more_than_it_takes(
        self, table: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        monkeypatch.setattr(Copier, "wanted", lambda self, tables: asked.append(len([*tables])))
        limited = table.compile(out=tmp_path / "a", limit=1500)
        monkeypatch.undo()
        assert asked == [3]
        assert files_of(limited) == files_of(table.compile(out=tmp_path / "b", limit=1500))

    def test_images_in_base64(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        toy = table_toy(tmp_path, "delimited")
        copied = files_of(toy.compile(limit=None))
        monkeypatch.setattr(ImageStore, "may_copy", lambda self: False)
        alone = toy.compile(out=tmp_path / "alone", limit=None)
        assert alone.manifest.counts["dropped"]["unreadable_image"] == 32
        assert files_of(alone) == copied


class TestInterrupted:
    def test_what_a_killed_run_left_is_not_used_and_finished_blocks_are_not_copied_again(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schedule, "LOSABLE", -1.0)  # each block is a part
        part = BlockMaker.part

        def killed(self: BlockMaker, span: Any, tables: Any) -> Any:
            if span.first == 2:
                raise KeyboardInterrupt
            return part(self, span, tables)

        with monkeypatch.context() as patched:
            patched.setattr(BlockMaker, "part", killed)
            patched.setattr(Spooling, "close", lambda self: None)
            with pytest.raises(KeyboardInterrupt):
                table.compile(out=tmp_path, limit=None)
        left = spools_of(tmp_path) / "00000-000.images"
        left.write_bytes(bytes(left.stat().st_size))
        copied: list[int] = []
        monkeypatch.setattr(Copier, "wanted", _counted(Copier.wanted, copied))
        assert files_of(table.compile(out=tmp_path, limit=None)) == files_of(plain)
        assert copied == [ROWS - 2_000]

    def test_a_full_disk_ends_the_build_and_leaves_no_copy(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = Copier.copy

        def full(self: Copier, piece: Piece) -> None:
            with files_of_at_most(200_000):
                copy(self, piece)

        with monkeypatch.context() as patched:
            patched.setattr(Copier, "copy", full)
            with pytest.raises(MachineError, match="cannot write: File too large") as caught:
                table.compile(out=tmp_path, limit=None)
        assert caught.value.exit_code == ExitCode.SYSTEM and "free some space" in caught.value.hint
        assert not spools_of(tmp_path).exists()
        assert files_of(table.compile(out=tmp_path, limit=None)) == files_of(plain)

    def test_a_disk_with_no_room_reads_block_by_block(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spooling, "MOST_BYTES", 1_000)
        monkeypatch.setattr(Copier, "wanted", None)
        assert files_of(table.compile(out=tmp_path, limit=None)) == files_of(plain)

    def test_a_table_that_changes_after_the_copy_ends_the_build(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy = table_toy(tmp_path)
        file = toy.raw / "toy/toy.parquet"
        copy = Copier.copy

        def changed(self: Copier, piece: Piece) -> None:
            copy(self, piece)
            file.write_bytes(file.read_bytes() + b" ")

        monkeypatch.setattr(Copier, "copy", changed)
        with pytest.raises(BadRawError, match="raw files changed during the build: toy.parquet"):
            toy.compile(limit=None)
        assert not (toy.out / "toy_color").exists()


@pytest.mark.usefixtures("in_processes")
class TestManyJobs:
    """Each job copies pieces of the table."""

    @pytest.mark.parametrize("jobs", [2, 6])
    def test_a_row_group_is_in_one_piece_and_the_bytes_are_the_same(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
    ) -> None:
        passes: list[list[Piece]] = []
        cut = Copier.pieces

        def watched(self: Copier, *arguments: Any) -> list[Piece]:
            passes.append(cut(self, *arguments))
            return passes[-1]

        monkeypatch.setattr(Copier, "pieces", watched)
        copied = table.compile(out=tmp_path, limit=None, engine=EngineSpec(jobs=jobs))
        assert files_of(copied) == files_of(plain)
        (pieces,) = passes
        assert len(pieces) == min(2 * jobs, ROWS / GROUP / 2)
        rows = [row for piece in pieces for wanted in piece.wanted for row in wanted.rows]
        assert rows == list(range(ROWS))
        assert all(piece.wanted[0].rows[0] % GROUP == 0 for piece in pieces)
        assert not spools_of(tmp_path).exists()

    def test_a_worker_that_is_killed_while_it_copies_costs_nothing(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killed: list[int] = []

        def kill(flight: Any, unit: Unit[None]) -> None:
            while not list(spools_of(tmp_path).glob("*.tmp")) and not unit.future.done():
                time.sleep(0.0005)
            killed.extend(flight._engine._pool._processes)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

        _before_the_first_copy_is_taken(monkeypatch, kill)
        copied = table.compile(out=tmp_path, limit=None, engine=EngineSpec(jobs=6))
        assert killed and files_of(copied) == files_of(plain)
        assert not spools_of(tmp_path).exists()

    def test_ctrl_c_while_workers_copy_leaves_nothing(
        self, table: Toy, plain: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            _before_the_first_copy_is_taken(patched, interrupt)
            with pytest.raises(KeyboardInterrupt):
                table.compile(out=tmp_path, limit=None, engine=EngineSpec(jobs=6))
        assert not spools_of(tmp_path).exists() and not (tmp_path / "toy_color").exists()
        assert files_of(table.compile(out=tmp_path, limit=None)) == files_of(plain)

    def test_a_disk_that_fills_while_workers_copy_is_said(
        self, table: Toy, plain: Result, tmp_path: Path
    ) -> None:
        full = in_a_process(table, tmp_path, "spooling.MOST_BYTES, at_most = 10**9, 80_000", jobs=6)
        assert "in copy_images" in full.stderr  # of the worker's stack
        assert f"MachineError: {tmp_path}: cannot write: File too large" in full.stderr
        assert "free some space" in full.stderr
        assert not spools_of(tmp_path).exists() and not (tmp_path / "toy_color").exists()
        again = table.compile(out=tmp_path, limit=None, engine=EngineSpec(jobs=6))
        assert files_of(again) == files_of(plain)


class TestAProcessThatEndsWhileItCopies:
    """The same command then ends in the same files."""

    @pytest.mark.parametrize(("by", "left"), [("SIGKILL", ["00000-000.images.tmp"]), ("SIGINT", None)])
    def test_by_a_signal(
        self, table: Toy, plain: Result, tmp_path: Path, by: str, left: list[str] | None
    ) -> None:
        body = f"""
            source = ImageStore.source
            def ends(self, *wanted):
                found = source(self, *wanted)
                def images():
                    for number, image in enumerate(found.images):
                        if number == 1000:
                            os.kill(os.getpid(), signal.{by})
                        yield image
                return found._replace(images=images())
            ImageStore.source = ends
        """
        ended = in_a_process(table, tmp_path, textwrap.dedent(body), jobs=1)
        assert ended.returncode == -signal.SIGKILL if by == "SIGKILL" else "KeyboardInterrupt" in ended.stderr
        spools = spools_of(tmp_path)
        assert ([path.name for path in spools.iterdir()] if spools.exists() else None) == left
        assert not (tmp_path / "toy_color").exists()
        assert files_of(table.compile(out=tmp_path, limit=None)) == files_of(plain)
        assert not spools.exists()


def in_a_process(toy: Toy, out: Path, before: str, jobs: int) -> subprocess.CompletedProcess[str]:
    """Compile in a process of its own, after some code; `at_most` is the largest file it may write."""
    code = """
import os, resource, signal, sys
from pathlib import Path
from vision_flan.build import schedule, spooling
from vision_flan.build.compile import Options, compile_task
from vision_flan.build.engines import EngineSpec, InFlight, Unit
from vision_flan.readers.image_refs import ImageStore
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog
root, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
schedule.WORTH_STARTING, at_most = 0.0, resource.RLIM_INFINITY
BEFORE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (at_most, resource.RLIM_INFINITY))
catalog = Catalog(root / "task_specs", root / "instructions")
options = Options(limit=None, engine=EngineSpec(jobs=jobs))
if __name__ == "__main__":
    compile_task("toy_color", root / "raw", out, catalog, options, Silent())
"""
    return subprocess.run(
        [sys.executable, "-c", code.replace("BEFORE", before), str(toy.root), str(out), str(jobs)],
        cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=100,
        # a job in the background, as some runners start us, ignores Ctrl-C, and its children with it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def _before_the_first_copy_is_taken(patched: pytest.MonkeyPatch, do: Callable[[Any, Any], None]) -> None:
    take = InFlight.take
    done: list[object] = []

    def taken(self: Any, unit: Any) -> Any:
        if unit.work is copy_images and not done:
            done.append(unit)
            do(self, unit)
        return take(self, unit)

    patched.setattr(InFlight, "take", taken)


def _counted(wanted: Any, counts: list[int]) -> Any:
    def counted(self: Copier, tables: Any) -> Any:
        found = wanted(self, tables)
        counts.append(sum(len(one.rows) for one in found))
        return found

    return counted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    images=st.lists(st.none() | st.binary(max_size=60), min_size=1, max_size=120),
    group=st.integers(1, 50),
    picks=st.sets(st.integers(0, 130), max_size=80),
    most=st.integers(0, 4_000),
)
def test_a_copy_is_what_a_single_read_gives(
    folder: Any, images: list[bytes | None], group: int, picks: set[int], most: int
) -> None:
    cells = pa.array(images, pa.binary())
    pq.write_table(pa.table({"image": cells}), folder.root / "a.parquet", row_group_size=group)
    reader = folder.reader("parquet", "a.parquet", {}, image_column="image")
    (folder.root / "spools").mkdir(exist_ok=True)
    spools = Spools(folder.root / "spools")
    store = ImageStore(folder.raw, {"t": reader}, spools)
    write_spool(
        folder.root / "spools", "00000-000", [store.source("@t/a.parquet", "was", sorted(picks))], most
    )
    spools._open.clear()
    spools.look()
    refs = [f"@t/a.parquet#{row}" for row in range(-1, 132)] + ["@t/a.parquet#" + "9" * 30, "@t/a.parquet"]
    here = [ref for ref in refs if spools.has(ref)]
    assert len(here) <= len(picks) and all(spools.stamp(ref) == "was" for ref in here)
    assert sum(len(images[int(ref.partition("#")[2])] or b"") for ref in here) <= most
    for ref in refs:
        assert answer(store, ref) == answer(ImageStore(folder.raw, {"t": reader}), ref)


def answer(store: ImageStore, ref: str) -> tuple[object, ...]:
    try:
        return (store.read(ref),)
    except Exception as error:
        return type(error), str(error)


def test_the_stamp_of_a_copy_is_from_before_the_copying(folder: Any) -> None:
    pq.write_table(pa.table({"image": pa.array([b"x"], pa.binary())}), folder.root / "a.parquet")
    reader = folder.reader("parquet", "a.parquet", {}, image_column="image")
    (folder.root / "spools").mkdir()
    store = ImageStore(folder.raw, {"t": reader}, Spools(folder.root / "spools"))
    write_spool(folder.root / "spools", "00000-000", [store.source("@t/a.parquet", "before", [0])], 100)
    watch = ImageInputs(folder.raw, store, checksums=False).watch()
    assert watch.read("@t/a.parquet#0") == b"x"
    assert watch.seen.stamps == {"a.parquet": "before"}


def test_of_two_stamps_the_first_is_kept_so_that_the_change_is_noticed() -> None:
    seen = Seen({"a": "1", "b": "1"})
    seen.add(Seen({"b": "2", "c": "2"}))
    assert seen.stamps == {"a": "1", "b": "1", "c": "2"}


def test_the_checksum_of_a_table_is_taken_once_for_all_blocks(
    table: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_flan.build import inputs

    asked: Counter[str] = Counter()
    checksum = inputs.checksum

    def counted(raw: Any, path: str) -> str:
        asked[path] += 1
        return checksum(raw, path)

    monkeypatch.setattr(inputs, "checksum", counted)
    table.compile(out=tmp_path, limit=None, verify_raw=True)
    assert asked["toy.parquet"] == 3  # of the annotations, of the first 16 rows, and of all blocks


@given(
    files=st.lists(
        st.tuples(st.sets(st.integers(0, 300), min_size=1), st.lists(st.integers(0, 310), unique=True)),
        max_size=5,
    ),
    jobs=st.integers(1, 9),
    least=st.integers(1, 50),
)
def test_pieces_have_each_image_once_in_order_and_begin_where_a_file_can_be_read(
    files: list[tuple[set[int], list[int]]], jobs: int, least: int
) -> None:
    class Images:
        def may_copy(self) -> bool:
            return True

        def entries(self, name: str) -> list[int]:
            return sorted(files[int(name)][1])

    class Inputs:
        images, raw = Images(), None

    wanted = [Wanted(str(i), "was", array("q", sorted(rows))) for i, (rows, _) in enumerate(files)]
    copier = Copier(None, Inputs(), Path("spools"))  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spooling, "PIECE_ROWS", least)
        pieces = copier.pieces(3, wanted, jobs, most=10**6)
    found = [(one.file, row) for piece in pieces for one in piece.wanted for row in one.rows]
    assert found == [(one.file, row) for one in wanted for row in one.rows]
    assert len({piece.name for piece in pieces}) == len(pieces) <= max(2 * jobs, 1)
    assert sum(piece.most for piece in pieces) <= 10**6
    seen: set[str] = set()
    for one in (one for piece in pieces for one in piece.wanted):
        starts = files[int(one.file)][1]
        first = min(files[int(one.file)][0])
        before = max((row for row in files[int(one.file)][0] if row < one.rows[0]), default=-1)
        assert one.rows[0] == first or any(before < start <= one.rows[0] for start in starts)
        seen.add(one.file)
    assert len(seen) == len(files)
