"""CHANGELOG.md of a published dataset: one entry per tag, from the differences between manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vision_flan.dataset.publication import PublishedTask

PATH = "CHANGELOG.md"
TITLE = "# Changelog\n"
_HEADING = re.compile(r"^## (\S+)$", re.M)


def last_tag(text: str) -> str | None:
    """The tag of the newest entry."""
    found = _HEADING.search(text)
    return found[1] if found else None


def with_entry(
    text: str, tag: str, before: Mapping[str, PublishedTask], after: Mapping[str, PublishedTask]
) -> str:
    """The changelog with an entry for `tag` on top; unchanged if it has one."""
    if tag in _HEADING.findall(text):
        return text
    older = text.removeprefix(TITLE).lstrip("\n")
    return f"{TITLE}\n{entry(tag, before, after)}" + (f"\n{older}" if older else "")


def entry(tag: str, before: Mapping[str, PublishedTask], after: Mapping[str, PublishedTask]) -> str:
    """What changed since the last tag, one line per task."""
    lines = [f"## {tag}", "", _total(before, after), ""]
    for task in sorted(set(before) | set(after)):
        line = difference(before.get(task), after.get(task))
        if line:
            lines.append(f"- `{task}`: {line}")
    return "\n".join(lines).rstrip() + "\n"


def difference(old: PublishedTask | None, new: PublishedTask | None) -> str:
    """One task's change in words; empty if there is none."""
    if new is None:
        return "removed"
    if old is None:
        return f"added, {new.rows:,} instances, {new.publication.form}"
    changes = []
    if old.manifest.spec_sha256 != new.manifest.spec_sha256:
        changes.append("spec changed")
    if old.rows != new.rows:
        changes.append(f"{old.rows:,} -> {new.rows:,} instances")
    if old.publication.form != new.publication.form:
        changes.append(f"{old.publication.form} -> {new.publication.form}")
    if old.manifest.seed != new.manifest.seed:
        changes.append(f"seed {old.manifest.seed} -> {new.manifest.seed}")
    if not changes and old.manifest.shards != new.manifest.shards:
        versions = version_changes(old.manifest.versions, new.manifest.versions)
        changes.append(f"rebuilt with {versions}" if versions else "rebuilt")
    return ", ".join(changes)


def version_changes(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Packages whose versions differ, as `pyarrow 26.0.0 -> 27.0.0`; `-` for a missing one."""
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(f"{name} {old.get(name, '-')} -> {new.get(name, '-')}" for name in names)


def _total(before: Mapping[str, PublishedTask], after: Mapping[str, PublishedTask]) -> str:
    rows = sum(task.rows for task in after.values())
    was = f" (was {len(before)} tasks, {sum(t.rows for t in before.values()):,} instances)" if before else ""
    return f"{len(after)} tasks, {rows:,} instances{was}."
