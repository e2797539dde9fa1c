"""Packages whose versions affect the bytes of a shard: installed and tested versions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

#: SQL, Parquet, images and templates; and the parsers of specs and array files.
DECIDING = ("duckdb", "pyarrow", "pillow", "jinja2", "numpy", "pyyaml", "scipy", "h5py")

#: Written by `make lock` from the lock files.
_TESTED = Path(__file__).parent / "tested_versions.json"
#: The version among the facts of an installed package, which end with an empty line.
_VERSION = re.compile(r"(?:.+\n)*?Version:[ \t]*(\S+)")


@dataclass(frozen=True)
class DecidingVersion:
    """A package that affects bytes; `installed` is None if its extra is not installed."""

    name: str
    installed: str | None
    tested: str

    @property
    def differs(self) -> bool:
        """Whether the installed version is not the tested one."""
        return self.installed not in (None, self.tested)


def deciding_versions() -> list[DecidingVersion]:
    """The packages that affect bytes, with both versions."""
    tested = json.loads(_TESTED.read_text("utf-8"))
    return [DecidingVersion(name, _installed(name), tested[name]) for name in DECIDING]


def untested_notice() -> str | None:
    """One line naming the packages whose version is not the tested one; None if there are none."""
    others = [v for v in deciding_versions() if v.differs]
    if not others:
        return None
    names = ", ".join(f"{v.name} {v.installed} is not the tested {v.tested}" for v in others)
    return f"{names}: shards may differ from those of other machines"


def version(name: str) -> str:
    """The version of an installed package, found in its facts: to parse them as the message of mail that they
    are takes 2 ms.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    package = distribution(name)
    found = _VERSION.match(package.read_text("METADATA") or "")
    return found[1] if found else package.version


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
