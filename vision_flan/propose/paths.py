"""Path patterns of files that belong together: `photos/{split}/{class}/{name}.jpg`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vision_flan.spec.names import slug_of

#: Names of folders and parts of file names that mean a split, in lower case, and the split they mean.
_SPLITS = {
    "train": "train", "training": "train", "trn": "train", "trainset": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "tst": "test", "testset": "test", "t10k": "test",
}  # fmt: skip
_SPLIT = re.compile(
    rf"(?<![A-Za-z])({'|'.join(sorted(_SPLITS, key=len, reverse=True))})(?:\d{{4}})?(?![A-Za-z])", re.I
)
#: Folders named for what is in them, never for a class.
_KINDS = re.compile(
    r"(?:jpeg)?(?:images?|imgs?|photos?|pictures?|masks?|annotations?|annots?|anns?|labels?|gt|ground_?truth"
    r"|segmentations?|depths?|bbox(?:es)?|data|metadata)\d*",
    re.IGNORECASE,
)
#: The part of a sharded table, with the checksum that the Hub's names may end in.
_PART_OF = re.compile(r"(?P<before>[-_.]?)\d+(?P<of>[-_]of[-_])\d+(?P<after>[-_][0-9a-f]{8,})?$")
#: Names that end in a number, of files that are parts of one table: few digits, or a format of tables.
_NUMBERED = re.compile(r"(?P<stem>.*[^\d])(?P<number>\d{1,2})")
_ANY_NUMBER = re.compile(r"(?P<stem>.*[^\d])(?P<number>\d+)")
_OF_PARTS = frozenset(("", "parquet", "npz", "pkl", "pickle"))
#: A class in front of a number, as in `Abyssinian_12.jpg` and `cat.0.jpg`.
_CLASS_IN_NAME = re.compile(r"(?P<class>[^\W\d_].*?)(?P<mark>[._ -]+)\d+")
#: Images a class on average from which such names are taken for classes, and classes at most.
_IMAGES_A_CLASS, _MOST_CLASSES = 3, 2_000
#: Files of one folder and suffix, above which they are one table with a row a file.
_MANY = 3


@dataclass(frozen=True)
class Group:
    """Files that one pattern matches.

    Attributes:
        pattern: as `file:` of a table.
        suffixes: what `suffixes:` of a table needs, where the pattern does not fix the suffix.
    """

    pattern: str
    paths: tuple[str, ...]
    suffixes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for its table: that of the file, or what the names of several have in common."""
        last = self.pattern.rpartition("/")[2] if len(self.paths) > 1 else self.paths[0].rpartition("/")[2]
        shared = re.sub(r"\{\w+(?::d)?\}|\*|-of-", "_", last) if len(self.paths) > 1 else last
        return slug_of(shared.partition(".")[0])


def meaning_of_split(text: str) -> str | None:
    """The split that a name means, such as "train" for `train2017`; None for any other name."""
    found = _SPLIT.fullmatch(text.strip())
    return _SPLITS[found[1].lower()] if found else None


def image_groups(paths: Iterable[str]) -> list[Group]:
    """Images by pattern, the largest group first. Folders named `masks` and their like are not mixed."""
    buckets: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for path in paths:
        folders = path.split("/")[:-1]
        buckets[(len(folders), *(part if _KINDS.fullmatch(part) else "" for part in folders))].append(path)
    groups = [_image_group(bucket) for bucket in buckets.values()]
    return sorted(groups, key=lambda group: (-len(group.paths), group.pattern))


def _image_group(paths: list[str]) -> Group:
    folders = [path.split("/")[:-1] for path in paths]
    names = _level_names(folders)
    endings = {"." + path.rpartition(".")[2].lower() for path in paths}
    if len(paths) == 1:
        return Group(escaped(paths[0]), tuple(paths))
    fixed = next(iter(endings)) if len(endings) == 1 else ""
    in_name = _class_in_names(paths) if "{class}" not in names else ""
    last = in_name + (fixed or ".{ending}") if in_name else "{name}" + fixed
    return Group("/".join([*names, last]), tuple(paths), () if fixed else tuple(sorted(endings)))


def _class_in_names(paths: Sequence[str]) -> str:
    """The pattern of names that begin with their class, without suffix; empty if they do not."""
    found = [_CLASS_IN_NAME.fullmatch(path.rpartition("/")[2].rpartition(".")[0]) for path in paths]
    if any(one is None for one in found):
        return ""
    classes, marks = {one["class"] for one in found if one}, {one["mark"] for one in found if one}
    if any(_SPLIT.search(name) for name in classes) and not _all_splits(classes):
        return ""
    is_few = 2 <= len(classes) <= min(_MOST_CLASSES, len(paths) // _IMAGES_A_CLASS)
    if len(marks) > 1 or not is_few:
        return ""
    field = "{split}" if _all_splits(classes) else "{class}"
    return f"{field}{escaped(marks.pop())}{{number:d}}"


def _level_names(folders: Sequence[Sequence[str]]) -> list[str]:
    """For each level of folders its only name, or a field: `{split}`, `{class}`, `{folder}`, `{folder2}`."""
    levels = [sorted(set(names)) for names in zip(*folders, strict=True)]
    splits = [_split_pattern(names) for names in levels]
    split = next((at for at, pattern in enumerate(splits) if pattern), None)
    if split is not None and len(levels) == 1 and len(levels[0]) == 1:
        split = None
    free = [at for at, names in enumerate(levels) if len(names) > 1 and at != split]
    found = []
    for at, names in enumerate(levels):
        if at == split:
            found.append(splits[at])
        elif at not in free:
            found.append(escaped(names[0]))
        elif at == free[-1]:
            found.append("{class}")
        else:
            found.append("{folder}" if at == free[0] else f"{{folder{free.index(at) + 1}}}")
    return found


def _split_pattern(names: Sequence[str]) -> str:
    """`{split}`, or `{split}_images` where folders are named so; empty if their names mean no split."""
    if _all_splits(names):
        return "{split}"
    patterns = {_named_by_split(escaped(name)) for name in names}
    return patterns.pop() if len(names) > 1 and len(patterns) == 1 else ""


def _named_by_split(name: str) -> str:
    """A name with `{split}` in place of a split's; empty if it has none, or more."""
    return _SPLIT.sub("{split}", name) if len(_SPLIT.findall(name)) == 1 else ""


def _all_splits(names: Iterable[str]) -> bool:
    return all(meaning_of_split(name) for name in names)


def file_groups(paths: Sequence[str]) -> list[Group]:
    """Files of one format by pattern: several splits, the parts of one table, many of a folder."""
    buckets: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        buckets[_with_split(path)].append(path)
    lone = [bucket[0] for bucket in buckets.values() if len(bucket) == 1]
    groups = [Group(pattern, tuple(found)) for pattern, found in buckets.items() if len(found) > 1]
    parts, lone = _numbered(lone)
    groups += parts
    folders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in lone:
        folder, _, name = path.rpartition("/")
        folders[(_folder_pattern(folder), name.rpartition(".")[2] if "." in name else "")].append(path)
    for folder, ending, found in _in_folders(folders):
        if len(found) > _MANY:
            last = f"{{name}}.{ending}" if ending else "{name}"
            groups.append(Group(f"{folder}/{last}" if folder else last, tuple(found)))
        else:
            groups += [Group(escaped(path), (path,)) for path in found]
    return sorted(groups, key=lambda group: group.paths[0])


def _in_folders(folders: Mapping[tuple[str, str], list[str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Folder, suffix and files; folders that lie side by side, with such files each, are one pattern."""
    beside: dict[tuple[str, str], list[str]] = defaultdict(list)
    for folder, ending in folders:
        above, slash, name = folder.rpartition("/")
        beside[(above + slash, ending) if slash and "{" not in name else (folder, ending)].append(folder)
    for (above, ending), some in beside.items():
        found = [folders[(folder, ending)] for folder in some]
        if len(some) > 1 and all(len(files) > 1 for files in found) and above.endswith("/"):
            yield f"{above}{{class}}", ending, [path for files in found for path in files]
        else:
            yield from ((folder, ending, files) for folder, files in zip(some, found, strict=True))


def _folder_pattern(folder: str) -> str:
    """A folder with `{split}` in place of its first part that means one."""
    parts = folder.split("/")
    at = next((at for at, part in enumerate(parts) if meaning_of_split(part)), len(parts))
    return "/".join("{split}" if place == at else escaped(part) for place, part in enumerate(parts))


def _numbered(paths: Sequence[str]) -> tuple[list[Group], list[str]]:
    """Groups of files whose names differ in the number at their end, and the other files."""
    buckets: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder, slash, name = path.rpartition("/")
        stem, dot, ending = name.partition(".")
        found = (_ANY_NUMBER if ending.lower() in _OF_PARTS else _NUMBERED).fullmatch(stem)
        key = (
            f"{escaped(folder)}{slash}{escaped(found['stem'])}{{part:d}}{dot}{escaped(ending)}"
            if found
            else ""
        )
        buckets[key].append(path)
    lone = buckets.pop("", []) + [found[0] for found in buckets.values() if len(found) == 1]
    return [Group(key, tuple(found)) for key, found in buckets.items() if len(found) > 1], lone


def store_groups(paths: Sequence[str]) -> list[Group]:
    """LMDB environments by the `data.mdb` of each, with what differs in the names of their folders."""
    buckets: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        folder = path.rpartition("/")[0]
        above, slash, name = folder.rpartition("/")
        found = re.fullmatch(rf"(?P<class>.+?)_(?P<split>{'|'.join(_SPLITS)})(?P<rest>[-_.].*)?", name, re.I)
        rest = (found["rest"] or "") if found else ""
        buckets[(f"{escaped(above)}{slash}", rest if found else "no split")].append(path)
    return [group for (above, rest), found in buckets.items() for group in _stores(above, rest, found)]


def _stores(above: str, rest: str, paths: Sequence[str]) -> list[Group]:
    names = [path.split("/")[-2] if "/" in path else "" for path in paths]
    if len(paths) == 1 or not all(names):
        return [Group(escaped(path), (path,)) for path in paths]
    if rest == "no split":
        field = _split_pattern(names) or "{class}"
        return [Group(f"{above}{field}/data.mdb", tuple(paths))]
    splits = {name.removesuffix(rest).rpartition("_")[2] for name in names}
    split = "{split}" if len(splits) > 1 else splits.pop()
    return [Group(f"{above}{{class}}_{split}{escaped(rest)}/data.mdb", tuple(paths))]


def _with_split(path: str) -> str:
    """A pattern that the same file of another split has too, and the other parts of a sharded table."""
    folder, slash, name = path.rpartition("/")
    parts = [
        "{split}" if meaning_of_split(part) else escaped(part)
        for part in (folder.split("/") if slash else ())
    ]
    stem, dot, ending = name.partition(".")
    part = _PART_OF.search(stem)
    tail = dot + escaped(ending)
    if part:
        stem = stem[: part.start()]
        tail = f"{part['before']}{{part:d}}{part['of']}{{parts:d}}{'*' if part['after'] else ''}{tail}"
    found = None if "{split}" in parts else _SPLIT.search(stem)
    if found:
        middle = f"{escaped(stem[: found.start()])}{{split}}{escaped(stem[found.end() :])}"
    else:
        middle = escaped(stem)
    seen = False
    for at, one in enumerate(parts):  # a field may occur twice only with the same text
        if one == "{split}":
            parts[at] = "{split}" if not seen else escaped(folder.split("/")[at])
            seen = True
    return "/".join([*parts, middle + tail])


def escaped(text: str) -> str:
    """A part of a path as a pattern; a field stays one."""
    return text if re.fullmatch(r"\{\w+\}", text) else text.replace("{", "{{").replace("}", "}}")
