"""A proposal as plain values: what `vflan new --json` prints, for editors and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vision_flan.instances.maker import Dropped, Text
from vision_flan.propose.draft import forms_of
from vision_flan.propose.source import Source

if TYPE_CHECKING:
    from vision_flan.propose.begin import Begun, Proposal
    from vision_flan.propose.table import Table

Facts = dict[str, object]


def facts_of(proposal: Proposal, begun: Begun) -> Facts:
    """Tables, roles of columns, form, records and files that match no table."""
    source = proposal.source
    return {
        "raw": str(proposal.folder),
        "tables": [_table(table) for table in source.used or (source.table,)],
        "other_tables": [_table(table) for table in proposal.looked.tables if table not in source.used],
        **roles_of_source(source),
        "labels": proposal.draft.labels,
        "form": proposal.draft.form,
        "forms": forms_of(source),
        "notes": list(proposal.draft.notes),
        "unmatched": [{"path": path, "why": why} for path, why in proposal.unmatched.items()],
        "available": begun.available,
        "records": [_record(key, text) for key, text in begun.shown],
    }


def roles_of_source(source: Source) -> Facts:
    """What each column is for; null where there is none."""
    split = {"column": source.split, "value": source.split_value} if source.split else None
    roles = {
        "image": source.image or ", ".join(source.images), "key": source.key, "label": source.label,
        "question": source.question, "answer": source.answer, "caption": source.caption,
        "turns": source.turns,
    }  # fmt: skip
    return {**{name: value or None for name, value in roles.items()}, "split": split}


def _table(table: Table) -> Facts:
    return {
        "name": table.name,
        "reader": table.reader,
        "file": table.file,
        "files": len(table.paths),
        "rows": table.count,
        "columns": dict(table.declared),
        "options": dict(table.options),
    }


def _record(key: str, text: Text | Dropped) -> Facts:
    if isinstance(text, Dropped):
        return {"key": key, "dropped": text.reason}
    shown: Facts = {"instruction": text.instruction, "input": text.input, "options": list(text.options)}
    return {"key": key, **shown, "target": text.target}
