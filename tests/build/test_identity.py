"""A run that says "done" leaves what spec and raw files say now, and "up to date" is never said of less."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toy import DATASET, TASK, Toy, square
from vision_flan.build import inputs, looked_up, schedule
from vision_flan.build.compile import Result
from vision_flan.build.engines import EngineSpec
from vision_flan.build.inputs import LISTED_FILES, Seen, Watch
from vision_flan.build.looked_up import Gathering
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.manifest import manifest_path, verify, write_atomically
from vision_flan.dataset.shards import BLOCK_ROWS
from vision_flan.errors import BadRawError, MachineError, MissingRawError
from vision_flan.records.store import RecordStore
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog

REPOSITORY = Path(__file__).parents[2]


#: A kind of change of the raw files, an image, a color.
Edit = tuple[str, int, str]
EDITS: st.SearchStrategy[Edit] = st.tuples(
    st.sampled_from(["restore", "remove", "replace", "touch", "break", "records", "touch records"]),
    st.integers(3, 11),
    st.sampled_from("rgby"),
)


class Notes(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def facts(result: Result) -> dict[str, Any]:
    """A manifest as text would have it."""
    data: dict[str, Any] = json.loads(result.manifest.to_json())
    return data


def as_fresh(toy: Toy, result: Result, tmp_path: Path, **options: Any) -> None:
    """Whatever was done, the folder holds what a build into an empty one gives."""
    shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
    fresh = toy.compile(out=tmp_path / "fresh", **options)
    assert facts(result) == facts(fresh)
    assert toy.rows() == toy.rows(tmp_path / "fresh")
    assert (toy.out / "README.md").read_bytes() == (tmp_path / "fresh/README.md").read_bytes()
    *_, (_, found) = verify(toy.out)
    assert found.problems == []


def use_files_table(toy: Toy) -> None:
    toy.write_specs(
        DATASET.partition("  records:")[0] + "  records: {reader: files, file: 'images/{name}.png'}\n",
        TASK.replace("key: name", "key: path").replace("images/{{ name }}", "'{{ path }}'")
        .replace("options: {labels: colors}\n", "").replace("form: options", "form: label")
        .replace("\"{{ color | label('colors') }}\"", '"{{ name }}"'),
    )  # fmt: skip


class TestRawFilesThatChange:
    def test_images_that_arrive_in_a_table_of_files_are_compiled(self, toy: Toy, tmp_path: Path) -> None:
        use_files_table(toy)
        assert toy.compile().manifest.rows == 12
        for i in range(12, 20):
            toy.record(i)
        result = toy.compile()
        assert result.built and result.manifest.rows == 20
        as_fresh(toy, result, tmp_path)

    def test_an_image_that_was_missing_and_arrives_is_compiled(self, toy: Toy, tmp_path: Path) -> None:
        image = toy.raw / "toy/images/0003.png"
        content = image.read_bytes()
        image.unlink()
        assert toy.compile().manifest.rows == 11
        assert not toy.compile().built
        image.write_bytes(content)
        as_fresh(toy, toy.compile(), tmp_path)

    def test_an_image_replaced_under_its_name_is_compiled(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        (toy.raw / "toy/images/0003.png").write_bytes(square("r", size=(9, 9)))
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    def test_an_archive_that_is_replaced_is_read_again(self, toy: Toy, tmp_path: Path) -> None:
        images = toy.raw / "toy/images"

        def pack(size: int) -> None:
            with zipfile.ZipFile(toy.raw / "toy/images.zip", "w") as archive:
                for i in range(12):
                    archive.writestr(f"images/{i:04}.png", square("rgby"[i % 4], size=(size, size)))

        shutil.rmtree(images)
        pack(8)
        toy.compile()
        assert not toy.compile().built
        pack(9)
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    def test_images_in_a_borrowed_folder_are_watched_too(self, toy: Toy, tmp_path: Path) -> None:
        (toy.specs / "lender").mkdir()
        (toy.specs / "lender/dataset.yaml").write_text(DATASET.replace("dataset: toy", "dataset: lender"))
        toy.write_specs(DATASET + "borrows: [lender]\n")
        (toy.raw / "lender").mkdir()
        (toy.raw / "toy/images").rename(toy.raw / "lender/images")
        toy.compile()
        (toy.raw / "lender/images/0003.png").write_bytes(square("r", size=(9, 9)))
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    def test_same_size_and_time_is_noticed_by_checksums_alone(self, toy: Toy) -> None:
        toy.compile(verify_raw=True)
        assert not toy.compile(verify_raw=True).built
        for name in ("toy.json", "images/0003.png"):
            path = toy.raw / "toy" / name
            before, data = path.stat(), bytearray(path.read_bytes())
            data[-3 if name == "toy.json" else -20] ^= 1
            if name == "toy.json":
                data = bytearray(path.read_bytes().replace(b'"r"', b'"g"', 1))
            path.write_bytes(data)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert not toy.compile().built
            assert toy.compile(verify_raw=True).built

    def test_a_config_without_checksums_is_compiled_again_when_they_are_asked_for(self, toy: Toy) -> None:
        toy.compile()
        notes = Notes()
        assert toy.compile(notes, verify_raw=True).built
        assert "checksums" in notes.notes[0]

    def test_a_lost_record_of_inputs_is_never_presumed(self, toy: Toy) -> None:
        toy.compile()
        (toy.out / ".vflan/toy_color/installed.json").unlink()
        assert toy.compile().built

    def test_a_container_of_images_and_its_table_are_watched(self, toy: Toy, tmp_path: Path) -> None:
        record = "{dtype: uint8, shape: [4, 6, 3], order: HWC}"
        table = f"  pixels: {{reader: binary, file: pixels.bin, record: {record}}}\n"
        toy.write_specs(DATASET + table)
        toy.replace("image: images/{{ name }}", "image: '@pixels/pixels.bin#{{ name[3] }}'")
        toy.write_records([{"name": f"{i:04}.png", "color": "rgby"[i % 4]} for i in range(8)])
        (toy.raw / "toy/pixels.bin").write_bytes(bytes(range(72)) * 8)
        assert toy.compile().manifest.rows == 8
        assert not toy.compile().built
        (toy.raw / "toy/pixels.bin").write_bytes(bytes(range(72, 144)) * 8)
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)
        toy.write_specs(DATASET + table.replace("[4, 6, 3]", "[6, 4, 3]"))
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(runs=st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=1, max_size=4))
    def test_any_edits_of_raw_files_end_as_a_fresh_build(self, runs: list[list[Edit]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            toy = Toy(Path(folder))
            toy.compile(limit=8)
            for edits in runs:
                for kind, image, color in edits:
                    edit(toy, kind, image, color)
                as_fresh(toy, toy.compile(limit=8), toy.root, limit=8)


def edit(toy: Toy, kind: str, image: int, color: str) -> None:
    """One change of the raw files such as people make. The first three images stay good."""
    path = toy.raw / f"toy/images/{image:04}.png"
    if kind == "restore":
        toy.record(image)
    elif kind == "remove":
        path.unlink(missing_ok=True)
    elif kind == "replace":
        path.write_bytes(square(color, size=(image + 2, 8)))
    elif kind == "touch":
        path.touch()
    elif kind == "break":
        path.write_bytes(b"<html>")
    elif kind == "records":
        names = [f"{i:04}.png" for i in range(12) if i != image]
        toy.write_records([{"name": name, "color": color} for name in names])
    else:
        (toy.raw / "toy/toy.json").touch()


class TestVerifyRaw:
    """`--verify-raw` as a user types it."""

    @pytest.fixture
    def compile_command(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., bool]:
        monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
        monkeypatch.chdir(toy.root)

        def compiled(*options: str) -> bool:
            """Whether the command built something."""
            assert run(vflan, ["compile", "--task", "toy_color", "--json", *options]) == 0
            return bool(json.loads(capsys.readouterr().out)[0]["built"])

        return compiled

    def test_content_that_changes_with_the_same_size_and_time_is_compiled_again(
        self, toy: Toy, compile_command: Callable[..., bool]
    ) -> None:
        assert compile_command("--verify-raw") and not compile_command("--verify-raw")
        path = toy.raw / "toy/toy.json"
        before = path.stat()
        path.write_bytes(path.read_bytes().replace(b'"r"', b'"g"', 1))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert not compile_command()
        assert compile_command("--verify-raw")

    def test_checksums_are_made_when_they_are_first_asked_for(
        self, compile_command: Callable[..., bool]
    ) -> None:
        assert compile_command() and compile_command("--verify-raw") and not compile_command("--verify-raw")


class TestManifest:
    def table_of_files(self, toy: Toy, count: int) -> None:
        """A table that is read from this many files, a record in each."""
        for path in (toy.raw / "toy").glob("*.json"):
            path.unlink()
        toy.write_specs(DATASET.replace("file: toy.json", "file: 'records/{part:d}.json'"))
        (toy.raw / "toy/records").mkdir(exist_ok=True)
        for i in range(count):
            (toy.raw / f"toy/records/{i}.json").write_text(json.dumps([toy.record(i)]))

    def test_up_to_a_hundred_annotation_files_are_listed(self, toy: Toy) -> None:
        self.table_of_files(toy, LISTED_FILES)
        files = toy.compile().manifest.raw_files
        assert len(files) == LISTED_FILES
        assert {"path", "bytes", "mtime", "archive"} == set(files[0])

    def test_of_more_there_is_a_summary_that_stays_small(self, toy: Toy) -> None:
        self.table_of_files(toy, LISTED_FILES + 1)
        first = toy.compile()
        (summary,) = first.manifest.raw_files
        sizes = [path.stat().st_size for path in (toy.raw / "toy/records").iterdir()]
        assert summary["path"] == "records/{part:d}.json"
        assert (summary["files"], summary["bytes"]) == (LISTED_FILES + 1, sum(sizes))
        self.table_of_files(toy, 400)
        second = toy.compile()
        assert second.manifest.raw_files[0]["sha256"] != summary["sha256"]
        assert len(second.manifest.to_json()) - len(first.manifest.to_json()) < 50

    def test_the_summary_has_no_times_so_that_it_is_the_same_on_every_machine(self, toy: Toy) -> None:
        self.table_of_files(toy, LISTED_FILES + 1)
        before = toy.compile().manifest.raw_files
        for path in (toy.raw / "toy/records").iterdir():
            os.utime(path, (1, 1))
        result = toy.compile()
        assert result.built and result.manifest.raw_files == before

    def test_images_are_counted_those_that_are_missing_apart(self, toy: Toy) -> None:
        (toy.raw / "toy/images/0003.png").unlink()
        images = toy.compile().manifest.images
        assert (images["files"], images["missing"]) == (11, 1)


class TestSpecsThatChange:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('verdict: "yes"', 'verdict: "no"'),
            ("title: Toy\n", "title: Toys\n"),
            ("title = {Toy}", "title = {Toys}"),
            ("access: direct\n", "access: direct\nsensitive: [faces]\nlanguages: [de]\n"),
            ("https://example.org/toy\n", "https://example.org/toys\n"),
        ],
    )
    def test_facts_that_decide_no_byte_are_renewed_without_a_build(
        self, toy: Toy, tmp_path: Path, old: str, new: str
    ) -> None:
        toy.compile()
        assert old in DATASET
        toy.write_specs(DATASET.replace(old, new))
        result = toy.compile()
        assert not result.built and result.renewed
        as_fresh(toy, result, tmp_path)
        assert not toy.compile().renewed

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("path: images.zip", "path: photos.zip"),
            ("provides: [images/]", "provides: [images/], into: images"),
            ("{r: red,", "{r: rouge,"),
        ],
    )
    def test_what_decides_a_byte_is_compiled_again(
        self, toy: Toy, tmp_path: Path, old: str, new: str
    ) -> None:
        toy.compile()
        assert old in DATASET
        toy.write_specs(DATASET.replace(old, new))
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    def test_another_view_is_compiled_again(self, toy: Toy, tmp_path: Path) -> None:
        view = "views:\n  chosen: SELECT * FROM records WHERE color <> 'r'\n"
        toy.write_specs(DATASET + view)
        toy.replace("table: records", "table: chosen")
        assert toy.compile().built and not toy.compile().built
        toy.write_specs(DATASET + view.replace("'r'", "'g'"))
        result = toy.compile()
        assert result.built
        as_fresh(toy, result, tmp_path)

    def test_a_license_corrected_to_no_is_in_the_manifest_at_once(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
        monkeypatch.chdir(toy.root)
        assert run(vflan, ["compile", "--task", "toy_color"]) == 0
        toy.write_specs(DATASET.replace('verdict: "yes"', 'verdict: "no"'))
        assert run(vflan, ["compile", "--task", "toy_color"]) == 0
        assert "facts renewed" in capsys.readouterr().out
        manifest = json.loads((toy.out / "manifest/toy_color.json").read_text())
        assert manifest["source"]["license"]["images"]["verdict"] == "no"


def during_build(monkeypatch: pytest.MonkeyPatch, at: int, do: Callable[[], object]) -> None:
    """Do something when image number `at` is about to be read."""
    read, count = Watch.read, [0]

    def counted(self: Watch, ref: str) -> bytes:
        count[0] += 1
        if count[0] == at:
            do()
        return read(self, ref)

    monkeypatch.setattr(Watch, "read", counted)


class TestRawFilesThatChangeWhileTheyAreRead:
    @pytest.mark.parametrize("what", ["toy", "toy/images", "."])
    def test_a_folder_that_goes_away_stops_the_build(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        lost = toy.raw / what
        during_build(monkeypatch, 5, lambda: lost.rename(toy.root / "lost"))
        with pytest.raises((MissingRawError, BadRawError), match="during the build"):
            toy.compile(engine=EngineSpec(jobs=1))
        assert not (toy.out / "toy_color").exists()

    def test_an_annotation_or_image_that_changes_is_not_installed(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("toy.json", "images/0003.png"):
            with monkeypatch.context() as patched:
                path = toy.raw / "toy" / name
                during_build(patched, 12, partial(os.utime, path, (1, 1)))
                with pytest.raises(BadRawError, match="changed during the build"):
                    toy.compile()
            assert not (toy.out / "toy_color").exists()
            (toy.raw / "toy" / name).touch()
        as_fresh(toy, toy.compile(), tmp_path)


class TestKilled:
    @pytest.fixture(autouse=True)
    def slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As for slow tasks: each block is kept."""
        monkeypatch.setattr(schedule, "LOSABLE", 0.0)

    def kill(self, toy: Toy, rows: int) -> None:
        code = f"""
            import os, signal
            from pathlib import Path
            from vision_flan.build import schedule
            from vision_flan.build.compile import Options, compile_task
            from vision_flan.report import Silent
            from vision_flan.spec.catalog import Catalog
            root = Path({str(toy.root)!r})
            class Report(Silent):
                rows = 0
                def advance(self, steps, size=0):
                    self.rows += steps if size else 0
                    if self.rows > {rows}:
                        os.kill(os.getpid(), signal.SIGKILL)
            schedule.LOSABLE = 0.0
            catalog = Catalog(root / "task_specs", root / "instructions")
            out = root / "vision-flan"
            compile_task("toy_color", root / "raw", out, catalog, Options(), Report())
        """
        killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=REPOSITORY, check=False)
        assert killed.returncode == -signal.SIGKILL

    def test_images_replaced_after_a_kill_are_all_new(self, tmp_path: Path) -> None:
        toy = Toy(tmp_path, count=BLOCK_ROWS + 50)
        self.kill(toy, BLOCK_ROWS + 10)
        for path in (toy.raw / "toy/images").iterdir():
            path.write_bytes(square("r", size=(9, 9)))
        as_fresh(toy, toy.compile(), tmp_path)

    def test_a_finished_block_that_was_zeroed_is_made_again(self, tmp_path: Path) -> None:
        toy = Toy(tmp_path, count=BLOCK_ROWS + 50)
        self.kill(toy, BLOCK_ROWS + 10)
        block = toy.out / ".vflan/toy_color/blocks/00000.arrow"
        block.write_bytes(bytes(block.stat().st_size))
        as_fresh(toy, toy.compile(), tmp_path)

    def test_an_installation_that_was_cut_off_is_not_finished_with_stale_images(
        self, toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy.compile()
        (toy.raw / "toy/images/0003.png").write_bytes(square("r", size=(9, 9)))

        def power_cut(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("vision_flan.build.install._remove_old_shards", power_cut)
            with pytest.raises(KeyboardInterrupt):
                toy.compile()
        (toy.raw / "toy/images/0004.png").write_bytes(square("g", size=(9, 9)))
        as_fresh(toy, toy.compile(), tmp_path)

    def test_litter_of_a_killed_run_is_removed(self, toy: Toy) -> None:
        toy.compile()
        litter = [
            toy.out / "manifest/.toy_color.json.4194305.tmp",
            toy.out / ".README.md.4194305.tmp",
            toy.out / ".vflan/toy_color/records.duckdb",
        ]
        for path in litter:
            path.write_text("")
        assert not toy.compile().built
        assert not [path for path in litter if path.exists()]


class TestInstalled:
    def shard(self, toy: Toy) -> Path:
        return toy.out / "toy_color/train-00000-of-00001.parquet"

    def test_a_changed_shard_is_fixed(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        data = bytearray(self.shard(toy).read_bytes())
        data[len(data) // 2] ^= 1
        self.shard(toy).write_bytes(data)
        as_fresh(toy, toy.compile(), tmp_path)

    def test_a_shard_with_another_time_alone_is_left_as_it_is(self, toy: Toy) -> None:
        toy.compile()
        self.shard(toy).touch()
        assert not toy.compile().built

    def test_files_of_others_stay(self, toy: Toy) -> None:
        toy.compile()
        mine, test = toy.out / "toy_color/mine.parquet", toy.out / "toy_color/test-00000-of-00001.parquet"
        old = toy.out / "toy_color/train-00001-of-00002.parquet"
        for path in (mine, test, old):
            path.write_bytes(b"PAR1")
        notes = Notes()
        toy.compile(notes, force=True)
        assert mine.exists() and test.exists() and not old.exists()
        assert sum("not written by vflan" in note for note in notes.notes) == 2

    def test_a_split_that_is_renamed_takes_its_shards_along(self, toy: Toy) -> None:
        toy.compile()
        toy.replace("table: records", "split: test\ntable: records")
        toy.compile()
        assert [path.name for path in (toy.out / "toy_color").iterdir()] == ["test-00000-of-00001.parquet"]

    def test_the_work_folder_may_be_on_another_file_system(self, toy: Toy) -> None:
        shm = Path("/dev/shm")
        if not shm.is_dir() or shm.stat().st_dev == toy.root.stat().st_dev:
            pytest.skip("there is no second file system here")
        elsewhere = shm / f"vflan-test-{os.getpid()}"
        elsewhere.mkdir()
        try:
            toy.out.mkdir()
            (toy.out / ".vflan").symlink_to(elsewhere)
            assert toy.compile().manifest.rows == 12
            assert len(toy.rows()) == 12
        finally:
            shutil.rmtree(elsewhere)

    def test_a_missing_or_broken_card_is_written_again(self, toy: Toy) -> None:
        toy.compile()
        card = (toy.out / "README.md").read_bytes()
        for wrong in (None, b"\xff"):
            (toy.out / "README.md").unlink()
            if wrong:
                (toy.out / "README.md").write_bytes(wrong)
            assert not toy.compile().built
            assert (toy.out / "README.md").read_bytes() == card

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]", b'{"manifest_version": 1}', b"null"])
    def test_a_broken_manifest_of_another_task_is_reported_and_left_out(
        self, toy: Toy, content: bytes
    ) -> None:
        toy.compile()
        (toy.out / "manifest/other.json").write_bytes(content)
        notes = Notes()
        assert toy.compile(notes, force=True).built
        assert "README.md leaves out" in notes.notes[-1]
        *_, (_, found) = verify(toy.out)
        assert [problem.path for problem in found.problems] == ["manifest/other.json"]

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[]", b'{"manifest_version": 1}'])
    def test_a_broken_manifest_is_fixed_by_compiling_again(
        self, toy: Toy, tmp_path: Path, content: bytes
    ) -> None:
        toy.compile()
        manifest_path(toy.out, "toy_color").write_bytes(content)
        as_fresh(toy, toy.compile(), tmp_path)

    def test_counts_that_were_changed_do_not_verify_and_are_fixed(self, toy: Toy, tmp_path: Path) -> None:
        manifest = toy.compile().manifest
        for key in ("written", "candidates", "not_needed"):
            wrong = replace(manifest, counts={**manifest.counts, key: 99})
            write_atomically(manifest_path(toy.out, "toy_color"), wrong.to_json())
            *_, (_, found) = verify(toy.out)
            assert found.problems
        as_fresh(toy, toy.compile(), tmp_path)


class TestDrops:
    def test_a_drop_is_said_with_an_example(self, toy: Toy) -> None:
        (toy.raw / "toy/images/0003.png").unlink()
        (toy.raw / "toy/images/0005.png").write_bytes(b"<html>")
        for workers in (1, 3):
            counts = toy.compile(engine=EngineSpec(jobs=workers), force=True).manifest.counts
            assert counts["examples"] == {
                "missing_image": "images/0003.png (record 0003.png)",
                "not_an_image": "images/0005.png (record 0005.png)",
            }

    def packed(self, toy: Toy) -> Path:
        path = toy.raw / "toy/images.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for image in sorted((toy.raw / "toy/images").iterdir()):
                archive.write(image, f"images/{image.name}")
        shutil.rmtree(toy.raw / "toy/images")
        return path

    def test_a_damaged_member_is_dropped_and_counted(self, toy: Toy) -> None:
        path = self.packed(toy)
        data = path.read_bytes()
        content = square("y")
        at = data.index(content)
        path.write_bytes(data[: at + 20] + bytes([data[at + 20] ^ 1]) + data[at + 21 :])
        counts = toy.compile().manifest.counts
        assert counts["dropped"] == {"unreadable_image": 1}
        assert "checksum" in counts["examples"]["unreadable_image"]

    @pytest.mark.parametrize(("offset", "value", "says"), [(8, 1, "encrypted"), (10, 99, "method 99")])
    def test_an_archive_that_cannot_be_used_stops_the_run(
        self, toy: Toy, offset: int, value: int, says: str
    ) -> None:
        path = self.packed(toy)
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\1\2")
        data[at + offset] = value
        path.write_bytes(data)
        with pytest.raises(BadRawError, match=says):
            toy.compile()

    def test_an_archive_that_is_cut_short_stops_the_run(self, toy: Toy) -> None:
        path = self.packed(toy)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(BadRawError, match="damaged or cut short"):
            toy.compile()
        assert not (toy.out / "toy_color").exists()

    def test_too_many_open_files_are_not_blamed_on_permissions(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.packed(toy)
        monkeypatch.setattr("vision_flan.raw.members.os.open", refuse)
        with pytest.raises(MachineError) as caught:
            toy.compile()
        assert "ulimit -n" in caught.value.hint

    def test_no_more_rows_are_rendered_than_the_quota_needs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy = Toy(tmp_path, count=4 * BLOCK_ROWS)
        read, count = Watch.read, []

        def counted(self: Watch, ref: str) -> bytes:
            count.append(ref)
            return read(self, ref)

        monkeypatch.setattr(Watch, "read", counted)
        monkeypatch.setattr(schedule, "WORTH_STARTING", 60.0)  # all are read here, on slow machines too
        toy.compile(limit=500, engine=EngineSpec(jobs=64))
        assert len(count) == 500 + schedule.PROBED

    def test_descriptors_do_not_grow(self, toy: Toy) -> None:
        self.packed(toy)
        toy.compile()
        before = len(list(Path("/proc/self/fd").iterdir()))
        toy.compile()
        toy.compile(force=True)
        (toy.raw / "toy/toy.json").write_text("[")
        with pytest.raises(BadRawError):
            toy.compile()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before


class TestTheMachine:
    def test_the_lock_says_who_holds_it(self, toy: Toy) -> None:
        from vision_flan.build.locks import task_lock

        with task_lock(toy.out, "toy_color"), pytest.raises(MachineError, match=f"process {os.getpid()} on "):
            toy.compile()

    def test_an_output_folder_that_is_removed_meanwhile_is_said(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        during_build(monkeypatch, 5, lambda: shutil.rmtree(toy.out))
        with pytest.raises(MachineError, match="cannot write"):
            toy.compile()

    def test_a_url_of_raw_files_is_refused_before_any_work(
        self, toy: Toy, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, ["compile", "--task", "toy_color", "--raw", "s3://bucket/x"]) == 2
        assert "is a URL; give a folder" in capsys.readouterr().err

    def test_a_working_directory_that_is_gone_is_said(self, tmp_path: Path) -> None:
        code = (
            "import os; from vision_flan.cli.main import run, vflan; os.mkdir('x'); os.chdir('x');"
            "os.rmdir('../x'); raise SystemExit(run(vflan, ['list']))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert done.returncode == 5 and "working directory is gone" in done.stderr


def test_the_checksum_of_image_files_is_of_one_json_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looked_up, "PIECE", 3)
    for count in (0, 1, 3, 7):
        stamps = {f"{i % 5}/é{i}.png": f"{i * 10} 123 toy" for i in range(count)}
        listed = sorted([path, int(was.split()[0])] for path, was in stamps.items())
        with RecordStore() as store:
            gathering = Gathering(store)
            gathering.add(Seen({**stamps, "missing.png": "", "../x": "refused"}))
            _, facts = gathering.finish(tmp_path / f"{count}.jsonl")
        sha256 = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
        assert facts == {"files": count, "missing": 2, "sha256": sha256}


def test_the_checksum_of_a_listing_does_not_depend_on_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"images/é{number}.png" for number in range(7)]
    whole = hashlib.sha256("\0".join(paths).encode()).hexdigest()
    for at_once in (1, 3, 7, 10):
        monkeypatch.setattr(inputs, "_AT_ONCE", at_once)
        assert inputs._listing(iter(paths)) == f"7 {whole}"
    assert inputs._listing(iter(())) == f"0 {hashlib.sha256().hexdigest()}"
