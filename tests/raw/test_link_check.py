"""`vflan fetch --check-links` against a real HTTP server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.raw.http_server import Upstream, serving
from vision_flan.cli.main import vflan
from vision_flan.errors import ExitCode
from vision_flan.spec.catalog import Catalog

ZIP = {"Content-Type": "application/zip", "Content-Length": "3000"}
PAGE = {"Content-Type": "text/html; charset=utf-8", "Content-Length": "200"}


@pytest.fixture
def server() -> Iterator[Upstream]:
    with serving(Upstream(content=None)) as state:
        yield state


def catalog_of(
    root: Path, files: list[dict[str, Any]], slug: str = "pets", access: str = "direct"
) -> Catalog:
    path = root / "task_specs" / slug / "dataset.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""\
dataset: {slug}
title: Pets
homepage: https://example.org/pets
license:
  images: {{name: None stated, spdx: null, verdict: "no"}}
  annotations: {{name: None stated, spdx: null, verdict: unclear}}
citation: "@misc{{pets, title = {{Pets}}, year = {{2020}}}}"
access: {access}
how_to_get: Write to pets@example.org.
files: {json.dumps(files)}
tables:
  images: {{reader: files, file: "images/{{name}}.jpg"}}
""",
        "utf-8",
    )
    return Catalog(root / "task_specs", root / "instructions")


def check(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: catalog))
    return CliRunner().invoke(vflan, ["fetch", *arguments, "--check-links"], catch_exceptions=False)


def links(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(check(catalog, monkeypatch, "pets", "--json").stdout)["links"]
    return found


def test_a_link_is_printed_with_status_type_and_length_and_nothing_is_downloaded(
    server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["HEAD", "/a.zip"] = (200, ZIP)
    files = [{"path": "a.zip", "url": f"{server.url}/a.zip", "bytes": 3000}, {"path": "b.zip"}]
    result = check(catalog_of(tmp_path, files), monkeypatch, "pets", "--raw", str(tmp_path / "raw"))
    assert result.exit_code == ExitCode.OK
    assert result.stdout.splitlines() == [
        "pets/a.zip: 200, application/zip, 3,000 bytes (HEAD)",
        f"  {server.url}/a.zip",
        "1 link, 0 with a problem",
    ]
    assert server.requests == [("HEAD", "/a.zip", None)]
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("refusal", [403, 404, 405, 501])
def test_where_head_fails_the_first_byte_is_asked_for(
    refusal: int, server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["HEAD", "/a.zip"] = (refusal, {})
    part = {"Content-Type": "application/zip", "Content-Range": "bytes 0-0/3000", "Content-Length": "1"}
    server.answers["GET", "/a.zip"] = (206, part)
    (link,) = links(catalog_of(tmp_path, [{"path": "a.zip", "url": f"{server.url}/a.zip"}]), monkeypatch)
    assert (link["method"], link["status"], link["length"], link["problem"]) == ("GET", 206, 3000, "")
    assert server.requests == [("HEAD", "/a.zip", None), ("GET", "/a.zip", "bytes=0-0")]


def test_a_redirect_is_followed_with_head(
    server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["HEAD", "/a.zip"] = (302, {"Location": f"{server.url}/b.zip"})
    server.answers["HEAD", "/b.zip"] = (200, ZIP)
    (link,) = links(catalog_of(tmp_path, [{"path": "a.zip", "url": f"{server.url}/a.zip"}]), monkeypatch)
    assert (link["status"], link["length"], link["problem"]) == (200, 3000, "")
    assert [method for method, _, _ in server.requests] == ["HEAD", "HEAD"]


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (404, {}, "404 Not Found"),
        (503, {}, "503 Service Unavailable"),
        (200, PAGE, "a page for a browser, not the file"),
        (200, {**ZIP, "Content-Length": "2999"}, "2,999 bytes, the spec says 3,000"),
        (302, {"Location": "file:///etc/passwd"}, "not http or https"),
    ],
)
def test_a_link_that_does_not_give_the_file_is_a_problem_and_exit_code_3(
    status: int,
    headers: dict[str, str],
    problem: str,
    server: Upstream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.answers["HEAD", "/a.zip"] = server.answers["GET", "/a.zip"] = (status, headers)
    server.answers["HEAD", "/b.zip"] = (200, ZIP)
    files = [{"path": f"{n}.zip", "url": f"{server.url}/{n}.zip", "bytes": 3000} for n in "ab"]
    result = check(catalog_of(tmp_path, files), monkeypatch, "pets")
    assert result.exit_code == ExitCode.MISSING_RAW
    assert f"  problem: {problem}" in result.stdout or f"{problem}\n" in result.stdout
    assert "pets/b.zip: 200" in result.stdout
    assert result.stdout.endswith("2 links, 1 with a problem\n")


def test_a_server_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (link,) = links(catalog_of(tmp_path, [{"path": "a.zip", "url": "http://127.0.0.1:9/a.zip"}]), monkeypatch)
    assert link["status"] is None and link["problem"].startswith("no answer: ")


def test_the_page_of_a_file_that_a_person_requests_is_no_problem(
    server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["HEAD", "/form"] = (200, PAGE)
    files = [{"path": "a.zip", "url": f"{server.url}/form", "bytes": 3000}]
    (link,) = links(catalog_of(tmp_path, files, access="registration"), monkeypatch)
    assert (link["status"], link["content_type"], link["problem"]) == (200, "text/html", "")


def test_without_a_dataset_the_links_of_all_are_checked_in_order(
    server: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slug in ("pets", "cars"):
        catalog = catalog_of(tmp_path, [{"path": "a.zip", "url": f"{server.url}/{slug}"}], slug)
        server.answers["HEAD", f"/{slug}"] = (200, ZIP)
    lines = check(catalog, monkeypatch).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [
        "cars/a.zip", "pets/a.zip", "2 links, 0 with a problem"
    ]  # fmt: skip


def test_a_fetch_without_a_dataset_is_a_wrong_argument() -> None:
    result = CliRunner().invoke(vflan, ["fetch"])
    assert result.exit_code == ExitCode.USAGE and "give a dataset" in result.stderr
