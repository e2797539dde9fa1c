"""A diff as lines of text, as facts for JSON, and as a page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from vision_flan.review import pages
from vision_flan.review.diff import Diff, RowDiff, TaskDiff
from vision_flan.review.words import Piece, changed_words

#: Characters of unchanged text that are shown on each side of a change.
_CONTEXT = 40
#: Columns of an added or dropped row that are shown in text.
_ESSENTIAL = ("prompt", "target")


def summary(task: TaskDiff) -> str:
    """One line: `toy_color: 12 instances before, 11 after; 1 dropped, 4 changed (prompt 4)`."""
    before, after = task.instances
    state = {"added": "a new task", "removed": "the task was removed"}.get(task.state, "")
    if task.error:
        return f"{task.task}: not compared: {task.error}"
    counts = [f"{count:,} {name}" for name, count in _counts(task) if count]
    columns = ", ".join(f"{name} {count:,}" for name, count in task.columns.most_common())
    found = ", ".join(counts) + (f" ({columns})" if columns else "")
    parts = [state, f"{before:,} instances before, {after:,} after", found or "no instance differs"]
    return f"{task.task}: {'; '.join(part for part in parts if part)}"


def total(diff: Diff) -> str:
    """The last line: of how many tasks how many differ."""
    differing = sum(task.differs for task in diff.tasks)
    rows = sum(count for task in diff.tasks for _, count in _counts(task))
    if not diff.tasks:
        return "no task differs"
    return f"tasks that differ: {differing:,} of {len(diff.tasks):,} compared; instances: {rows:,}"


def _counts(task: TaskDiff) -> tuple[tuple[str, int], ...]:
    return ("added", task.added), ("dropped", task.dropped), ("changed", task.changed)


def as_text(diff: Diff) -> str:
    """The diff as text: `[-old-]` and `{+new+}` mark words; long unchanged stretches are left out."""
    return "\n".join(line for task in diff.tasks if task.differs for line in _lines(task))


def _lines(task: TaskDiff) -> Iterator[str]:
    yield summary(task)
    for reason, (before, after) in task.reasons.items():
        yield f"  records dropped for {reason}: {before:,} before, {after:,} after"
    for row in task.rows:
        yield f"  {row.kind} {row.id}" + (f": {row.reason}" if row.reason else "")
        yield from (f"    {line}" for line in _row_lines(row))
    rest = task.added + task.dropped + task.changed - len(task.rows)
    if rest:
        yield f"  ... and {rest:,} more"


def _row_lines(row: RowDiff) -> Iterator[str]:
    if row.kind != "changed":
        held = row.after or row.before
        texts = {name: held.get(name, "") for name in _ESSENTIAL}
    else:
        texts = {name: _marked(row.before[name], row.after[name]) for name in row.before}
    for name, text in texts.items():
        yield f"{name}: " + text.replace("\n", "\n" + " " * (6 + len(name)))


def _marked(old: str, new: str) -> str:
    pieces = changed_words(old, new)
    marks = {"del": "[-{}-]", "ins": "{{+{}+}}", "same": "{}"}
    last = len(pieces) - 1
    return "".join(
        marks[piece.kind].format(_shortened(piece, first=i == 0, last=i == last))
        for i, piece in enumerate(pieces)
    )


def _shortened(piece: Piece, *, first: bool, last: bool) -> str:
    text = piece.text
    if piece.kind != "same" or len(text) <= 3 * _CONTEXT:
        return text
    head = "" if first else text[:_CONTEXT]
    tail = "" if last else text[-_CONTEXT:]
    return f"{head} ... {tail}"


def as_facts(diff: Diff) -> dict[str, object]:
    """The diff for JSON."""
    return {
        "before": diff.before,
        "after": diff.after,
        "differs": diff.differs,
        "tasks": [_task_facts(task) for task in diff.tasks],
    }


def _task_facts(task: TaskDiff) -> dict[str, object]:
    before, after = task.instances
    return {
        "task": task.task,
        "state": task.state,
        "instances": {"before": before, "after": after},
        **dict(_counts(task)),
        "columns": dict(task.columns),
        "reasons": {name: {"before": one, "after": two} for name, (one, two) in task.reasons.items()},
        "error": task.error or None,
        "rows": [
            {
                "kind": row.kind,
                "id": row.id,
                "reason": row.reason or None,
                "before": dict(row.before),
                "after": dict(row.after),
            }
            for row in task.rows
        ],
    }


def as_page(diff: Diff) -> str:
    """The diff as one HTML file without outside parts; everything from specs and data is escaped."""
    script = pages.text("diff.js")
    return pages.template("diff.html.j2").render(
        diff=diff,
        tasks=[task for task in diff.tasks if task.differs],
        summary=summary,
        total=total(diff),
        words=changed_words,
        essential=_ESSENTIAL,
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        style=pages.text("preview.css") + pages.text("diff.css"),
    )
