"""An audit as lines of text, as facts for JSON, and as a page."""

from __future__ import annotations

from collections.abc import Sequence

from vision_flan.report import counted
from vision_flan.review.audit import KINDS, Audit, Finding
from vision_flan.review.duplicates import Place
from vision_flan.review.pages import template, text
from vision_flan.review.thumbnails import stored_images

COLUMNS = ("task", *KINDS)


def headline(audit: Audit) -> str:
    """The audit in one line."""
    return (
        f"{audit.images:,} images of {counted(len(audit.tasks), 'task')}: "
        f"{counted(len(audit.findings), 'finding')}"
    )


def rows(audit: Audit) -> list[list[str]]:
    """Findings by task and kind; tasks without any are left out."""
    counts = audit.counts()
    found = [[task, *(f"{counts[task, kind]:,}" for kind in KINDS)] for task in audit.tasks]
    return [row for row in found if any(cell != "0" for cell in row[1:])]


def lines(audit: Audit, shown: int | None) -> list[str]:
    """The worst findings of each kind."""
    made = []
    for kind, findings in _by_kind(audit).items():
        if not findings:
            continue
        made.append(f"{KINDS[kind]}: {len(findings):,}")
        made += [
            f"  {one.score:.2f} {one.id}" + (f": {one.note}" if one.note else "") for one in findings[:shown]
        ]
        rest = len(findings[shown:]) if shown is not None else 0
        made += [f"  ... and {rest:,} more"] if rest else []
    made += [f"images not read, {reason}: {count:,}" for reason, count in audit.unread.items()]
    return made


def _by_kind(audit: Audit) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for one in audit.findings:
        found[one.kind].append(one)
    return found


def as_facts(audit: Audit) -> dict[str, object]:
    """All findings for JSON."""
    counts = audit.counts()
    return {
        "folder": str(audit.folder),
        "images": audit.images,
        "tasks": {task: {kind: counts[task, kind] for kind in KINDS} for task in audit.tasks},
        "images_not_read": dict(audit.unread),
        "findings": [one._asdict() for one in audit.findings],
    }


def as_page(audit: Audit, shown: int | None) -> str:
    """The worst findings of each kind with their images, as one HTML file without outside parts and script.

    Raises:
        VflanError: a shard cannot be read any more.
    """
    sections = _by_kind(audit)
    wanted = [_place(one) for findings in sections.values() for one in findings[:shown]]
    images = {place: (image, target) for place, image, target in stored_images((audit.folder,), wanted)}
    return template("audit.html.j2").render(
        title=f"Audit of {audit.folder.name}",
        headline=headline(audit),
        columns=_titles(),
        rows=rows(audit),
        sections=sections,
        kinds=KINDS,
        shown=shown,
        images=images,
        place=_place,
        unread=dict(audit.unread),
        style=text("preview.css") + text("stats.css") + text("diff.css"),
    )


def _titles() -> Sequence[str]:
    return [name.replace("_", " ") for name in COLUMNS]


def _place(finding: Finding) -> Place:
    return Place(0, finding.task, finding.id)
