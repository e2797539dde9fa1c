"""The lock in `lock/`: what `make demo`, `make test` and the gate install, on any machine and in a year."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vision_flan
from vision_flan.versions import DECIDING

REPOSITORY = Path(__file__).parent.parent
LOCK = REPOSITORY / "lock"
FILES = ["build", "plain", "dev", "test", "s3"]
EXTRAS = {
    "plain": set(),
    "dev": {"sources", "dev"},
    "test": {"sources", "ray", "review", "train-test", "dev"},
    "s3": {"sources", "dev", "s3", "s3-test"},
}

#: torch's CUDA libraries: gigabytes that no test needs
CUDA = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)")


def entries(name: str) -> dict[str, tuple[str, int]]:
    """Package -> its exact version and the number of its hashes."""
    text = (LOCK / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([a-z0-9-]+)==(\S+)( ; .*?)?((?: +--hash=sha256:[0-9a-f]{64})*) *", line)
            assert match, f"lock/{name}.txt: {line[:80]} is not NAME==VERSION with hashes"
            assert match[1] not in found, f"lock/{name}.txt has two versions of {match[1]}"
            found[match[1]] = (match[2], match[4].count("--hash"))
    return found


def requirements(extras: set[str]) -> list[Requirement]:
    """What pyproject.toml asks for, with those of the extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    found: list[Requirement] = []
    waiting = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    for requirement in map(Requirement, waiting):
        if canonicalize_name(requirement.name) == "vision-flan":
            waiting += (r for e in requirement.extras for r in project["optional-dependencies"][e])
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_one_exact_version_and_hashes(name: str) -> None:
    assert all(hashes for _, hashes in entries(name).values())


@pytest.mark.parametrize("name", FILES)
def test_no_index_is_named_and_no_cuda_is_pulled(name: str) -> None:
    text = (LOCK / f"{name}.txt").read_text("utf-8")
    assert "://" not in text
    assert not [package for package in entries(name) if CUDA.fullmatch(package)]


@pytest.mark.parametrize("name", ["build", "plain", "dev"])
def test_a_package_has_the_same_version_in_all_files(name: str) -> None:
    everything = entries("test")
    assert {package: everything.get(package) for package in entries(name)} == entries(name)


def test_what_tests_s3_has_the_same_versions_but_for_one_package() -> None:
    """Libraries of S3 hold it back. In an environment of its own, that costs no other test a version."""
    everything = entries("test")
    other = {name for name, found in entries("s3").items() if found != everything.get(name, found)}
    assert other == {"python-dateutil"}


@pytest.mark.parametrize("name", list(EXTRAS))
def test_what_pyproject_asks_for_is_locked_in_a_version_that_it_allows(name: str) -> None:
    locked = entries(name)
    for requirement in requirements(EXTRAS[name]):
        if requirement.name != "torch":
            version, _ = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement}: {version}; run `make lock`"


def test_torch_is_pinned_by_version_within_what_the_trainer_asks_for() -> None:
    pinned = Requirement((LOCK / "torch.txt").read_text("utf-8").strip())
    (asked,) = (r for r in requirements({"train"}) if r.name == "torch")
    assert pinned.name == "torch" and str(pinned.specifier).startswith("==")
    assert asked.specifier.contains(str(pinned.specifier).removeprefix("=="))


def test_the_package_knows_the_versions_of_the_lock_as_the_tested_ones() -> None:
    data = Path(vision_flan.__file__).with_name("tested_versions.json").read_text("utf-8")
    locked = entries("test")
    assert json.loads(data) == {name: locked[name][0] for name in DECIDING}, "run `make lock`"


def test_what_decides_bytes_ends_before_its_next_major_version() -> None:
    asked = {canonicalize_name(r.name): r for r in requirements({"sources"})}
    for name in DECIDING:
        major = int(entries("test")[name][0].split(".")[0])
        assert not asked[name].specifier.contains(f"{major + 1}.0.0"), asked[name]
