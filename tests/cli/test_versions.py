"""`vflan --version`, and what a compile says of packages that are not the tested ones."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterator

import pytest

from tests.toy import Toy
from vision_flan import __version__, versions
from vision_flan.cli.main import run, vflan
from vision_flan.dataset.manifest import manifest_path, read_manifest
from vision_flan.spec.catalog import Catalog

Installed = dict[str, str | None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """Package -> the version that is installed: the tested ones until a test changes some."""
    state: Installed = {v.name: v.tested for v in versions.deciding_versions()}

    def version(name: str) -> str:
        found = state.get(name, "")
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(versions, "version", version)
    yield state


def test_versions_are_those_that_pip_knows() -> None:
    known = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    assert {name: versions.version(name) for name in known} == known


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(vflan, ["--version"]) == 0
    assert capsys.readouterr().out == f"vflan, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["--version", "--verbose"], ["--verbose", "--version"]])
def test_verbose_adds_what_decides_bytes_and_whether_it_is_tested(
    arguments: list[str], installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = installed | {}
    installed |= {"pyarrow": "26.9.9", "scipy": None}
    assert run(vflan, arguments) == 0
    first, python, *packages = capsys.readouterr().out.splitlines()
    assert first == f"vflan, version {__version__}"
    assert python == f"python {platform.python_version()}"
    assert f"duckdb {tested['duckdb']}, the tested one" in packages
    assert f"pyarrow 26.9.9, not the tested {tested['pyarrow']}" in packages
    assert f"scipy is not installed, {tested['scipy']} is tested" in packages
    assert len(packages) == len(versions.DECIDING)


def test_the_versions_are_there_as_json(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    tested = installed["pyarrow"]
    installed["pyarrow"] = "26.9.9"
    assert run(vflan, ["--version", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["vision_flan"] == __version__ and printed["python"] == platform.python_version()
    states = {package.pop("name"): package for package in printed["packages"]}
    assert states["pyarrow"] == {"installed": "26.9.9", "tested": tested, "state": "untested"}
    assert states["duckdb"]["state"] == "tested"


@pytest.mark.parametrize("option", ["--verbose", "--json"])
def test_how_to_print_the_version_is_said_with_version_only(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(vflan, [option, "list"]) == 2
    assert f"{option} before a command is for --version only" in capsys.readouterr().err


@pytest.fixture
def toy_folder(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy's specs are the catalog, its folder the current one."""
    monkeypatch.setattr(Catalog, "default", classmethod(lambda cls: toy.catalog))
    monkeypatch.chdir(toy.root)
    return toy


def test_a_compile_with_other_versions_says_so_once(
    toy_folder: Toy, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = installed["pyarrow"]
    installed["pyarrow"] = "26.9.9"
    assert run(vflan, ["compile", "--task", "toy_color", "--task", "Toy+color"]) == 0
    notice = f"pyarrow 26.9.9 is not the tested {tested}: shards may differ from those of other machines\n"
    printed = capsys.readouterr()
    assert printed.err.count(notice) == 1 and notice not in printed.out


def test_a_compile_with_the_tested_versions_or_without_an_extra_says_nothing_of_them(
    toy_folder: Toy, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    installed["scipy"] = None
    assert run(vflan, ["compile", "--task", "toy_color"]) == 0
    assert "tested" not in capsys.readouterr().err


def test_what_the_manifest_keeps_is_among_what_verbose_shows(toy_folder: Toy) -> None:
    assert run(vflan, ["compile", "--task", "toy_color"]) == 0
    kept = read_manifest(manifest_path(toy_folder.root / "vision-flan", "toy_color")).versions
    assert set(kept) - {"vision_flan", "python"} <= set(versions.DECIDING)
    assert {"duckdb", "pyarrow", "pillow", "jinja2"} <= set(kept)
