"""A compiled folder in a store of objects: the same bytes, and nothing looks whole that is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import vision_flan as vf
from tests.build.killed import kill_at_random_points
from tests.folder_store import REPOSITORY, Bucket, use
from tests.toy import Toy
from vision_flan.build import store_lock
from vision_flan.cli.main import run, vflan
from vision_flan.dataset import card
from vision_flan.miniatures import registry
from vision_flan.spec.catalog import Catalog

TASKS = ("ocr_textocr", "texture_dtd")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    yield from use(Bucket(tmp_path / "store"), monkeypatch.setenv)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for dataset in ("textocr", "dtd"):
        registry.make(dataset, folder, 40, seed=3)
    return folder


def arguments(raw: Path, out: Path | str, *more: str) -> list[str]:
    tasks = [part for task in TASKS for part in ("--task", task)]
    return ["compile", *tasks, "--raw", str(raw), "--out", str(out), "--json", "--jobs", "1", *more]


@pytest.fixture(scope="module")
def here(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tasks in a folder of this machine."""
    out = tmp_path_factory.mktemp("here")
    assert run(vflan, arguments(raw, out)) == 0
    return out


def contents(out: Path) -> Mapping[str, bytes]:
    """Every file of a compiled folder, but what is kept of its making."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.relative_to(out).parts[0].startswith(".")
    }


def whole_configs(bucket: Bucket) -> None:
    """Whatever has a manifest is there, as it says."""
    for path in bucket.out.glob("manifest/*.json"):
        for shard in json.loads(path.read_text())["shards"]:
            assert (bucket.out / shard["path"]).stat().st_size == shard["bytes"]


class TestCompile:
    def test_the_objects_are_those_of_a_folder_and_none_stays_on_this_machine(
        self, raw: Path, here: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert contents(bucket.out) == contents(here)
        assert not [path for path in bucket.work() if path.suffix == ".parquet"]
        capsys.readouterr()
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert [one["built"] for one in json.loads(capsys.readouterr().out)] == [False, False]

    def test_shards_come_first_the_manifest_after_them_and_the_card_last(
        self, raw: Path, bucket: Bucket
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        written = [
            line.removeprefix("put bucket/vision-flan/") for line in bucket.log() if line.startswith("put")
        ]
        for task in TASKS:
            shards = [at for at, name in enumerate(written) if name.startswith(f"{task}/")]
            manifest = written.index(f"manifest/{task}.json")
            assert shards and max(shards) < manifest < len(written) - 1 - written[::-1].index("README.md")

    def test_another_machine_knows_what_is_up_to_date(
        self, raw: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        shutil.rmtree(bucket.root / ".cache")
        capsys.readouterr()
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert '"built": true' not in capsys.readouterr().out
        assert (
            run(vflan, ["status", "--raw", str(raw), "--out", bucket.url, "--task", TASKS[0], "--json"]) == 0
        )
        (found,) = json.loads(capsys.readouterr().out)
        assert (found["build"], found["next"]) == ("built", "")

    def test_what_changed_in_the_raw_files_or_in_the_store_is_built_again(
        self, toy: Toy, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
        command = ["compile", "--task", "toy_color", "--raw", str(toy.raw), "--out", bucket.url]
        assert run(vflan, command) == 0
        (shard,) = bucket.out.glob("toy_color/*.parquet")
        whole = shard.read_bytes()
        shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        capsys.readouterr()
        assert run(vflan, ["verify", bucket.url]) == 1
        assert "has a different sha256" in capsys.readouterr().out
        assert run(vflan, command) == 0
        assert "is not as it was installed" in capsys.readouterr().err
        assert shard.read_bytes() == whole
        toy.record(40)
        toy.write_records([toy.record(i) for i in range(13)])
        assert run(vflan, command) == 0
        assert "toy_color: 13 instances" in capsys.readouterr().out

    def test_objects_that_a_stopped_upload_left_are_removed(
        self, raw: Path, here: Path, bucket: Bucket
    ) -> None:
        stray = bucket.out / TASKS[0] / "train-00007-of-00009.parquet"
        stray.parent.mkdir(parents=True)
        stray.write_bytes(b"half")
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert contents(bucket.out) == contents(here)

    def test_the_network_that_ends_stops_the_run_with_one_error_and_what_is_finished_stays(
        self, raw: Path, here: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        everything = len(bucket.written())
        shutil.rmtree(bucket.out)
        stops = range(0, everything, 2)
        for uploads in stops:
            bucket.fails_after(uploads)
            capsys.readouterr()
            assert run(vflan, arguments(raw, bucket.url)) == 5
            said = capsys.readouterr().err
            assert said.count("the store cannot be reached, or refuses: Connection reset by peer") == 1
            assert "run the same command" in said
            bucket.fails_after(None)
            whole_configs(bucket)
            shutil.rmtree(bucket.out, ignore_errors=uploads == 0)
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert contents(bucket.out) == contents(here)

    def test_after_the_network_ended_what_is_finished_is_not_built_again(
        self, raw: Path, here: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        second = bucket.written().index(f".vflan/{TASKS[1]}/lock")
        shutil.rmtree(bucket.out)
        bucket.fails_after(second + 2)
        assert run(vflan, arguments(raw, bucket.url)) == 5
        bucket.fails_after(None)
        capsys.readouterr()
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert [one["built"] for one in json.loads(capsys.readouterr().out)] == [False, True]
        assert contents(bucket.out) == contents(here)

    @pytest.mark.slow
    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_killed_at_random_points_the_same_command_ends_in_the_same_objects(
        self, raw: Path, here: Path, bucket: Bucket, jobs: str
    ) -> None:
        code = "import sys; from vision_flan.cli.main import main; main()"
        command = [sys.executable, "-c", code, *arguments(raw, bucket.url, "--jobs", jobs)]
        slow = os.environ | {"VFLAN_TEST_STORE_SLOW": "0.5"}
        kills = 0
        for _ in kill_at_random_points(command, slow, kills=6, seconds=(0.8, 2.5), seed=jobs):
            kills += 1
            whole_configs(bucket)
        assert kills
        done = subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert contents(bucket.out) == contents(here)


class TestOtherCommands:
    def test_shares_go_into_one_folder_and_folders_are_merged_into_a_store_and_back(
        self, raw: Path, here: Path, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for i in (1, 2):
            assert run(vflan, arguments(raw, bucket.url, "--shard-of", f"{i}/2")) == 0
            assert run(vflan, arguments(raw, tmp_path / str(i), "--shard-of", f"{i}/2")) == 0
        assert contents(bucket.out) == contents(here)
        merged, back = "test://bucket/merged", tmp_path / "back"
        assert run(vflan, ["merge", str(tmp_path / "1"), str(tmp_path / "2"), "--out", merged]) == 0
        assert contents(bucket.folder / "merged") == contents(here)
        assert run(vflan, ["merge", merged, "--out", str(back)]) == 0
        assert contents(back) == contents(here)
        capsys.readouterr()
        for out in (merged, back):
            assert run(vflan, arguments(raw, out)) == 0
            assert '"built": true' not in capsys.readouterr().out, out

    def test_verify_card_and_stats_read_a_store(
        self, raw: Path, here: Path, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url)) == 0
        (bucket.out / "README.md").unlink()
        capsys.readouterr()
        assert run(vflan, ["verify", bucket.url]) == 1
        assert f"`vflan card {bucket.url}`" in capsys.readouterr().out
        assert run(vflan, ["card", bucket.url]) == 0
        assert run(vflan, ["verify", bucket.url]) == 0
        assert contents(bucket.out) == contents(here)
        capsys.readouterr()
        printed = []
        for folder in (str(here), bucket.url):
            assert run(vflan, ["stats", folder, "--json"]) == 0
            printed.append(json.loads(capsys.readouterr().out))
        assert printed[0] == printed[1]

    def test_python_compiles_into_a_store_and_loads_from_it(self, raw: Path, bucket: Bucket) -> None:
        made = vf.compile("ocr_textocr", raw, bucket.url, limits=None)
        rows = vf.load(bucket.url, "ocr_textocr")
        assert rows.num_rows == made.manifest.rows and rows[0]["image"].mode == "RGB"
        assert vf.verify(bucket.url, limits=None).problems == []

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--out", "hf://datasets/x/y"], "`vflan publish`"),
            (["--out", "s3://user:hunter22@bucket/x"], "the URL has a password"),
            (["--out", "s3:///x"], "names no place in a store"),
            (["--out", "s3://bucket/../x"], "names no place in a store"),
            (["--out", "here", "--work", "there"], "--work is for a URL"),
            (["--out", "test://bucket/x", "--engine", "ray"], "a folder that all machines see"),
            (["--raw", "test://bucket/raw"], "give a folder on this machine"),
        ],
    )
    def test_what_cannot_be_is_refused_before_any_work(
        self, bucket: Bucket, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
    ) -> None:
        assert run(vflan, ["compile", "--task", TASKS[0], *arguments]) == 2
        printed = capsys.readouterr().err
        assert said in " ".join(printed.split()) and "hunter22" not in printed
        assert not bucket.log()

    def test_a_plan_is_one_run_with_its_log_on_this_machine(
        self, raw: Path, here: Path, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plan, work = tmp_path / "plan.json", tmp_path / "work"
        tasks = [*TASKS, "object_domainnet_real"]
        plan.write_text(json.dumps({"quotas": dict.fromkeys(tasks, 10000)}))
        command = ["compile", "--plan", str(plan), "--raw", str(raw), "--out", bucket.url, "--jobs", "1"]
        assert run(vflan, [*command, "--work", str(work)]) == 3
        shown = capsys.readouterr()
        assert f"2 of 3 tasks in {bucket.url}" in shown.out
        assert "object_domainnet_real cannot be built" in (work / "compile.log").read_text()
        assert contents(bucket.out) == contents(here)

    def test_a_network_that_ends_stops_the_run_before_the_next_task(
        self, raw: Path, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"quotas": dict.fromkeys(TASKS, 10)}))
        bucket.fails_after(1)
        command = ["compile", "--plan", str(plan), "--raw", str(raw), "--out", bucket.url, "--jobs", "1"]
        assert run(vflan, command) == 5
        assert "1 task not tried: the same command goes on" in capsys.readouterr().err

    def test_a_file_url_is_a_folder_of_this_machine(self, raw: Path, here: Path, tmp_path: Path) -> None:
        assert run(vflan, arguments(raw, f"file://{tmp_path}/out")) == 0
        assert contents(tmp_path / "out") == contents(here)
        assert run(vflan, ["verify", f"file://localhost{tmp_path}/out"]) == 0

    def test_a_store_of_a_kind_that_nobody_knows_is_said(
        self, raw: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(vflan, arguments(raw, "nonsense://bucket/x")) == 5
        assert "there is no such kind of store" in capsys.readouterr().err

    def test_unfinished_files_lie_where_work_says(
        self, raw: Path, here: Path, bucket: Bucket, tmp_path: Path
    ) -> None:
        assert run(vflan, arguments(raw, bucket.url, "--work", str(tmp_path / "work"))) == 0
        assert (tmp_path / "work" / TASKS[0]).is_dir() and not bucket.work()
        assert contents(bucket.out) == contents(here)

    def test_a_folder_without_a_config_is_said(
        self, bucket: Bucket, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command in (["verify"], ["card"], ["stats"]):
            assert run(vflan, [*command, bucket.url]) == 1
            shown = capsys.readouterr()
            assert "no compiled config" in shown.out + shown.err


class TestCard:
    def test_of_two_that_write_the_card_at_a_time_the_last_names_the_configs_of_both(
        self, raw: Path, here: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between one's look at the manifests and its writing of the card, another installs its config."""
        assert run(vflan, arguments(raw, bucket.url)) == 0
        hidden = bucket.out / "manifest" / f"{TASKS[1]}.json"
        later = hidden.read_bytes()
        hidden.unlink()
        (bucket.out / "README.md").unlink()
        write, written = card.write_atomically, []

        def slowly(path: object, text: str) -> None:
            if not written:
                hidden.write_bytes(later)
            written.append(text)
            write(path, text)  # type: ignore[arg-type]

        monkeypatch.setattr(card, "write_atomically", slowly)
        assert run(vflan, ["card", bucket.url]) == 0
        assert [TASKS[1] in text for text in written] == [False, True]
        assert contents(bucket.out) == contents(here)


class TestLock:
    def hold(self, bucket: Bucket, **facts: object) -> Path:
        """The lock of a process of another machine."""
        lock = bucket.out / ".vflan" / TASKS[0] / "lock"
        lock.parent.mkdir(parents=True)
        holder = {"process": 7, "host": "other", "machine": "other", "token": "t", "beats": 0}
        lock.write_text(json.dumps(holder | facts))
        return lock

    def test_a_task_that_another_machine_compiles_is_refused_with_its_name(
        self, raw: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lock = self.hold(bucket)
        looks = []

        def sleep(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == 3:
                self.hold_again(lock)

        monkeypatch.setattr(store_lock.time, "sleep", sleep)
        assert run(vflan, arguments(raw, bucket.url)) == 5
        assert (
            "another compile of this task is running in this folder: process 7 on other"
            in capsys.readouterr().err
        )
        assert len(looks) == 3 and not list(bucket.out.glob("manifest/*"))

    @staticmethod
    def hold_again(lock: Path) -> None:
        lock.write_text(json.dumps(json.loads(lock.read_text()) | {"beats": 1}))

    def test_a_lock_that_stays_the_same_was_left_behind(
        self, raw: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = self.hold(bucket)
        monkeypatch.setattr(store_lock, "STALE", 0.2)
        monkeypatch.setattr(store_lock, "LOOK", 0.05)
        assert run(vflan, arguments(raw, bucket.url)) == 0
        assert not lock.exists()

    def test_the_lock_of_a_process_of_this_machine_that_has_ended_is_taken_at_once(
        self, raw: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with subprocess.Popen(["true"]) as ended:
            pass
        self.hold(bucket, process=ended.pid, machine=store_lock._machine())
        monkeypatch.setattr(store_lock, "_watch", lambda *_: pytest.fail("it waited"))
        assert run(vflan, arguments(raw, bucket.url)) == 0

    def test_who_lost_the_lock_installs_nothing(
        self, raw: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Another machine took it over, as the store could not be reached for a while."""
        check = store_lock.still_held

        def taken(lock: object) -> None:
            path = bucket.out / ".vflan" / TASKS[0] / "lock"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "other", "token": "t"}))
            check(lock)  # type: ignore[arg-type]

        monkeypatch.setattr("vision_flan.build.install.still_held", taken)
        assert run(vflan, arguments(raw, bucket.url)) == 5
        assert "nothing was installed by this one" in capsys.readouterr().err
        assert not list(bucket.out.glob("*/*.parquet")) and not list(bucket.out.glob("manifest/*"))
        assert (bucket.out / ".vflan" / TASKS[0] / "lock").exists()
