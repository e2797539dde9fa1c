"""What a task can be made of: where its image, its key, its labels and its texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vision_flan.propose.images import columns_of, safe_name, spelled
from vision_flan.propose.paths import meaning_of_split
from vision_flan.propose.table import Column, Table

#: Names of columns by what they mean, the clearest first.
_LABELS = (
    "label",
    "class",
    "category",
    "species",
    "target",
    "kind",
    "type",
    "name",
    "breed",
    "style",
    "_value",
)
QUESTIONS = ("question", "query", "prompt", "instruction")
ANSWERS = ("multiple_choice_answer", "answer", "answers", "response", "output", "label", "target")
_CAPTIONS = ("caption", "captions", "description", "sentence", "sentences", "text", "title", "comment")
_KEYS = ("id", "key", "uid", "question_id", "annotation_id", "sample_id", "image_id", "index", "_key")
#: Words in the names of columns whose labels have others below them.
_ABOVE = frozenset(("coarse", "super", "superclass", "supercategory", "parent", "group"))
#: Parts of paths that are no labels.
_OF_PATHS = frozenset(("name", "part", "parts", "number", "ending", "folder", "folder2"))
#: Ends of names of columns that say something about a text and do not hold it.
_ABOUT = frozenset(("id", "type", "index", "length", "len", "count", "file", "path", "lang", "language"))
_SPLIT_NAMES = ("split", "set", "subset", "partition", "fold")
#: Distinct values that a label may have, and the least rows a value on average.
_MOST_LABELS, _ROWS_A_LABEL = 2_000, 1.5


@dataclass
class Source:
    """What the records of a task come from.

    Attributes:
        table: the table whose columns were looked at.
        view, sql: the view that the records are rows of instead, and its SELECT, where tables have to be
        joined. image: reference to the image: a field's name or a Jinja text.
        images: fields of several images of a record, or one list field; `prefix` and `ending` surround each.
        key: SQL expression.
        label, question, answer, caption, turns: names of fields; empty where there is none.
        values: the label's values with their rows, the most frequent first.
        names: value -> name, where the files have names of values.
        split: field of the split, and the value that means `train` or the nearest to it.
        has_objects: an image has a row for each of its objects, or of its labels.
        are_objects: these are objects, which can be counted.
        named_by: the file that the names of the values come from.
        used: the tables that the records come from.
    """

    table: Table
    view: str = ""
    sql: str = ""
    image: str = ""
    images: tuple[str, ...] = ()
    prefix: str = ""
    ending: str = ""
    key: str = ""
    label: str = ""
    values: Mapping[object, int] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    answer: str = ""
    caption: str = ""
    turns: str = ""
    split: str = ""
    split_value: str = ""
    has_objects: bool = False
    are_objects: bool = True
    named_by: str = ""
    used: tuple[Table, ...] = ()

    @property
    def name(self) -> str:
        """The view or table that the records are rows of."""
        return self.view or self.table.name

    @property
    def worth(self) -> tuple[int, bool, int]:
        """How much a task can be made of it, to choose among several: of equals, what is for training."""
        answers = 4 * bool(self.turns) + 3 * bool(self.question and self.answer) + 2 * bool(self.caption)
        in_name = self.label == "class" and self.table.reader == "files" and "{class}" in self.table.last_part
        known = answers + 3 * self.has_objects + (1 if in_name else 2 * bool(self.label))
        other = meaning_of_split(self.table.last_part.partition(".")[0].partition("_")[0]) or "train"
        return known if self.image or self.images else 0, other == "train", self.table.count


def roles_of(source: Source, chosen: Mapping[str, str]) -> None:
    """Fill the roles of a table's columns by name and values; what a person has chosen comes first."""
    table = source.table
    source.question = chosen.get("question") or named(table, QUESTIONS)
    source.caption = chosen.get("caption") or named(table, _CAPTIONS)
    if table.reader == "text" and not chosen.get("label"):
        source.caption = source.caption or "_value"
    if source.question:
        source.answer = chosen.get("answer") or named(table, ANSWERS, nested=True)
    source.turns = _turns(table)
    source.label = chosen.get("label") or _label(table, source)
    if source.label:
        counts = table.values(source.label)
        source.values = dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))
        names = table.labels.get(source.label)
        source.names = {str(at): name for at, name in enumerate(names)} if names else {}
    source.key = chosen.get("key") or key_of(table, source.image)
    set_split(source)


def named(table: Table, names: Sequence[str], *, nested: bool = False) -> str:
    """The column with the first of these names, or with one of them as a part of its own."""
    columns = [name for name, column in table.plain() if column.kind == "VARCHAR" or nested]
    columns += (
        list(table.nested) if nested else [n for n, kind in table.nested.items() if kind == "VARCHAR[]"]
    )
    for wanted in names:
        for column in columns:
            if spelled(column) == wanted:
                return column
    for wanted in names:
        for column in columns:
            parts = spelled(column).split("_")
            if wanted in parts and parts[-1] not in _ABOUT:
                return column
    return ""


def _label(table: Table, source: Source) -> str:
    """The column of few values that is named like a label, or the only one of few values."""
    taken = {*columns_of(source.image, table.columns), source.question, source.caption, *source.images}
    few = {
        name: column
        for name, column in table.plain()
        if name not in taken
        and name != "_key"
        and _is_label(column, table.count)
        and not _is_split(table, name)
    }
    few = dict(sorted(few.items(), key=lambda item: bool(_ABOVE & set(spelled(item[0]).split("_")))))
    for wanted in _LABELS:
        for name in few:
            parts = spelled(name).split("_")
            if spelled(name) == wanted or wanted in parts or f"{wanted}s" in parts:
                return name
    texts = [name for name, column in few.items() if column.kind == "VARCHAR" and name not in _OF_PATHS]
    return texts[0] if len(texts) == 1 else ""


def _is_label(column: Column, rows: int) -> bool:
    counts = column.counts
    if not counts or column.kind == "DOUBLE" or column.is_unique:
        return False
    if rows < 20:
        return len(counts) >= 2
    return 2 <= len(counts) <= _MOST_LABELS and rows / len(counts) >= _ROWS_A_LABEL


def _turns(table: Table) -> str:
    """A column of a list of structs with a text each: a dialogue."""
    for name, kind in table.nested.items():
        if kind.startswith("STRUCT(") and kind.endswith(")[]") and len(turn_fields(kind)) == 2:
            return name
    return ""


def turn_fields(kind: str) -> tuple[str, ...]:
    """The two fields of a turn: who speaks and what is said, or a question and its answer."""
    fields = [part.split(" ")[0].strip('"') for part in kind.removeprefix("STRUCT(").split(", ")]
    for speaker in ("from", "role", "speaker", "author", "user"):
        for said in ("value", "content", "text", "utterance", "message"):
            if speaker in fields and said in fields:
                return speaker, said
    for asked, answered in (("question", "answer"), ("q", "a"), ("user", "assistant"), ("human", "gpt")):
        if asked in fields and answered in fields:
            return asked, answered
    return ()


def key_of(table: Table, image: str = "") -> str:
    """SQL of upstream's key: a unique column named like one, that of the image, else file and position."""
    unique = [name for name, column in table.plain() if column.is_unique]
    for wanted in _KEYS:
        for name in unique:
            if spelled(name) == wanted:
                return sql_name(name)
    if table.reader == "files":
        return "path"
    for name in unique:
        if spelled(name).endswith(("_id", "id", "file_name", "filename", "path", "image")):
            return sql_name(name)
        if name in columns_of(image, [name]):
            return sql_name(name)
    return "_file || '#' || _index"


def sql_name(name: str) -> str:
    """A column in SQL."""
    plain = name.replace("_", "a").isalnum() and name.isascii() and not name[0].isdigit()
    return name if plain and name.lower() not in _RESERVED else '"' + name.replace('"', '""') + '"'


def as_field(name: str) -> str:
    """A column in SQL, under a name that Jinja can read."""
    safe = safe_name(name)
    return sql_name(name) if safe == name else f"{sql_name(name)} AS {safe}"


def sql_text(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


_RESERVED = frozenset(
    ("all", "and", "as", "by", "case", "check", "column", "default", "desc", "end", "for", "from", "group",
    "in",
     "is", "like", "limit", "not", "null", "on", "or", "order", "select", "table", "then", "to", "union",
     "user", "using", "when", "where", "with")
)  # fmt: skip


def _is_split(table: Table, name: str) -> bool:
    values = table.values(name)
    named = spelled(name) in _SPLIT_NAMES
    return (
        bool(values) and all(meaning_of_split(str(value)) for value in values) and (named or len(values) > 1)
    )


def set_split(source: Source) -> None:
    """The column whose values name splits, and the value for training."""
    for name, _ in source.table.plain():
        if _is_split(source.table, name):
            values = [str(value) for value in source.table.values(name)]
            order = {"train": 0, "validation": 1, "test": 2}
            source.split = name
            source.split_value = min(values, key=lambda value: order[meaning_of_split(value) or "test"])
            return
