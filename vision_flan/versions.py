"""Packages whose versions decide the bytes of a shard: which are installed, which are tested."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: SQL, Parquet, images, templates; and what turns specs and files of arrays into values.
DECIDING = ("duckdb", "pyarrow", "pillow", "jinja2", "numpy", "pyyaml", "scipy", "h5py")

#: Written by `make lock`, from the lock.
_TESTED = Path(__file__).parent / "tested_versions.json"


@dataclass(frozen=True)
class DecidingVersion:
    """A package that decides bytes; `installed` is None where an extra was left out."""

    name: str
    installed: str | None
    tested: str

    @property
    def differs(self) -> bool:
        """Whether another version than the tested one is installed."""
        return self.installed not in (None, self.tested)


def deciding_versions() -> list[DecidingVersion]:
    """The packages that decide bytes, installed and tested."""
    tested = json.loads(_TESTED.read_text("utf-8"))
    return [DecidingVersion(name, _installed(name), tested[name]) for name in DECIDING]


def untested_notice() -> str | None:
    """One line that names the packages which are not the tested ones; None if all are."""
    others = [v for v in deciding_versions() if v.differs]
    if not others:
        return None
    said = ", ".join(f"{v.name} {v.installed} is not the tested {v.tested}" for v in others)
    return f"{said}: shards may differ from those of other machines"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
