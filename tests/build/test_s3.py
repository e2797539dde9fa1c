"""`vflan compile --out s3://bucket/name`, against a server of S3, and `load_dataset` back from it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest

import vision_flan as vf
from tests.docs.console import examples, matches
from tests.docs.console import run as run_example
from tests.s3_server import MISSING, SECRET, empty, s3_server
from vision_flan.build import store_lock
from vision_flan.cli.main import run, vflan
from vision_flan.miniatures import registry

REPOSITORY = Path(__file__).parents[2]
TASKS = ("ocr_textocr", "texture_dtd")
OUT = "s3://bucket/vision-flan"

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"`make test-s3` installs {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3_server("bucket") as environment:
        yield environment


@pytest.fixture
def s3(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment that the server is reached with, also of this process; the bucket is empty."""
    from s3fs import S3FileSystem

    environment = server | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(REPOSITORY),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # they know another environment
    empty("bucket")
    yield environment
    S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for dataset in ("textocr", "dtd"):
        registry.make(dataset, folder, 40, seed=3)
    return folder


def arguments(raw: Path, out: Path | str = OUT, *more: str) -> list[str]:
    tasks = [part for task in TASKS for part in ("--task", task)]
    return ["compile", *tasks, "--raw", str(raw), "--out", str(out), "--json", *more]


@pytest.fixture(scope="module")
def here(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tasks in a folder of this machine."""
    out = tmp_path_factory.mktemp("here")
    assert run(vflan, arguments(raw, out, "--jobs", "1")) == 0
    return out


def typed(raw: Path, *more: str) -> subprocess.Popen[str]:
    code = "import sys; from vision_flan.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments(raw, OUT, *more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def objects() -> Mapping[str, bytes]:
    """What is in the folder, by name, but what is kept of its making."""
    from fsspec.core import url_to_fs

    store, root = url_to_fs(OUT, use_listings_cache=False)
    names = [name for name in store.find(root) if f"{root}/." not in name]
    return {name.removeprefix(f"{root}/"): store.cat_file(name) for name in names}


def files(out: Path) -> Mapping[str, bytes]:
    """The same of a folder on this machine."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and not path.relative_to(out).parts[0].startswith(".")
    }


class TestCompile:
    def test_two_processes_write_the_objects_that_one_writes_as_files(
        self, s3: dict[str, str], raw: Path, here: Path
    ) -> None:
        with typed(raw, "--jobs", "2") as running:
            said = running.communicate()
        assert running.returncode == 0, said
        assert objects() == files(here)
        with typed(raw, "--jobs", "2") as again:
            printed, _ = again.communicate()
        assert [one["built"] for one in json.loads(printed)] == [False, False]
        assert SECRET not in "".join(said)
        assert not any(SECRET.encode() in content for content in objects().values())

    @pytest.mark.slow
    def test_killed_at_random_points_the_same_command_ends_in_the_same_objects(
        self, s3: dict[str, str], raw: Path, here: Path
    ) -> None:
        draw = random.Random(5)
        for _ in range(5):
            with typed(raw, "--jobs", "2") as running:
                try:
                    running.communicate(timeout=draw.uniform(1.5, 6.0))
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
                    running.communicate()
            there = objects()
            for name in [name for name in there if name.startswith("manifest/")]:
                for shard in json.loads(there[name])["shards"]:
                    assert len(there[shard["path"]]) == shard["bytes"]
        with typed(raw, "--jobs", "2") as last:
            said = last.communicate()
        assert last.returncode == 0, said
        assert objects() == files(here)

    def test_of_two_that_want_one_lock_at_a_time_one_gets_it(
        self, s3: dict[str, str], tmp_path: Path
    ) -> None:
        from vision_flan.errors import MachineError
        from vision_flan.places.remote import RemotePath

        lock = RemotePath(f"{OUT}/lock", tmp_path)
        with store_lock.held(lock):
            other = store_lock._Holder(1, "other", "other")
            with pytest.raises(MachineError, match="another compile of this task"):
                store_lock._write(lock, other, new=True)
            tag = lock.etag()
            store_lock._write(lock, store_lock._holding[lock.url].again(), replaces=tag)
            with pytest.raises(MachineError, match="another compile of this task"):
                store_lock._write(lock, other, replaces=tag)
            store_lock.still_held(lock)
        assert not lock.exists()

    def test_parts_of_an_upload_that_was_stopped_are_removed(
        self, s3: dict[str, str], raw: Path, here: Path
    ) -> None:
        import boto3

        client = boto3.client("s3")
        ours, other = f"vision-flan/{TASKS[0]}/train-00000-of-00001.parquet", "vision-flan-2/x"
        for key in (ours, other):
            begun = client.create_multipart_upload(Bucket="bucket", Key=key)
            client.upload_part(
                Bucket="bucket", Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=b"half" * 2**21
            )
        assert run(vflan, arguments(raw, OUT, "--jobs", "1")) == 0
        left = client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
        assert [one["Key"] for one in left] == [other]
        assert objects() == files(here)


class TestLoad:
    def test_load_dataset_reads_it_back_and_streams_it(
        self, s3: dict[str, str], raw: Path, here: Path
    ) -> None:
        from datasets import load_dataset

        assert run(vflan, arguments(raw, OUT, "--jobs", "1")) == 0
        wanted = vf.load(here, TASKS[0])
        shards = {"train": f"{OUT}/{TASKS[0]}/train-*.parquet"}
        options = {"endpoint_url": s3["AWS_ENDPOINT_URL"], "key": "an-access-key", "secret": SECRET}
        for given in ({}, {"storage_options": options}):
            rows = load_dataset("parquet", data_files=shards, split="train", **given)
            assert rows.features == wanted.features and rows["id"][:] == wanted["id"][:]
            assert rows[0]["image"].tobytes() == wanted[0]["image"].tobytes()
            stream = load_dataset("parquet", data_files=shards, split="train", streaming=True, **given)
            assert [row["id"] for row in stream] == wanted["id"][:]
        assert vf.load(OUT, TASKS[0])["target"][:] == wanted["target"][:]
        assert vf.verify(OUT, limits=None).problems == []


class TestErrors:
    @pytest.fixture(autouse=True)
    def show(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def refused(self, raw: Path, out: str = OUT) -> str:
        assert run(vflan, ["compile", "--task", TASKS[0], "--raw", str(raw), "--out", out]) == 5
        said = self.capsys.readouterr().err
        assert "Traceback" not in said and SECRET not in said
        return said

    def test_a_bucket_that_does_not_exist(self, s3: dict[str, str], raw: Path) -> None:
        assert "there is no such bucket" in self.refused(raw, "s3://nobody/x")
        for command in (["verify", "s3://nobody/x"], ["card", "s3://nobody/x"], ["stats", "s3://nobody/x"]):
            assert run(vflan, command) == 5
            assert "there is no such bucket" in self.capsys.readouterr().err

    def test_no_credentials(
        self, s3: dict[str, str], raw: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        with typed(raw) as running:  # this process has a client with credentials
            _, said = running.communicate()
        assert running.returncode == 5
        assert "there are no credentials for this store" in said and "set AWS_PROFILE" in said

    def test_no_s3fs(self, s3: dict[str, str], raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
        monkeypatch.setitem(sys.modules, "s3fs", None)
        said = self.refused(raw)
        assert "s3:// needs the package s3fs, which is not installed" in said
        assert 'pip install "vision-flan[s3] @' in said

    def test_a_server_that_is_gone(
        self, s3: dict[str, str], raw: Path, monkeypatch: pytest.MonkeyPatch, here: Path
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with typed(raw, "--jobs", "1") as running:
            _, said = running.communicate()
        assert running.returncode == 5
        assert "the store cannot be reached" in said and "check the network" in said and SECRET not in said
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3["AWS_ENDPOINT_URL"])
        assert run(vflan, arguments(raw, OUT, "--jobs", "1")) == 0
        assert objects() == files(here)


@pytest.mark.slow
def test_the_document_shows_what_commands_print_and_how_to_load(s3: dict[str, str], tmp_path: Path) -> None:
    document = REPOSITORY / "docs/scale.md"
    environment = s3 | {"HF_HUB_OFFLINE": "0"}
    found = list(examples(document, "console s3"))
    assert found
    for example in found:
        printed, _ = run_example(example.command, tmp_path, environment)
        assert matches(example.output, printed), (example.command, printed)
    (code,) = re.findall(r"^```python s3\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "load.py").write_text(code)
    printed, ended = run_example("python load.py", tmp_path, environment)
    assert ended == 0, printed


def test_the_environment_is_as_it_was() -> None:
    assert SECRET not in os.environ.values()
