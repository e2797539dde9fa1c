"""What a check found: file, line, column, rule, message and what to do, as text and as annotations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vision_flan.errors import Location, VflanError


@dataclass(frozen=True, order=True)
class Finding:
    """One problem at one location. `rule` is stable and documented in docs/spec.md."""

    file: str
    line: int
    column: int
    rule: str
    message: str
    hint: str = ""
    severity: str = "error"  # or "warning"


def at(place: Location, rule: str, message: str, hint: str = "", severity: str = "error") -> Finding:
    """Make a finding at a location."""
    return Finding(str(place.file), place.line, place.column, rule, message, hint, severity)


def from_error(error: VflanError, rule: str, fallback: Path) -> Finding:
    """Turn an error that stopped the check of a file into a finding in it."""
    place = error.where or Location(fallback)
    return at(place, rule, error.what, error.hint)


def as_text(findings: Iterable[Finding]) -> str:
    """`file:line:column: severity: message [rule]`, the hint on its own line."""
    lines = []
    for found in sorted(findings):
        place = Location(found.file, found.line, found.column)
        lines.append(f"{place}: {found.severity}: {found.message} [{found.rule}]")
        if found.hint:
            lines.append(f"    {found.hint}")
    return "\n".join(lines)


def as_annotations(findings: Iterable[Finding]) -> str:
    """Workflow commands that a pull request shows beside the line (GitHub's `::error file=...`)."""
    return "\n".join(
        f"::{found.severity} file={_property(str(found.file))},line={found.line},col={found.column},"
        f"title={_property(found.rule)}::" + _escape(f"{found.message} {found.hint}".strip())
        for found in sorted(findings)
    )


def _property(value: str) -> str:
    """A value before the message, which a comma or a colon would end."""
    return _escape(value).replace(":", "%3A").replace(",", "%2C")


def _escape(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
