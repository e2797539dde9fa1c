"""Places: what a user writes, objects as paths, and what is said when a store refuses."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.folder_store import Bucket, use
from vision_flan.errors import StoreError
from vision_flan.places.place import files_in, load_call, place_of, stamp_of
from vision_flan.places.refusals import said, without_secrets
from vision_flan.places.remote import RemotePath

NAME = st.text("abcdefgh0123456789-_", min_size=1, max_size=12)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    yield from use(Bucket(tmp_path / "store"), monkeypatch.setenv)


class TestWhatAUserWrites:
    @given(
        scheme=st.sampled_from(["s3", "gs", "abfs", "memory"]), parts=st.lists(NAME, min_size=1, max_size=4)
    )
    def test_a_url_stays_what_it_is_and_has_one_work_folder(self, scheme: str, parts: list[str]) -> None:
        url = f"{scheme}://{'/'.join(parts)}"
        for text in (url, f"{url}/"):
            place = place_of(text)
            assert isinstance(place, RemotePath) and str(place) == url
            assert place.work == place_of(url).work and place.work.is_absolute()
        assert place_of(place) is place and pickle.loads(pickle.dumps(place)) == place
        assert place_of(f"{url}-2").work != place.work

    @given(parts=st.lists(NAME, min_size=1, max_size=4))
    def test_a_path_or_a_file_url_is_a_path(self, parts: list[str]) -> None:
        path = Path("/", *parts)
        for text in (str(path), f"file://{path}", f"file://localhost{path}", f"local://{path}"):
            assert place_of(text) == path
        assert place_of("/".join(parts)) == Path(*parts)

    @pytest.mark.parametrize(
        "url", ["s3://", "s3:///x", "s3://b/../x", "s3://b/./x", "simplecache::s3://b/x"]
    )
    def test_what_names_no_place_in_a_store_is_refused(self, url: str) -> None:
        with pytest.raises(StoreError, match="names no place"):
            place_of(url)

    def test_the_call_that_loads_a_config_fits_the_place(self) -> None:
        assert load_call(Path("out"), "a", "train") == "load_dataset('out', 'a', split='train')"
        assert "data_files={'train': 's3://b/out/a/train-*.parquet'}" in load_call(
            place_of("s3://b/out"), "a", "train"
        )


class TestObjects:
    def test_they_are_written_read_listed_and_removed_as_files_are(self, bucket: Bucket) -> None:
        root = place_of(bucket.url)
        assert isinstance(root, RemotePath)
        there = root / "a" / "b.json"
        assert not there.exists() and files_in(root / "a", "*") == [] and stamp_of(there) is None
        for missing in (there.read_bytes, there.stat, there.open, there.unlink):
            with pytest.raises(FileNotFoundError):
                missing()
        there.unlink(missing_ok=True)
        there.write_bytes(b"one")
        (root / "a" / "c.txt").write_bytes(b"")
        (root / "a" / "deeper" / "d.json").write_bytes(b"")
        assert there.read_text() == "one" and there.open().read() == b"one"
        assert (there.name, there.stem, there.stat().st_size) == ("b.json", "b", 3)
        assert [path.name for path in files_in(root / "a", "*.json")] == ["b.json"]
        assert not (root / "a" / "deeper").exists()  # it is no object
        before = stamp_of(there)
        there.write_bytes(b"two")
        assert before != stamp_of(there) == stamp_of(there)
        with pytest.raises(FileExistsError):
            there.write_bytes(b"three", new=True)
        there.unlink()
        assert not there.exists()

    def test_what_was_listed_is_not_asked_for_again_and_own_changes_are_seen(self, bucket: Bucket) -> None:
        root = place_of(bucket.url)
        assert isinstance(root, RemotePath)
        for name in ("a", "b"):
            (root / "x" / name).write_bytes(name.encode())
        listed = root.listed("x")
        assert [(listed / "x" / name).read_bytes() for name in ("a", "b")] == [b"a", b"b"]
        asked = len(bucket.log())
        assert [(listed / "x" / name).read_bytes() for name in ("a", "b")] == [b"a", b"b"]
        assert not (listed / "x" / "c").exists()
        assert len(bucket.log()) == asked
        (listed / "x" / "c").write_bytes(b"c")
        (listed / "x" / "a").unlink()
        (listed / "x" / "b").write_bytes(b"bb")
        assert {path.name: path.read_bytes() for path in (listed / "x").glob("*")} == {"b": b"bb", "c": b"c"}
        (root / "x" / "b").write_bytes(b"of another process")
        assert (root.listed("x") / "x" / "b").read_bytes() == b"of another process"


class TestRefusals:
    @given(secret=st.text("abcdefgh0123456789/+", min_size=8, max_size=40), around=st.text(max_size=20))
    def test_no_value_of_a_secret_is_shown(self, secret: str, around: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            shown = without_secrets(f"{around}{secret}, and again {secret}")
        assert secret not in shown.replace(around, "")

    @pytest.mark.parametrize(
        "text",
        [
            "cannot connect to https://user:hunter22@host/x",
            "GET https://host/x?X-Amz-Signature=hunter22&a=b",
            "GET https://host/x?a=b&x-amz-security-token=hunter22",
        ],
    )
    def test_no_credentials_in_a_url_are_shown(self, text: str) -> None:
        assert "hunter22" not in without_secrets(text) and "host/x" in without_secrets(text)

    def test_a_full_disk_of_this_machine_is_no_fault_of_the_store(self) -> None:
        with pytest.raises(OSError, match="No space") as raised, said("s3://b"):
            raise OSError(errno.ENOSPC, "No space left on device")
        assert not isinstance(raised.value, StoreError)

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (PermissionError("Access Denied"), "the store refuses: Access Denied"),
            (NotImplementedError("no"), "this kind of store cannot do what is needed"),
            (ImportError("gcsfs"), "gs:// needs a package that is not installed"),
            (TimeoutError(), "the store cannot be reached, or refuses: TimeoutError"),
            (RuntimeError("what\nTraceback"), "the store cannot be reached, or refuses: what"),
        ],
    )
    def test_each_says_what_is_wrong_where_and_what_to_do(self, error: Exception, words: str) -> None:
        with pytest.raises(StoreError) as raised, said("gs://bucket/x"):
            raise error
        assert raised.value.what == words or raised.value.what.startswith(words)
        assert (
            str(raised.value.where) == "gs://bucket/x" and raised.value.hint and raised.value.exit_code == 5
        )
