"""Conversations that upstream's records bring: all their turns, checked."""

from __future__ import annotations

from collections.abc import Mapping

from vision_flan.columns import Turn
from vision_flan.errors import SpecError
from vision_flan.instances.derive import NoValueError
from vision_flan.instances.text_filters import is_clean
from vision_flan.spec.model import TaskSpec


def conversation(task: TaskSpec, row: Mapping[str, object]) -> list[Turn]:
    """The turns of a row, at least one.

    Raises:
        SpecError: the field is not a list of {user, assistant}.
        NoValueError: there is no turn, or one that lacks a text or cannot be stored.
    """
    turns = _turns(task, row)
    if not turns:
        raise NoValueError(f"empty_{task.turns}")
    if not all(turn.user for turn in turns):
        raise NoValueError("empty_input")
    if not all(turn.assistant for turn in turns):
        raise NoValueError("empty_target")
    if not is_clean(str(row["_key"]), *(text for turn in turns for text in turn)):
        raise NoValueError("invalid_text")
    return turns


def _turns(task: TaskSpec, row: Mapping[str, object]) -> list[Turn]:
    name = task.turns or ""
    items, place = row.get(name), task.place("turns")
    if name not in row:
        raise SpecError(f"there is no field {name!r} here", where=place)
    turns = []
    for item in items if isinstance(items, list) else [items] if items is not None else []:
        if not isinstance(item, dict) or set(item) != set(Turn._fields):
            what = f"the field {name!r} is not a list of {{user, assistant}}"
            raise SpecError(what, where=place, hint="make it so in SQL")
        turns.append(Turn(*(str(item[part] or "").strip() for part in Turn._fields)))
    return turns
