"""Where the image of a record is: the column, and what upstream's layout puts around its values."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vision_flan.propose.table import Table
from vision_flan.propose.types import PLAIN_NAME

#: A number at the end of a name, which words may precede, but no digits as in a checksum.
_NUMBER_AT_END = re.compile(r"(?:\A|[/_. -])[A-Za-z]*(\d{1,18})\.[^./]*\Z")
#: Columns whose numbers may be written with zeros in front in the names of images.
_NUMBER_NAMES = frozenset(
    ("image_id", "img_id", "imgid", "image_index", "photo_id", "coco_id", "id", "image")
)
#: Rows that are tried, and the share of them that must lead to an image.
_TRIED, _ENOUGH = 60, 0.6
#: Different numbers that must lead to images.
_NUMBERS = 3


@dataclass(frozen=True)
class Reference:
    """How a column's value becomes a path: `prefix` + value + `ending`.

    Attributes:
        column: of text or numbers, or a list of text.
        share: of the rows tried, those whose image exists.
        digits: of the number that the value becomes with zeros in front; 0 keeps it as it is.
    """

    column: str
    prefix: str = ""
    ending: str = ""
    share: float = 0.0
    is_list: bool = False
    digits: int = 0

    @property
    def jinja(self) -> str:
        """The `image` of a task."""
        return self.of(self.column)

    def of(self, field: str) -> str:
        """The same for a field of another name."""
        field = safe_name(field)
        if not self.prefix and not self.ending:
            return field
        shown = f"{field} | pad({self.digits})" if self.digits else field
        return f"{self.prefix}{{{{ {shown} }}}}{self.ending}"


@dataclass
class ImageIndex:
    """Paths of images by their last part, with and without suffix; keys of stored images by what stands in
    front of them in a reference."""

    by_name: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    by_stem: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    by_number: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    by_key: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[str]) -> ImageIndex:
        """An index of these paths."""
        made = cls()
        for path in paths:
            name = path.rpartition("/")[2]
            made.by_name[name].append(path)
            made.by_stem[name.rpartition(".")[0]].append(path)
            number = _NUMBER_AT_END.search(name)
            if number:
                made.by_number[int(number[1])].append(path)
        return made

    def around_number(self, value: int) -> set[tuple[str, str, int]]:
        """What stands before and after a number with zeros in front, and how many digits it has."""
        found = set()
        for path in self.by_number.get(value, ()):
            number = _NUMBER_AT_END.search(path)
            if number:
                widths = {len(number[1])} | ({0} if number[1] == str(value) else set())
                found |= {(path[: number.start(1)], path[number.end(1) :], width) for width in widths}
        return found

    def around(self, value: str) -> set[tuple[str, str]]:
        """What stands before and after a value in the paths that hold it."""
        value = value.removeprefix("./").lstrip("/")
        last = value.rpartition("/")[2]
        found = {
            (path[: -len(value)], "")
            for path in self.by_name.get(last, ())
            if path == value or path.endswith(f"/{value}")
        }
        for path in self.by_stem.get(last, ()):
            stem, dot, ending = path.rpartition(".")
            if stem == value or stem.endswith(f"/{value}"):
                found.add((stem[: -len(value)], dot + ending))
        if value in self.by_key:
            found.add((self.by_key[value], ""))
        return found


def safe_name(name: str) -> str:
    """A column's name as Jinja can read it."""
    return name if PLAIN_NAME.match(name) else re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "field"


def spelled(name: str) -> str:
    """A column's name as names are compared: "Image Id" and "image-id" are image_id."""
    return re.sub(r"\W+", "_", name.lower()).removesuffix("_")


def fields_of(image: str) -> list[str]:
    """The fields that the `image` of a task names."""
    return re.findall(r"{{ (\w+)", image) or [image]


def columns_of(image: str, columns: Iterable[str]) -> list[str]:
    """The columns of a table behind the fields that the `image` of a task names."""
    by_field = {safe_name(column): column for column in columns}
    return [by_field[name] for name in fields_of(image) if name in by_field]


def references(table: Table, index: ImageIndex) -> list[Reference]:
    """Columns of a table that lead to images, the surest first."""
    found = []
    if "image" in table.columns and any(_is_stored(row.get("image")) for row in table.rows[:1]):
        return [Reference("image", share=1.0)]
    rows = table.rows[:_TRIED]
    for name in (*table.columns, *table.nested):
        if name in ("_file", "_index"):
            continue
        values = [row.get(name) for row in rows]
        is_list = any(isinstance(value, list) for value in values)
        best = _best(name, rows, index, is_list=is_list)
        if best and best.share >= _ENOUGH:
            found.append(best)
    if not found:
        found = [one for name in table.columns if (one := _by_number(name, rows, index))]
    return sorted(found, key=lambda one: (-one.share, bool(one.ending), one.column == "_key"))


def _is_stored(value: object) -> bool:
    """Whether a value refers to an image inside of a file."""
    return isinstance(value, str) and value.startswith("@")


def _best(
    name: str, rows: Sequence[Mapping[str, object]], index: ImageIndex, *, is_list: bool
) -> Reference | None:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        value = row.get(name)
        items = value if isinstance(value, list) else [value]
        texts = [str(item) for item in items if isinstance(item, str | int) and not isinstance(item, bool)]
        if not texts:
            continue
        ways = [_ways(text, row, name, index) for text in texts]
        counts.update(set.intersection(*ways))
    if not counts or not rows:
        return None
    (prefix, ending), hits = min(counts.items(), key=_rank)
    return Reference(name, prefix, ending, hits / len(rows), is_list)


def _by_number(name: str, rows: Sequence[Mapping[str, object]], index: ImageIndex) -> Reference | None:
    """A column of numbers that images are named by, as in `COCO_val2014_000000000042.jpg`."""
    if spelled(name) not in _NUMBER_NAMES:
        return None
    values = [value for row in rows if (value := _whole_number(row.get(name))) is not None]
    counts = Counter(way for value in values for way in index.around_number(value))
    if not counts:
        return None
    (prefix, ending, digits), hits = min(counts.items(), key=lambda item: (-item[1], item[0]))
    share = hits / len(rows)
    is_sure = share >= _ENOUGH and len(set(values)) >= _NUMBERS
    return Reference(name, _with_split(prefix, rows[0]), ending, share, digits=digits) if is_sure else None


def _with_split(prefix: str, row: Mapping[str, object]) -> str:
    """What stands before a number, with the split that a row's path names as a field."""
    split = row.get("split")
    return prefix.replace(split, "{{ split }}") if isinstance(split, str) and len(split) > 2 else prefix


def _whole_number(value: object) -> int | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def _rank(way: tuple[tuple[str, str], int]) -> tuple[int, bool, int, str]:
    """The way that most rows have first; of equals one that another field decides, then the shortest."""
    (prefix, ending), hits = way
    return -hits, "{{" not in prefix, len(prefix), prefix + ending


def _ways(text: str, row: Mapping[str, object], name: str, index: ImageIndex) -> set[tuple[str, str]]:
    """What stands around a value, with parts that another field of the row gives written as that field."""
    ways = set()
    for prefix, ending in index.around(text):
        ways.add((prefix, ending))
        parts = prefix.split("/")
        for other, value in row.items():
            if other not in (name, "_file", "_index") and isinstance(value, str) and value in parts:
                filled = ["{{ " + other + " }}" if part == value else part for part in parts]
                ways.add(("/".join(filled), ending))
    return ways
