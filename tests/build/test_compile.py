"""From raw files to a loadable folder, on good and on bad input."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from tests.toy import DATASET, Toy, square
from vision_flan.build import schedule
from vision_flan.build.compile import Result
from vision_flan.cli.main import run, vflan
from vision_flan.columns import COLUMNS, features_dict
from vision_flan.dataset.manifest import verify
from vision_flan.dataset.shards import BLOCK_ROWS, batches_of
from vision_flan.errors import BadRawError, ExitCode, MachineError, MissingRawError, SpecError

REPOSITORY = Path(__file__).parents[2]


def dropped(result: Result) -> dict[str, int]:
    return dict(result.manifest.counts["dropped"])


def shas(result: Result) -> list[str]:
    return [shard.sha256 for shard in result.manifest.shards]


def load(folder: Path, cache: Path, **options: Any) -> Any:
    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), "toy_color", split="train", cache_dir=str(cache), **options)


class TestGoodInput:
    def test_a_compiled_folder_loads_with_full_features_by_path(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        loaded = load(toy.out, tmp_path / "cache")
        assert loaded.features == datasets.Features.from_dict(features_dict())
        assert loaded.num_rows == 12
        row = loaded[0]
        assert list(row) == list(COLUMNS)
        assert row["image"].size == (8, 8)

    def test_streaming_gives_the_same_rows_in_the_same_order(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        streamed = [row["id"] for row in load(toy.out, tmp_path / "cache", streaming=True)]
        assert streamed == load(toy.out, tmp_path / "cache")["id"][:]

    def test_a_row_says_what_the_record_says(self, toy: Toy) -> None:
        toy.compile()
        names = {
            (200, 20, 20): "red",
            (20, 160, 20): "green",
            (20, 20, 200): "blue",
            (220, 220, 20): "yellow",
        }
        for row in toy.rows():
            color = Image.open(io.BytesIO(row["image"]["bytes"])).getpixel((0, 0))
            letter, answer = row["target"].split(" ")
            assert answer == names[color]
            assert f"{letter} {answer}" in row["prompt"]
            assert row["options"]["(A)(B)(C)(D)".index(letter) // 3] == answer
            assert row["id"] == f"toy_color/{row['source_id']}"
            assert row["image"]["path"] == f"images/{row['source_id']}"

    def test_a_records_own_question_comes_before_the_instruction_where_a_task_says_so(self, toy: Toy) -> None:
        toy.replace("options:", "input: Which color has {{ name }}?\nfirst: input\noptions:")
        toy.compile()
        for row in toy.rows():
            question, instruction, options, *_ = row["prompt"].split("\n")
            assert question == row["input"] == f"Which color has {row['source_id']}?"
            assert (instruction, options) == (row["instruction"], "Options:")

    def test_images_pass_through_byte_for_byte(self, toy: Toy) -> None:
        toy.compile()
        for row in toy.rows():
            assert row["image"]["bytes"] == (toy.raw / "toy" / row["image"]["path"]).read_bytes()

    def test_another_seed_gives_another_selection_and_other_options(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile(limit=6)
        toy.compile(limit=6, seed=1, out=tmp_path / "other")
        assert {row["id"] for row in toy.rows()} != {row["id"] for row in toy.rows(tmp_path / "other")}

    def test_the_quota_is_filled_with_the_next_candidates_when_some_drop(self, toy: Toy) -> None:
        first = [row["source_id"] for row in (toy.compile(), toy.rows())[1]]
        for name in first[:3]:
            (toy.raw / "toy/images" / name).write_bytes(b"")
        result = toy.compile(limit=6, force=True)
        assert [row["source_id"] for row in toy.rows()] == first[3:9]
        assert dropped(result) == {"empty_image": 3}
        assert result.manifest.counts["not_needed"] == 3

    def test_archives_are_read_in_place_and_give_the_same_shards(self, toy: Toy, tmp_path: Path) -> None:
        unpacked = toy.compile()
        images = toy.raw / "toy/images"
        with zipfile.ZipFile(toy.raw / "toy/images.zip", "w") as archive:
            for path in images.iterdir():
                archive.write(path, f"images/{path.name}")
                path.unlink()
        images.rmdir()
        packed = toy.compile(out=tmp_path / "packed")
        assert shas(packed) == shas(unpacked)

    def test_raw_folders_may_be_symbolic_links(self, toy: Toy, tmp_path: Path) -> None:
        big_disk = tmp_path / "disk"
        (toy.raw / "toy").rename(big_disk)
        (toy.raw / "toy").symlink_to(big_disk)
        assert toy.compile().manifest.rows == 12

    def test_borrowed_images_come_from_the_dataset_that_has_them(self, toy: Toy) -> None:
        lender = toy.specs / "lender"
        lender.mkdir()
        (lender / "dataset.yaml").write_text(DATASET.replace("dataset: toy", "dataset: lender"))
        toy.write_specs(DATASET + "borrows: [lender]\n")
        (toy.raw / "lender").mkdir()
        (toy.raw / "toy/images").rename(toy.raw / "lender/images")
        assert toy.compile().manifest.rows == 12

    def test_the_published_releases_name_finds_the_task(self, toy: Toy) -> None:
        assert toy.catalog.task("Toy+color").id == "toy_color"

    def test_the_same_command_again_has_nothing_to_do(self, toy: Toy) -> None:
        assert toy.compile().built
        assert not toy.compile().built

    def test_a_changed_instruction_compiles_again(self, toy: Toy) -> None:
        toy.compile()
        toy.write_specs(text="Name the color. Answer with the letter and its option.")
        assert toy.compile().built
        assert toy.rows()[0]["instruction"].startswith("Name the color.")

    def test_a_shard_that_went_missing_is_made_again(self, toy: Toy) -> None:
        shard = toy.compile().manifest.shards[0]
        (toy.out / shard.path).unlink()
        assert toy.compile().built
        assert (toy.out / shard.path).exists()

    def test_other_configs_in_the_folder_stay(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        toy.replace("id: toy_color", "id: toy_hue")
        toy.replace("alias: Toy+color", "alias: null")
        (toy.specs / "toy/toy_color.yaml").rename(toy.specs / "toy/toy_hue.yaml")
        (toy.instructions / "toy_color.j2").rename(toy.instructions / "toy_hue.j2")
        from vision_flan.build.compile import Options, compile_task
        from vision_flan.report import Silent

        compile_task("toy_hue", toy.raw, toy.out, toy.catalog, Options(), Silent())
        assert datasets.get_dataset_config_names(str(toy.out)) == ["all", "toy_color", "toy_hue"]

    def test_the_manifest_names_raw_files_versions_and_counts(self, toy: Toy) -> None:
        manifest = toy.compile(seed=5).manifest
        assert [file["path"] for file in manifest.raw_files] == ["toy.json"]
        assert manifest.seed == 5
        assert {"vision_flan", "pyarrow", "duckdb", "pillow", "jinja2"} <= set(manifest.versions)
        assert manifest.counts == {
            "candidates": 12,
            "written": 12,
            "dropped": {},
            "examples": {},
            "not_needed": 0,
        }


class TestMissingAndBrokenRawFiles:
    def test_a_raw_root_that_is_not_there(self, toy: Toy, tmp_path: Path) -> None:
        toy.raw = tmp_path / "nowhere"
        with pytest.raises(MissingRawError) as caught:
            toy.compile()
        assert "nowhere" in str(caught.value) and "VFLAN_RAW" in caught.value.hint

    def test_a_dataset_folder_that_is_not_there_says_what_to_get_and_where_to_put_it(self, toy: Toy) -> None:
        (toy.raw / "toy").rename(toy.raw / "other")
        with pytest.raises(MissingRawError) as caught:
            toy.compile()
        text = str(caught.value)
        for part in (
            "raw/toy",
            "https://example.org/toy.json",
            "1,234 bytes",
            "0123456789abcdef",
            "CC BY 4.0",
        ):
            assert part in text
        assert "vflan fetch toy" in caught.value.hint

    def test_a_missing_annotation_file_is_named_without_the_others(self, toy: Toy) -> None:
        (toy.raw / "toy/toy.json").unlink()
        with pytest.raises(MissingRawError) as caught:
            toy.compile()
        assert "toy.json" in caught.value.what and "images.zip" not in caught.value.what

    def test_images_that_are_all_missing_are_a_missing_download_not_bad_records(self, toy: Toy) -> None:
        for path in (toy.raw / "toy/images").iterdir():
            path.unlink()
        with pytest.raises(MissingRawError, match="images.zip"):
            toy.compile()

    def test_json_that_is_cut_in_the_middle(self, toy: Toy) -> None:
        path = toy.raw / "toy/toy.json"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(BadRawError) as caught:
            toy.compile()
        assert caught.value.where is not None and str(caught.value.where.file).endswith("toy.json")

    def test_text_that_is_not_utf8(self, toy: Toy) -> None:
        (toy.raw / "toy/toy.json").write_bytes(b'[{"name": "caf\xe9.png", "color": "r"}]')
        with pytest.raises(BadRawError, match="UTF-8"):
            toy.compile()

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty_image"),
            (square("r", "JPEG", (64, 64))[:300], "broken_image"),
            (b"<html>not found</html>", "not_an_image"),
        ],
    )
    def test_a_bad_image_is_dropped_and_counted(self, toy: Toy, content: bytes, reason: str) -> None:
        (toy.raw / "toy/images/0003.png").write_bytes(content)
        assert dropped(toy.compile()) == {reason: 1}
        assert len(toy.rows()) == 11

    def test_a_hundred_megapixel_image_is_dropped(self, toy: Toy) -> None:
        Image.new("1", (10_000, 10_000)).save(toy.raw / "toy/images/0003.png")
        assert dropped(toy.compile()) == {"image_too_large": 1}

    @pytest.mark.parametrize(("mode", "image_format"), [("CMYK", "JPEG"), ("I;16", "PNG"), ("LA", "PNG")])
    def test_unusual_modes_are_written_untouched(self, toy: Toy, mode: str, image_format: str) -> None:
        sink = io.BytesIO()
        Image.new(mode, (16, 16)).save(sink, image_format)
        (toy.raw / "toy/images/0003.png").write_bytes(sink.getvalue())
        assert dropped(toy.compile()) == {}
        assert sink.getvalue() in [row["image"]["bytes"] for row in toy.rows()]

    def test_an_annotation_of_a_image_that_is_not_there(self, toy: Toy) -> None:
        (toy.raw / "toy/images/0003.png").unlink()
        assert dropped(toy.compile()) == {"missing_image": 1}

    def test_duplicate_keys_are_written_once_and_counted(self, toy: Toy) -> None:
        records = [toy.record(i) for i in range(4)]
        toy.write_records([*records, records[0]])
        assert dropped(toy.compile()) == {"duplicate_key": 1}
        assert len(toy.rows()) == 4

    def test_an_unknown_label_is_dropped_and_counted(self, toy: Toy) -> None:
        records = [toy.record(i) for i in range(4)]
        records[1]["color"] = "violet"
        toy.write_records(records)
        assert dropped(toy.compile()) == {"unknown_label": 1}

    def test_text_with_a_nul_is_dropped_and_counted(self, toy: Toy) -> None:
        toy.write_records([toy.record(0), toy.record(1) | {"color": "a\0b"}])
        toy.replace("target: \"{{ color | label('colors') }}\"", "target: color")
        toy.replace("options: {labels: colors}", "")
        assert dropped(toy.compile()) == {"invalid_text": 1}

    def test_a_task_without_one_instance_says_why(self, toy: Toy) -> None:
        toy.write_records([toy.record(0) | {"color": "violet"}])
        with pytest.raises(SpecError, match="no instance .unknown_label: 1."):
            toy.compile()


class TestPathsThatLeaveTheFolder:
    @pytest.mark.parametrize(
        "name", ["../../../etc/passwd", "/etc/passwd", "a/../../toy.json", "..\\x.png", "a\0b"]
    )
    def test_a_file_name_that_leads_out_is_never_opened(self, toy: Toy, name: str) -> None:
        records = [toy.record(i) for i in range(3)]
        toy.write_records([*records, {"name": name, "color": "r"}])
        result = toy.compile()
        assert len(toy.rows()) == 3
        assert sum(dropped(result).values()) == 1

    def test_a_link_inside_the_dataset_that_leads_out_is_refused(self, toy: Toy, tmp_path: Path) -> None:
        secret = tmp_path / "secret.png"
        secret.write_bytes(square("r"))
        (toy.raw / "toy/images/0003.png").unlink()
        (toy.raw / "toy/images/0003.png").symlink_to(secret)
        with pytest.raises(BadRawError, match="leaves the folder"):
            toy.compile()
        assert not (toy.out / "toy_color").exists()

    def test_a_zip_member_with_dots_is_not_reachable(self, toy: Toy) -> None:
        with zipfile.ZipFile(toy.raw / "toy/images.zip", "w") as archive:
            archive.writestr("images/../../evil.png", square("r"))
        toy.write_records([toy.record(0), {"name": "../../evil.png", "color": "r"}])
        assert [row["source_id"] for row in (toy.compile(), toy.rows())[1]] == ["0000.png"]


class TestBadSpecs:
    @pytest.mark.parametrize(
        ("old", "new", "message", "line"),
        [
            ('target: "{{ color', 'target: "{{ hue', "'hue' is undefined", 10),
            ("table: records", "table: record", "no table 'record'", 6),
            ("key: name", "key: nam", "nam", 7),
            ("table: records", "sql: SELECT * FROM read_csv('/etc/passwd')", "not among the functions", 6),
            ("form: options", "form: option", "form", 11),
        ],
    )
    def test_the_error_names_file_and_line(
        self, toy: Toy, old: str, new: str, message: str, line: int
    ) -> None:
        toy.replace(old, new)
        with pytest.raises(SpecError) as caught:
            toy.compile()
        assert message in str(caught.value)
        assert f"toy_color.yaml:{line}" in str(caught.value)


class TestInterruption:
    """Processes that are stopped half way, and what the same command makes of it."""

    def script(self, toy: Toy, body: str) -> list[str]:
        code = f"""
            import os, signal, sys, time
            from pathlib import Path
            from vision_flan.build import schedule
            from vision_flan.build.compile import Options, compile_task
            from vision_flan.cli.main import run
            from vision_flan.report import Silent
            from vision_flan.spec.catalog import Catalog
            root = Path({str(toy.root)!r})
            class Report(Silent):
                rows = 0
                def advance(self, steps, size=0):
                    if size:
                        self.rows += steps
                        self.at(self.rows)
                def at(self, rows):
                    {body}
            schedule.LOSABLE = 0.0  # as for slow tasks: each block is kept
            catalog = Catalog(root / "task_specs", root / "instructions")
            out = root / "vision-flan"
            compile_task("toy_color", root / "raw", out, catalog, Options(), Report())
        """
        return [sys.executable, "-c", textwrap.dedent(code)]

    def test_after_kill_9_nothing_is_loadable_and_the_next_run_keeps_what_was_finished(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        toy = Toy(tmp_path, count=2 * BLOCK_ROWS + 50)
        undisturbed = toy.compile(out=tmp_path / "undisturbed")
        body = f"if rows > {BLOCK_ROWS + 200}: os.kill(os.getpid(), signal.SIGKILL)"
        killed = subprocess.run(self.script(toy, body), cwd=REPOSITORY, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert not (toy.out / "toy_color").exists()
        assert not (toy.out / "manifest").exists()
        finished = (toy.out / ".vflan/toy_color/blocks/00000.arrow").stat().st_ino
        monkeypatch.setattr(schedule, "LOSABLE", 0.0)
        opened: list[int] = []
        monkeypatch.setattr(
            "vision_flan.build.joining.batches_of",
            lambda path: (opened.append(path.stat().st_ino), batches_of(path))[1],
        )
        assert shas(toy.compile()) == shas(undisturbed)
        assert opened[0] == finished

    def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(self, tmp_path: Path) -> None:
        toy = Toy(tmp_path, count=BLOCK_ROWS + 50)
        body = "if rows > 100: os.kill(os.getpid(), signal.SIGINT); time.sleep(0.05)"
        stopped = subprocess.run(
            self.script(toy, body),
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
            # a job in the background, as some runners start us, ignores Ctrl-C, and its children with it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert "KeyboardInterrupt" in stopped.stderr
        assert not (toy.out / "toy_color").exists()
        assert toy.compile().manifest.rows == BLOCK_ROWS + 50

    def test_a_change_of_the_spec_between_two_tries_starts_over(self, tmp_path: Path) -> None:
        toy = Toy(tmp_path, count=BLOCK_ROWS + 50)
        body = f"if rows > {BLOCK_ROWS + 10}: os.kill(os.getpid(), signal.SIGKILL)"
        subprocess.run(self.script(toy, body), cwd=REPOSITORY, check=False)
        toy.write_specs(text="Which color is it? Answer with the letter and its option.")
        toy.compile()
        assert {row["instruction"] for row in toy.rows()} == {
            "Which color is it? Answer with the letter and its option."
        }

    def test_killed_between_moving_shards_and_manifest_the_next_run_completes(
        self, toy: Toy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = shas(toy.compile(out=toy.root / "other"))

        def power_cut(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("vision_flan.build.compile.refresh_readme", power_cut)
            with pytest.raises(KeyboardInterrupt):
                toy.compile()
        result = toy.compile()
        assert shas(result) == expected
        assert "toy_color" in (toy.out / "README.md").read_text()

    def test_two_compiles_of_one_task_into_one_folder_the_second_is_told_to_wait(self, toy: Toy) -> None:
        body = "print('begun', flush=True); time.sleep(60)"
        with subprocess.Popen(self.script(toy, body), cwd=REPOSITORY, stdout=subprocess.PIPE) as first:
            assert first.stdout is not None and first.stdout.readline() == b"begun\n"
            with pytest.raises(MachineError, match="another compile of this task"):
                toy.compile()
            first.kill()
        assert toy.compile().manifest.rows == 12

    def test_a_disk_that_fills_is_said_and_the_same_command_goes_on(self, tmp_path: Path) -> None:
        toy = Toy(tmp_path, count=12)
        for path in (toy.raw / "toy/images").iterdir():
            Image.effect_noise((600, 600), 90).save(path, "PNG")
        code = f"""
            import resource, signal, sys
            from pathlib import Path
            from vision_flan.cli.main import run, vflan
            from vision_flan.spec.catalog import Catalog
            root = Path({str(toy.root)!r})
            Catalog.default = classmethod(lambda cls: cls(root / "task_specs", root / "instructions"))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write fails with EFBIG, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
            sys.exit(run(vflan, ["compile", "--task", "toy_color", "--raw", str(root / "raw"),
                                 "--out", str(root / "vision-flan")]))
        """
        full = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
        )
        assert full.returncode == 5, full.stderr
        assert "cannot write: File too large" in full.stderr and "Traceback" not in full.stderr
        assert not (toy.out / "toy_color").exists()
        assert toy.compile().manifest.rows == 12


class TestVerify:
    def problems(self, folder: Path) -> list[str]:
        *_, (_, result) = verify(folder)
        return [f"{problem.path} {problem.message}" for problem in result.problems]

    def test_a_fresh_folder_verifies(self, toy: Toy) -> None:
        toy.compile()
        assert self.problems(toy.out) == []

    def test_a_flipped_byte_a_cut_shard_and_an_extra_one_are_found(self, toy: Toy) -> None:
        shard = toy.out / toy.compile().manifest.shards[0].path
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        assert "a different sha256" in self.problems(toy.out)[0]
        shard.write_bytes(data[:-10])
        assert "bytes, the manifest says" in self.problems(toy.out)[0]
        shard.unlink()
        (toy.out / "toy_color/train-9.parquet").write_bytes(b"")
        assert [text.split(" ", 1)[1] for text in self.problems(toy.out)] == [
            "is missing",
            "is not in the manifest",
        ]


class TestMergedFolders:
    def test_configs_copied_into_a_folder_are_found_after_its_card_is_written_again(
        self, toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toy.compile()
        other = Toy(tmp_path / "other")
        other.compile()
        (toy.out / "README.md").unlink()
        for name in ("toy_color", "manifest"):
            shutil.copytree(other.out / name, toy.out / name, dirs_exist_ok=True)
        assert run(vflan, ["verify", str(toy.out)]) == ExitCode.FAILED
        assert f"README.md: is not what the manifests say; `vflan card {toy.out}`" in capsys.readouterr().out
        assert run(vflan, ["card", str(toy.out)]) == ExitCode.OK
        assert capsys.readouterr().out == f"{toy.out / 'README.md'}: 1 config\n"
        assert run(vflan, ["verify", str(toy.out)]) == ExitCode.OK
        toy.compile()
        (toy.out / "README.md").write_text("broken")
        assert not toy.compile().built
        assert run(vflan, ["verify", str(toy.out)]) == ExitCode.OK

    def test_a_folder_loads_by_its_name_alone_as_all_its_tasks(self, toy: Toy, tmp_path: Path) -> None:
        toy.compile()
        rows = datasets.load_dataset(str(toy.out), split="train", cache_dir=str(tmp_path / "cache"))
        assert rows.num_rows == 12 and set(rows["task"]) == {"toy_color"}
        assert rows.features == datasets.Features.from_dict(features_dict())
