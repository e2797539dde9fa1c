"""Questions in one table and their answers in another, joined by the id of a question, as in VQA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vision_flan.propose.images import Reference, columns_of, safe_name
from vision_flan.propose.source import ANSWERS, QUESTIONS, Source, as_field, named, set_split, sql_name
from vision_flan.propose.table import Table


def joined_by_key(
    tables: Sequence[Table], found: Mapping[str, Sequence[Reference]], chosen: Mapping[str, str]
) -> Iterator[Source]:
    """A view of questions with the answer of each, where both tables have a key of one name.

    Args:
        found: references to images by table.
        chosen: what a person said.
    """
    for asked in tables:
        refs = [one for one in found.get(asked.name, ()) if not one.is_list]
        question = chosen.get("question") or named(asked, QUESTIONS)
        if not refs or question not in asked.columns:
            continue
        for answered in tables:
            answer = chosen.get("answer") or named(answered, ANSWERS, nested=True)
            key = _key_of_both(asked, answered)
            if answered is not asked and key and answer in (*answered.columns, *answered.nested):
                yield _joined(asked, answered, refs[0], (key, question, answer))


def _key_of_both(one: Table, other: Table) -> str:
    """The column of one name that is unique in both tables."""
    names = [name for name, column in one.plain() if column.is_unique and name != "_key"]
    return next((name for name in names if name in other.columns and other.columns[name].is_unique), "")


def _joined(asked: Table, answered: Table, ref: Reference, names: tuple[str, str, str]) -> Source:
    key, question, answer = names
    source = Source(asked, view="answered", question=question, answer=answer, key=sql_name(key))
    source.used = (asked, answered)
    source.image = ref.jinja
    set_split(source)
    images = columns_of(source.image, asked.columns)
    plain = [name for name in images if safe_name(name) == name]
    own = [key, *plain, question, *([source.split] if source.split else [])]
    fields = [f"q.{sql_name(name)}" for name in dict.fromkeys(own)]
    fields += [f"q.{as_field(name)}" for name in images if name not in plain]
    source.sql = (
        f"SELECT {', '.join(fields)}, a.{sql_name(answer)}\n"
        f"FROM {sql_name(asked.name)} AS q JOIN {sql_name(answered.name)} AS a "
        f"ON a.{sql_name(key)} = q.{sql_name(key)}\n"
    )
    return source
