"""Finds what a task can be made of among the tables of a raw folder, by image references and joins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from vision_flan.errors import Location, SpecError
from vision_flan.propose.images import ImageIndex, Reference, references
from vision_flan.propose.joins import joined_by_key
from vision_flan.propose.label_names import with_names
from vision_flan.propose.look import Looked
from vision_flan.propose.objects import with_objects
from vision_flan.propose.source import Source, key_of, roles_of, sql_name
from vision_flan.propose.table import LOOKED_AT, NAMES, Table

#: Columns that refer to a record of another table, and columns by which records are referred to.
_TO_IMAGE = ("image_id", "img_id", "imgid", "image", "photo_id", "picture_id")
_TO_NAME = ("category_id", "class_id", "label_id", "cat_id", "category", "class", "label")
#: Lines of a message, and paths in one.
_SHOWN, _PATHS = 20, 3
_IDS = ("id", "image_id", "category_id", "class_id", "label_id")


def best_source(looked: Looked, chosen: Mapping[str, str]) -> Source:
    """The source of which the most can be made.

    Args:
        chosen: what a person said: "table", or a role and its column ("image", "label", "question", "answer",
            "caption", "key").

    Raises:
        SpecError: no table leads to images, or the one that was chosen does not.
    """
    wanted = chosen.get("table", "")
    names = [table.name for table in looked.tables]
    if wanted and wanted not in names:
        raise SpecError(f"there is no table {wanted!r}", hint=f"tables: {', '.join(names)}")
    found = [one for one in _sources(looked, chosen) if not wanted or one.table.name == wanted]
    found = [one for one in found if one.image or one.images]
    if not found:
        what = "no table leads to the images" if not wanted else f"the table {wanted!r} leads to no images"
        raise SpecError(
            what + seen(looked),
            where=Location(looked.survey.raw.root),
            hint=f"say where they are: --image 'folder/{{{{ column }}}}.jpg'; columns: {_columns(looked)}",
        )
    best = max(found, key=lambda one: one.worth)
    if best.view in names:
        best.view = f"{best.view}_shown"
    return with_names(best, looked)


def seen(looked: Looked) -> str:
    """Lines that say which tables the files make, and which files make none."""
    lines = [f"table {one.name}: {one.count:,} rows of {one.file}" for one in looked.tables]
    by_reason: dict[str, list[str]] = {}
    for path, why in looked.unmatched.items():
        by_reason.setdefault(why, []).append(path)
    for why, paths in by_reason.items():
        more = f", ... ({len(paths):,} files)" if len(paths) > _PATHS else ""
        lines.append(f"no table: {', '.join(paths[:_PATHS])}{more}: {why}")
    return "".join(f"\n  {line}" for line in lines[:_SHOWN])


def _columns(looked: Looked) -> str:
    return "; ".join(
        f"{table.name}: {', '.join(name for name, _ in table.plain())}" for table in looked.tables
    )


def _sources(looked: Looked, chosen: Mapping[str, str]) -> Iterator[Source]:
    index = ImageIndex.of(looked.survey.images)
    stores = [table for table in looked.tables if table.reader == "lmdb" and len(table.paths) == 1]
    for table in stores:
        index.by_key |= _keys(table, looked)
    found = {table.name: references(table, index) for table in looked.tables if table.reader != "files"}
    yield from _joined_by_id(looked, found, chosen)
    for table in looked.tables:
        source = Source(table, used=(table,))
        if "image" in chosen:
            source.image = chosen["image"]
        elif table.reader == "files":
            source.image = "path"
        elif found[table.name]:
            _set_images(source, found[table.name])
            source.used += tuple(
                one for one in stores if source.image.startswith(f"@{one.name}/") and one is not table
            )
        roles_of(source, chosen)
        yield source if chosen.get("label") else with_objects(source)
    yield from joined_by_key(looked.tables, found, chosen)
    yield from _joined_by_position(looked)
    yield from _lists_of_labels(looked)


def _keys(table: Table, looked: Looked) -> dict[str, str]:
    """The keys of an LMDB environment, and what stands in front of each in a reference."""
    found = {}
    for batch in table.reader_of().batches(looked.survey.raw):
        for key, ref in zip(batch.column("_key").to_pylist(), batch.column("image").to_pylist(), strict=True):
            found[key] = ref.removesuffix(key)
        if len(found) >= LOOKED_AT:
            break
    return found


def _set_images(source: Source, found: Sequence[Reference]) -> None:
    """One image, or several: a list of them, or columns of one row that differ."""
    lists = [one for one in found if one.is_list]
    same = [one for one in found if not one.is_list and one.column != "_key"]
    numbered = [one for one in same if (one.prefix, one.ending) == (same[0].prefix, same[0].ending)]
    rows = source.table.rows[:60]
    differ = len(numbered) > 1 and any(len({row.get(one.column) for one in numbered}) > 1 for row in rows)
    if lists and (not same or lists[0].share > same[0].share):
        source.images = (lists[0].column,)
        source.prefix, source.ending = lists[0].prefix, lists[0].ending
    elif differ and not _same_image(numbered, rows):
        source.images = tuple(one.column for one in numbered)
        source.prefix, source.ending = numbered[0].prefix, numbered[0].ending
    elif found:
        source.image = (same or list(found))[0].jinja


def _same_image(found: Sequence[Reference], rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether columns name one image in two ways, with and without its suffix."""
    return all(
        len({str(row.get(one.column)).rpartition("/")[2].partition(".")[0] for one in found}) == 1
        for row in rows
    )


# --- tables that refer to one another


def _joined_by_id(
    looked: Looked, found: Mapping[str, Sequence[Reference]], chosen: Mapping[str, str]
) -> Iterator[Source]:
    """Annotations that name their image by its id in another table, as in COCO."""
    for photos in looked.tables:
        refs = [one for one in found.get(photos.name, ()) if not one.is_list]
        own = _id_of(photos)
        if not refs or not own:
            continue
        for table in looked.tables:
            to_image = _reference(table, photos, own, _TO_IMAGE)
            if table is not photos and to_image:
                yield _joined(table, photos, refs[0], (to_image, own), looked, chosen)


def _id_of(table: Table) -> str:
    unique = [name for name, column in table.plain() if column.is_unique or _unique_in_file(table, name)]
    return next((name for name in _IDS if name in unique), "")


def _unique_in_file(table: Table, name: str) -> bool:
    """Whether a column's values differ in the rows of each file: splits count from 1 again."""
    if len(table.paths) < 2:
        return False
    seen = [(row.get("_file"), row.get(name)) for row in table.rows]
    return len(set(seen)) == len(seen)


def _reference(table: Table, other: Table, own: str, names: Sequence[str]) -> str:
    """The column of a table that holds ids of another one."""
    for name in names:
        column = table.columns.get(name)
        if column and column.kind == other.columns[own].kind and name != own:
            known = other.columns[own].counts
            values = [row.get(name) for row in table.rows]
            if known is None or any(value in known for value in values):
                return name
    return ""


def _joined(
    table: Table,
    photos: Table,
    ref: Reference,
    keys: tuple[str, str],
    looked: Looked,
    chosen: Mapping[str, str],
) -> Source:
    """A view of annotations with the image of each, and with the name of its category."""
    to_image, own = keys
    source = Source(table, used=(table, photos))
    roles_of(source, chosen)
    same_file = " AND i._file = a._file" if table.file == photos.file and len(table.paths) > 1 else ""
    joins = f"FROM {sql_name(table.name)} AS a JOIN {sql_name(photos.name)} AS i "
    joins += f"ON i.{sql_name(own)} = a.{sql_name(to_image)}{same_file}"
    fields = [f"i.{sql_name(ref.column)} AS image"]
    for name in (source.question, source.answer, source.caption):
        if name:
            fields.append(f"a.{sql_name(name)}")
    source.image = ref.of("image")
    if not source.question and not source.caption:
        fields, joins = _with_names(source, table, looked, fields, joins)
    key = _id_of(table)
    if key:
        fields.insert(0, f"a.{sql_name(key)} AS id")
        source.key = "id"
    else:
        fields.insert(0, "a._index AS id")
        source.key = "id"
    if source.split and source.split in table.columns:
        fields.append(f"a.{sql_name(source.split)}")
    where = "\nWHERE a.iscrowd = 0" if source.has_objects and "iscrowd" in table.columns else ""
    if source.has_objects:
        fields = [one for one in fields if not one.endswith(" AS id")]
        source.key = "image"
    source.sql = f"SELECT {', '.join(fields)}\n{joins}{where}\n"
    source.view = "objects" if source.has_objects else "records"
    return source


def _with_names(
    source: Source, table: Table, looked: Looked, fields: list[str], joins: str
) -> tuple[list[str], str]:
    """Add the label: the name of a category in a table of its own, or a column's value."""
    for names in sorted(looked.tables, key=lambda one: not _names_categories(one)):
        own, name = _id_of(names), next((one for one in NAMES if one in names.columns), "")
        if names in source.used or not own or not name or names.reader == "files":
            continue
        to_name = _reference(table, names, own, _TO_NAME)
        shown = {row.get(own): row.get(name) for row in names.rows}
        if to_name and all(value in shown for value in table.values(to_name)):
            counts: Counter[object] = Counter()
            for value, count in table.values(to_name).items():
                if shown.get(value) is not None:
                    counts[shown[value]] += count
            source.used = (*source.used, names)
            source.values, source.label, source.has_objects = dict(counts.most_common()), "label", True
            same = " AND c._file = a._file" if names.file == table.file and len(names.paths) > 1 else ""
            joins += f"\nJOIN {sql_name(names.name)} AS c ON c.{sql_name(own)} = a.{sql_name(to_name)}{same}"
            return [*fields, f"c.{sql_name(name)} AS label"], joins
    if source.label:
        source.has_objects = True
        fields = [*fields, f"a.{sql_name(source.label)} AS label"]
        source.label = "label"
    return fields, joins


def _names_categories(table: Table) -> bool:
    return table.name.startswith(("categor", "class", "label"))


# --- arrays side by side, as in MNIST


def _joined_by_position(looked: Looked) -> Iterator[Source]:
    """Images and labels in two files of one length."""
    for photos in looked.tables:
        for table in looked.tables:
            if "_value" in table.columns and table.count == photos.count and _stores_images(photos):
                split = "split" if "split" in photos.columns and "split" in table.columns else ""
                fields = [
                    "i.image",
                    "l._value AS label",
                    "i._index AS position",
                    *(["i.split"] if split else []),
                ]
                same = " AND l.split = i.split" if split else ""
                source = Source(table, view="labeled", image="image", label="label")
                source.sql = (
                    f"SELECT {', '.join(fields)}\nFROM {photos.name} AS i JOIN {table.name} AS l "
                    f"ON l._index = i._index{same}\n"
                )
                source.values = dict(sorted(table.values("_value").items(), key=lambda item: str(item[0])))
                source.used = (photos, table)
                source.key = "split || '/' || position" if split else "position"
                probe = Source(photos)
                roles_of(probe, {"key": key_of(photos)})
                source.split, source.split_value = (split, probe.split_value) if split else ("", "")
                yield source


def _lists_of_labels(looked: Looked) -> Iterator[Source]:
    """A file of many images with a list of their labels, as in MNIST's npz."""
    for table in looked.tables:
        if table.label_list and table.rows:
            name = sql_name(table.label_list)
            nested = table.declared[table.label_list].endswith("[][]")
            one = f"list_transform({name}, lambda x: x[1])" if nested else name
            items = [row[table.label_list] for row in table.rows]
            labels = [label for found in items if isinstance(found, list) for label in found]
            counts = Counter(label[0] if isinstance(label, list) and label else label for label in labels)
            source = Source(
                table, view="labeled", image="image", label="label", key="position", used=(table,)
            )
            source.values = dict(sorted(counts.items(), key=lambda item: str(item[0])))
            source.sql = (
                "SELECT image || '#' || position AS image, label, position\n"
                f"FROM (SELECT image, unnest({one}) AS label,\n"
                f"  unnest(range(len({name}))) AS position FROM {sql_name(table.name)})\n"
            )
            yield source


def _stores_images(table: Table) -> bool:
    return str(table.rows[0].get("image", "")).startswith("@") if table.rows else False
