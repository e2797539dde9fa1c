"""`vflan fetch` against a real HTTP server on this machine."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.raw.http_server import CONTENT, MD5, Upstream, serving
from tests.toy import LICENSE
from vision_flan.cli.main import vflan
from vision_flan.errors import BadRawError, ExitCode, MachineError, MissingRawError, SpecError
from vision_flan.raw import fetch as fetching
from vision_flan.raw import transfer
from vision_flan.raw.fetch import Action, Step, amount, check_space, download, plan
from vision_flan.raw.web import PRIVATE_HOSTS, is_public
from vision_flan.report import Silent
from vision_flan.spec.catalog import Catalog
from vision_flan.spec.model import UpstreamFile


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serving(Upstream()) as state:
        yield state


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.0)


DATASET = (
    """\
dataset: pets
title: Pets
homepage: https://example.org/pets
"""
    + LICENSE
    + """\
citation: "@misc{pets, title = {Pets}, year = {2020}}"
access: ACCESS
how_to_get: Write to pets@example.org.
files: FILES
tables:
  images: {reader: files, file: "images/{name}.jpg"}
"""
)


def catalog_with(folder: Path, files: list[dict[str, Any]], access: str = "direct") -> Catalog:
    path = folder / "task_specs" / "pets" / "dataset.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DATASET.replace("FILES", json.dumps(files)).replace("ACCESS", access), "utf-8")
    return Catalog(folder / "task_specs", folder / "instructions")


def zip_at(upstream: Upstream, **facts: Any) -> dict[str, Any]:
    known = {"path": "images.zip", "url": f"{upstream.url}/images.zip", "bytes": len(CONTENT), "md5": MD5}
    return known | {"provides": ["images/"]} | facts


def bring(catalog: Catalog, raw: Path) -> None:
    for step in plan(catalog.dataset("pets"), raw):
        assert step.action == "download"
        download(step, Silent())


def names_in(raw: Path) -> list[str]:
    return sorted(path.name for path in (raw / "pets").iterdir())


# --- the transfer


def test_a_file_comes_whole_and_nothing_else_stays(upstream: Upstream, tmp_path: Path) -> None:
    bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert (tmp_path / "raw" / "pets" / "images.zip").read_bytes() == CONTENT
    assert names_in(tmp_path / "raw") == ["images.zip"]


def test_a_cut_transfer_asks_for_the_rest_by_itself(upstream: Upstream, tmp_path: Path) -> None:
    upstream.cuts = [1_000_000, 500_000]
    bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert upstream.seen == [None, "bytes=1000000-", "bytes=1500000-"]
    assert (tmp_path / "raw" / "pets" / "images.zip").read_bytes() == CONTENT


def test_a_transfer_that_is_given_up_keeps_its_part_and_goes_on_next_time(
    upstream: Upstream, tmp_path: Path
) -> None:
    catalog, raw = catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw"
    upstream.cuts = [700_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(MissingRawError, match=r"cut after 700,000 of 3,000,000 bytes") as failure:
        bring(catalog, raw)
    assert "same command again" in failure.value.hint
    assert (raw / "pets" / "images.zip.part").read_bytes() == CONTENT[:700_000]
    (step,) = plan(catalog.dataset("pets"), raw)
    assert (step.done, step.bytes_left) == (700_000, 2_300_000)
    upstream.requests.clear()
    upstream.cuts.clear()
    download(step, Silent())
    assert upstream.seen == ["bytes=700000-"]
    assert names_in(raw) == ["images.zip"]


def test_a_server_without_ranges_starts_over(upstream: Upstream, tmp_path: Path) -> None:
    upstream.cuts, upstream.ranges = [1_000_000], False
    bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert (tmp_path / "raw" / "pets" / "images.zip").read_bytes() == CONTENT


def test_pieces_of_two_versions_of_a_file_are_never_joined(upstream: Upstream, tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream, md5=None, bytes=None)])
    upstream.cuts = [1_000_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(MissingRawError):
        bring(catalog, tmp_path / "raw")
    upstream.cuts.clear()
    other = CONTENT[:4] + CONTENT[:3:-1]
    upstream.content, upstream.etag = other, '"v2"'
    bring(catalog, tmp_path / "raw")
    assert (tmp_path / "raw" / "pets" / "images.zip").read_bytes() == other


def test_a_part_of_unknown_origin_without_a_checksum_is_not_trusted(
    upstream: Upstream, tmp_path: Path
) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream, md5=None, bytes=None)])
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    (tmp_path / "raw" / "pets" / "images.zip.part").write_bytes(b"x" * 100)
    bring(catalog, tmp_path / "raw")
    assert upstream.seen == [None]
    assert (tmp_path / "raw" / "pets" / "images.zip").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_starts_over(upstream: Upstream, tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream, bytes=None)])
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    (tmp_path / "raw" / "pets" / "images.zip.part").write_bytes(b"x" * 4_000_000)
    bring(catalog, tmp_path / "raw")
    assert upstream.seen == ["bytes=4000000-", None]


def test_a_whole_part_is_checked_and_moved_without_a_request(upstream: Upstream, tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream)])
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    (tmp_path / "raw" / "pets" / "images.zip.part").write_bytes(CONTENT)
    bring(catalog, tmp_path / "raw")
    assert upstream.seen == []
    assert names_in(tmp_path / "raw") == ["images.zip"]


def test_a_passing_server_error_is_tried_again(upstream: Upstream, tmp_path: Path) -> None:
    upstream.status = 503
    with pytest.raises(MissingRawError, match="503"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert len(upstream.seen) == transfer.ATTEMPTS
    assert names_in(tmp_path / "raw") == []


# --- what is refused


def test_an_html_page_is_refused_before_the_checksum(upstream: Upstream, tmp_path: Path) -> None:
    upstream.content, upstream.kind = b"<html>sign in</html>", "text/html; charset=utf-8"
    with pytest.raises(BadRawError, match="HTML page, not the file") as failure:
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert failure.value.hint.endswith(str(tmp_path / "raw" / "pets" / "images.zip"))
    assert names_in(tmp_path / "raw") == []


def test_another_size_is_refused_before_anything_is_written(upstream: Upstream, tmp_path: Path) -> None:
    upstream.content = CONTENT[:-1]
    with pytest.raises(BadRawError, match="gives 2,999,999 bytes, the file has 3,000,000"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


@pytest.mark.parametrize("known", [{"md5": "0" * 32}, {"md5": None, "sha256": "0" * 64}])
def test_a_wrong_checksum_leaves_nothing_behind(
    upstream: Upstream, tmp_path: Path, known: dict[str, str]
) -> None:
    with pytest.raises(BadRawError, match="came whole, but its (md5|sha256) is"):
        bring(catalog_with(tmp_path, [zip_at(upstream, **known)]), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


def test_a_missing_page_is_not_tried_again(upstream: Upstream, tmp_path: Path) -> None:
    upstream.status = 404
    with pytest.raises(MissingRawError, match="404 Not Found"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert len(upstream.seen) == 1


def test_a_server_that_is_not_there_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    nowhere = {"path": "images.zip", "url": "http://127.0.0.1:9/images.zip"}
    with pytest.raises(MissingRawError, match="cannot reach the server"):
        bring(catalog_with(tmp_path, [nowhere]), tmp_path / "raw")


def test_two_fetches_of_one_file_do_not_mix(upstream: Upstream, tmp_path: Path) -> None:
    (step,) = plan(catalog_with(tmp_path, [zip_at(upstream)]).dataset("pets"), tmp_path / "raw")
    step.path.parent.mkdir(parents=True)
    with fetching._locked(step.part), pytest.raises(MachineError, match="another vflan fetch"):
        download(step, Silent())


def test_a_folder_that_cannot_be_written_is_an_error_of_the_machine(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "pets").write_text("a file")
    with pytest.raises(MachineError, match="cannot write"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")


def test_what_does_not_fit_on_the_disk_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    steps = plan(catalog_with(tmp_path, [zip_at(upstream, bytes=10**18)]).dataset("pets"), tmp_path / "raw")
    with pytest.raises(MachineError, match="bytes are still to come"):
        check_space(steps)


# --- what comes must be what the name says


JUNK = {
    b"<!DOCTYPE html><html>sign in</html>": "an HTML page",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": "an XML error message",
    b'{"error": "login required"}': "a JSON error message",
    b"": "an empty file",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n": "a Git LFS pointer",
}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.json", "a.csv", "a.mat", "a.parquet", "a.bin"])
@pytest.mark.parametrize("junk", JUNK)
def test_junk_without_size_or_checksum_is_refused_by_its_first_bytes(
    upstream: Upstream, tmp_path: Path, junk: bytes, name: str
) -> None:
    upstream.content, upstream.kind = junk, "application/octet-stream"
    file = {"path": name, "url": f"{upstream.url}/{name}"}
    with pytest.raises(BadRawError, match=JUNK[junk]) as failure:
        bring(catalog_with(tmp_path, [file]), tmp_path / "raw")
    if junk:
        assert "(Content-Type: application/octet-stream)" in failure.value.what
    assert names_in(tmp_path / "raw") == []


@pytest.mark.parametrize("length", [True, False])
def test_a_transfer_that_exceeds_the_declared_size_is_stopped(
    upstream: Upstream, tmp_path: Path, length: bool
) -> None:
    upstream.length = length
    with pytest.raises(BadRawError, match="more than the 5 bytes|gives 3,000,000 bytes"):
        bring(catalog_with(tmp_path, [zip_at(upstream, md5=None, bytes=5)]), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


def test_an_answer_without_a_length_that_is_too_short_is_asked_for_the_rest(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.length, upstream.cuts = False, [1000]
    bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert upstream.seen == [None, "bytes=1000-"]


def test_a_shorter_file_without_a_length_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    upstream.length, upstream.content = False, CONTENT[:1000]
    with pytest.raises(BadRawError, match="gives 1,000 bytes, the file has 3,000,000"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


def test_a_part_that_starts_over_each_time_is_given_up(upstream: Upstream, tmp_path: Path) -> None:
    upstream.length, upstream.ranges, upstream.content = False, False, CONTENT[:1000]
    with pytest.raises(MissingRawError, match="1,000 of 3,000,000 bytes"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")


def test_a_whole_part_of_unknown_size_is_taken_when_the_server_has_no_more(
    upstream: Upstream, tmp_path: Path
) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream, bytes=None)])
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    (tmp_path / "raw" / "pets" / "images.zip.part").write_bytes(CONTENT)
    bring(catalog, tmp_path / "raw")
    assert upstream.seen == ["bytes=3000000-"]
    assert names_in(tmp_path / "raw") == ["images.zip"]


def test_gzip_on_the_way_is_refused_but_a_gz_file_may_be_called_so(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.encoding = "gzip"
    with pytest.raises(BadRawError, match="Content-Encoding: gzip"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    upstream.content = b"\x1f\x8b" + bytes(100)
    bring(catalog_with(tmp_path, [{"path": "a.tar.gz", "url": f"{upstream.url}/a.tar.gz"}]), tmp_path / "raw")
    assert (tmp_path / "raw" / "pets" / "a.tar.gz").read_bytes() == upstream.content


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.zip", "data:,x"])
def test_a_redirect_out_of_http_is_refused(upstream: Upstream, tmp_path: Path, target: str) -> None:
    upstream.redirect = target
    with pytest.raises(BadRawError, match="not http or https"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert names_in(tmp_path / "raw") == []


# --- which hosts are asked


def test_a_proxy_is_asked_for_hosts_of_the_internet_alone(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PRIVATE_HOSTS)
    monkeypatch.setenv("http_proxy", upstream.url)
    monkeypatch.delenv("no_proxy", raising=False)
    bring(catalog_with(tmp_path, [zip_at(upstream, url="http://data.example.org/images.zip")]), tmp_path)
    assert [path for _, path, _ in upstream.requests] == ["http://data.example.org/images.zip"]
    for host in ("127.0.0.1:9", "localhost", "169.254.169.254"):
        catalog = catalog_with(tmp_path, [zip_at(upstream, url=f"http://{host}/images.zip")])
        with pytest.raises(BadRawError, match="no host of the internet") as failure:
            bring(catalog, tmp_path / host)
        assert "--allow-private-hosts" in failure.value.hint
    assert len(upstream.requests) == 1


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_as_public_as_it_is_alone(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    alone = inner.is_global and not inner.is_multicast
    assert is_public(inner) == alone
    for outer in ((0xFFFF << 32) + number, (0x2002 << 112) + (number << 80), (0x64FF9B << 96) + number):
        assert is_public(ipaddress.IPv6Address(outer)) == alone


@pytest.mark.parametrize("host", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "8.8.8.8"])
def test_addresses_of_the_internet_are_public(host: str) -> None:
    assert is_public(ipaddress.ip_address(host))


# --- what is on the disk already


@pytest.mark.parametrize("name", ["images.zip.part", "images.zip.part.etag"])
@pytest.mark.parametrize("make", [lambda path: path.symlink_to(path.parents[2] / "mine"), os.mkfifo])
def test_a_part_that_is_a_link_or_a_fifo_is_never_written_through(
    upstream: Upstream, tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    make(tmp_path / "raw" / "pets" / name)
    with pytest.raises(BadRawError, match="not a file of ours"):
        bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_fifo_in_place_of_a_file_is_another_file_and_nothing_waits_for_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    os.mkfifo(tmp_path / "raw" / "pets" / "images.zip")
    (step,) = plan(catalog_with(tmp_path, [zip_at(upstream)]).dataset("pets"), tmp_path / "raw")
    assert (step.action, step.reason) == ("different", "it is a FIFO, not a file")


def test_a_subfolder_that_leads_out_is_refused_but_the_folder_itself_may_be_a_link(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "pets").symlink_to(tmp_path / "disk")
    bring(catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw")
    (tmp_path / "outside").mkdir()
    (tmp_path / "disk" / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(BadRawError, match="leads out of"):
        bring(catalog_with(tmp_path, [zip_at(upstream, path="sub/images.zip")]), tmp_path / "raw")
    assert list((tmp_path / "outside").iterdir()) == []


# --- the plan


def actions(catalog: Catalog, raw: Path, *names: str) -> list[str]:
    return [step.action for step in plan(catalog.dataset("pets"), raw, names)]


def test_a_good_file_is_present_and_another_one_is_never_overwritten(
    upstream: Upstream, tmp_path: Path
) -> None:
    catalog, raw = catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw"
    (raw / "pets").mkdir(parents=True)
    file = raw / "pets" / "images.zip"
    file.write_bytes(CONTENT)
    assert actions(catalog, raw) == ["present"]
    file.write_bytes(CONTENT[::-1])
    assert actions(catalog, raw) == ["different"]
    file.write_bytes(b"mine")
    assert actions(catalog, raw) == ["different"]
    assert upstream.seen == []


def test_unpacked_archives_are_not_fetched_again(upstream: Upstream, tmp_path: Path) -> None:
    catalog, raw = catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw"
    (raw / "pets" / "images").mkdir(parents=True)
    assert actions(catalog, raw) == ["download"]
    (raw / "pets" / "images" / "0.jpg").write_bytes(b"x")
    assert actions(catalog, raw) == ["unpacked"]


@pytest.mark.parametrize("access", ["registration", "gated", "offline"])
def test_what_must_be_asked_for_is_never_downloaded(upstream: Upstream, tmp_path: Path, access: str) -> None:
    assert actions(catalog_with(tmp_path, [zip_at(upstream)], access), tmp_path / "raw") == ["by_hand"]


def test_numbered_parts_are_got_by_hand_and_seen_when_there(upstream: Upstream, tmp_path: Path) -> None:
    catalog, raw = catalog_with(tmp_path, [zip_at(upstream, path="images_*.zip")]), tmp_path / "raw"
    assert actions(catalog, raw) == ["by_hand"]
    (raw / "pets").mkdir(parents=True)
    (raw / "pets" / "images_01.zip").write_bytes(b"x")
    assert actions(catalog, raw) == ["present"]


def test_files_are_chosen_by_name(upstream: Upstream, tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream), zip_at(upstream, path="labels.txt", provides=[])])
    assert len(actions(catalog, tmp_path / "raw")) == 2
    assert len(actions(catalog, tmp_path / "raw", "*.txt")) == 1
    with pytest.raises(SpecError, match=r"has no file 'labels.csv'"):
        actions(catalog, tmp_path / "raw", "labels.csv")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"url": "https://example.org/é.zip"}, "write %C3%A9"),
        ({"url": "http://[::1/a.zip"}, "is no URL"),
        ({"url": "http://example.org:port/a.zip"}, "is no URL"),
        ({"path": "a\0.zip"}, "is no file name"),
        ({"path": "a" * 300 + ".zip"}, "too long a name"),
    ],
)
def test_a_url_or_a_path_that_cannot_be_used_is_said(
    upstream: Upstream, tmp_path: Path, facts: dict[str, str], says: str
) -> None:
    with pytest.raises(SpecError, match=says):
        actions(catalog_with(tmp_path, [zip_at(upstream, **facts)]), tmp_path / "raw")


@pytest.mark.parametrize("access", ["direct", "manual"])
@pytest.mark.parametrize(
    "url",
    [
        "https://drive.google.com/file/d/1/images.zip",
        "https://example.org/pets/",
        "https://dropbox.com/a.zip",
    ],
)
def test_a_link_to_a_page_is_got_by_hand_and_a_file_beside_it_is_downloaded(
    upstream: Upstream, tmp_path: Path, url: str, access: str
) -> None:
    files = [zip_at(upstream, url=url), zip_at(upstream, path="copy.zip", provides=[])]
    assert actions(catalog_with(tmp_path, files, access), tmp_path / "raw") == ["by_hand", "download"]


@pytest.mark.parametrize("path", ["../images.zip", "/etc/passwd"])
def test_a_path_that_leaves_the_folder_is_refused(upstream: Upstream, tmp_path: Path, path: str) -> None:
    with pytest.raises(SpecError, match="leaves the raw folder"):
        actions(catalog_with(tmp_path, [zip_at(upstream, path=path)]), tmp_path / "raw")


# --- the command


def vflan_fetch(
    catalog: Catalog, raw: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = ""
) -> Result:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    return CliRunner().invoke(vflan, ["fetch", "pets", "--raw", str(raw), *arguments], input=typed)


def test_json_says_what_became_of_each_file(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [zip_at(upstream), {"path": "faces.zip", "note": "Ask for it."}]
    result = vflan_fetch(catalog_with(tmp_path, files), tmp_path / "raw", monkeypatch, "--yes", "--json")
    assert result.exit_code == ExitCode.MISSING_RAW
    document = json.loads(result.stdout)
    assert [(f["path"], f["state"]) for f in document["files"]] == [
        ("images.zip", "downloaded"),
        ("faces.zip", "by_hand"),
    ]
    assert document["how_to_get"] == "Write to pets@example.org."
    assert document["files"][1]["reason"] == "Ask for it."


def test_a_dry_run_downloads_nothing(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = vflan_fetch(
        catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw", monkeypatch, "--dry-run"
    )
    assert result.exit_code == ExitCode.OK
    assert "downloads:\n  images.zip  3.0 MB (not there yet)\n    from http://" in result.stdout
    assert "  still to come: 1 file, 3.0 MB\n" in result.stdout
    assert upstream.seen == []
    assert not (tmp_path / "raw").exists()


def test_a_dry_run_groups_what_is_there_what_comes_and_what_a_person_gets(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        zip_at(upstream, path="there.zip", provides=[]),
        zip_at(upstream, path="other.zip", provides=[]),
        zip_at(upstream, path="part.zip", provides=[]),
        {"path": "labels.csv", "url": f"{upstream.url}/labels.csv"},
        {"path": "faces.zip", "note": "Ask for it."},
        {"path": "boxes.zip", "bytes": 5},
    ]
    (tmp_path / "raw" / "pets").mkdir(parents=True)
    (tmp_path / "raw" / "pets" / "there.zip").write_bytes(CONTENT)
    (tmp_path / "raw" / "pets" / "other.zip").write_bytes(b"mine")
    (tmp_path / "raw" / "pets" / "part.zip.part").write_bytes(CONTENT[:1_000_000])
    catalog = catalog_with(tmp_path, files)
    result = vflan_fetch(catalog, tmp_path / "raw", monkeypatch, "--dry-run")
    assert result.stdout.splitlines()[2:] == [
        "present:",
        "  there.zip  3.0 MB (checksum right)",
        "present, but not upstream's file:",
        "  other.zip  3.0 MB (it has 4 bytes, upstream's has 3,000,000)",
        "  left as it is; remove it to fetch upstream's",
        "downloads:",
        "  part.zip  3.0 MB (resumes where it stopped)",
        f"    from {upstream.url}/images.zip",
        "  labels.csv  size unknown (not there yet)",
        f"    from {upstream.url}/labels.csv",
        "  still to come: 2 files, 2.0 MB and 1 of unknown size",
        "by hand: Write to pets@example.org.",
        "  faces.zip  size unknown (Ask for it.)",
        "  boxes.zip  5 B (access is direct)",
    ]
    told = json.loads(vflan_fetch(catalog, tmp_path / "raw", monkeypatch, "--dry-run", "--json").stdout)
    assert told["download_bytes"] == 2_000_000
    assert [file["state"] for file in told["files"]] == [
        "present", "different", "download", "download", "by_hand", "by_hand"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "code", "requests"),
    [("y\n", ExitCode.OK, 1), ("n\n", ExitCode.MISSING_RAW, 0), ("", ExitCode.USAGE, 0)],
)
def test_a_download_is_asked_for_first(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, requests: int
) -> None:
    catalog = catalog_with(tmp_path, [zip_at(upstream)])
    assert vflan_fetch(catalog, tmp_path / "raw", monkeypatch, typed=typed).exit_code == code
    assert len(upstream.seen) == requests


def test_one_file_that_fails_does_not_keep_the_others(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [zip_at(upstream, md5="0" * 32), zip_at(upstream, path="copy.zip", provides=[])]
    result = vflan_fetch(catalog_with(tmp_path, files), tmp_path / "raw", monkeypatch, "--yes", "--json")
    assert result.exit_code == ExitCode.BAD_RAW
    states = [file["state"] for file in json.loads(result.stdout)["files"]]
    assert states == ["failed", "downloaded"]


def test_another_file_in_its_place_is_said_and_left_alone(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, raw = catalog_with(tmp_path, [zip_at(upstream)]), tmp_path / "raw"
    (raw / "pets").mkdir(parents=True)
    (raw / "pets" / "images.zip").write_bytes(b"mine")
    result = vflan_fetch(catalog, raw, monkeypatch, "--yes")
    assert result.exit_code == ExitCode.BAD_RAW
    assert "it has 4 bytes, upstream's has 3,000,000" in result.stdout
    assert (raw / "pets" / "images.zip").read_bytes() == b"mine"


def test_an_amount_says_no_bytes_of_files_whose_sizes_are_all_unknown(tmp_path: Path) -> None:
    def step(size: int | None) -> Step:
        return Step(UpstreamFile("a.zip", bytes=size), tmp_path / "a.zip", Action.DOWNLOAD, "")

    assert amount([step(None)]) == "1 file of unknown size"
    assert amount([step(None), step(None)]) == "2 files of unknown size"
    assert amount([step(2_000_000), step(None)]) == "2 files, 2.0 MB and 1 of unknown size"
    assert amount([]) == "0 files, 0 B"
