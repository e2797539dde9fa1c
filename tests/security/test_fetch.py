"""`vflan fetch` writes below the dataset's folder, new files only, and asks for nothing that is no URL."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import yaml

from tests.security.conftest import SECRET, Victim

FOLDERS: dict[str, Callable[[Victim], object]] = {
    "through a .part that is a link": lambda v: (v.raw / "toy/new.json.part").symlink_to(v.home / "new"),
    "over a file of the user by a .part": lambda v: (v.raw / "toy/new.json.part").symlink_to(v.secret),
    "into a .part that is a pipe": lambda v: os.mkfifo(v.raw / "toy/new.json.part"),
    "through a file that is a link to nothing": lambda v: (v.raw / "toy/new.json").symlink_to(v.home / "new"),
    "into a file that is a pipe": lambda v: os.mkfifo(v.raw / "toy/new.json"),
}
PATHS = {
    "up": "../new.json",
    "far up": "a/../../../home/new",
    "from the root": "/tmp/vflan-new.json",
    "with NUL": "a\0b",
    "with a name of 300 characters": "x" * 300,
    "with a path of 10,000 characters": "x/" * 5000 + "y",
    "through a folder that is a link": "linked/new",
    "with a line break": "a\nb",
}
URLS = {
    "a file of the user": "file:///etc/passwd",
    "a server for files": "ftp://example.org/x",
    "nothing": "https://",
    "a bracket that is open": "https://[::1/x",
    "an address with a letter that is not ASCII": "https://127.0.0.1:9/é",
    "a port that is none": "https://127.0.0.1:99999999/x",
    "a line break": "https://127.0.0.1:9/x\r\nX: y",
    "a space": "https://127.0.0.1:9/a b",
    "text": "javascript:alert(1)",
    "data": "data:text/plain,x",
    "a server that is not there": "http://127.0.0.1:9/x",
}


def with_file(victim: Victim, path: str, url: str) -> None:
    spec = victim.specs / "toy/dataset.yaml"
    data = yaml.safe_load(spec.read_text())
    data["files"] = [{"path": path, "url": url}]
    spec.write_text(yaml.safe_dump(data))


def refused(victim: Victim) -> None:
    """It ends with an error, and nothing was written but below the dataset's folder."""
    before = sorted(path.name for path in victim.raw.iterdir())
    code, said = victim.vflan("fetch", "toy", "--raw", str(victim.raw), "--yes")
    assert code in (1, 3, 4, 5), said
    assert said.strip()
    assert "Traceback" not in said
    assert SECRET not in said
    assert sorted(path.name for path in victim.raw.iterdir()) == before
    victim.is_unharmed()


@pytest.mark.parametrize("attempt", FOLDERS)
def test_nothing_is_written(victim: Victim, attempt: str) -> None:
    with_file(victim, "new.json", "http://127.0.0.1:9/new.json")
    FOLDERS[attempt](victim)
    refused(victim)


@pytest.mark.parametrize("attempt", PATHS)
def test_a_file_is_not_written(victim: Victim, attempt: str) -> None:
    (victim.raw / "toy/linked").symlink_to(victim.home)
    with_file(victim, PATHS[attempt], "http://127.0.0.1:9/new.json")
    refused(victim)


@pytest.mark.parametrize("attempt", URLS)
def test_a_url_does_not_name(victim: Victim, attempt: str) -> None:
    with_file(victim, "new.json", URLS[attempt])
    refused(victim)
