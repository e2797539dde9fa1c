"""Path patterns of files that belong together: `photos/{split}/{class}/{name}.jpg`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
_PART_OF = re.compile(r"[-_.]?\d+[-_]of[-_]\d+$")
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
    names = [_escaped(part) for part in _level_names(folders)]
    endings = {"." + path.rpartition(".")[2].lower() for path in paths}
    if len(paths) == 1:
        return Group(_escaped(paths[0]), tuple(paths))
    fixed = next(iter(endings)) if len(endings) == 1 else ""
    last = "{name}" + fixed
    return Group("/".join([*names, last]), tuple(paths), () if fixed else tuple(sorted(endings)))


def _level_names(folders: Sequence[Sequence[str]]) -> list[str]:
    """For each level of folders its only name, or a field: `{split}`, `{class}`, `{folder}`, `{folder2}`."""
    levels = [sorted(set(names)) for names in zip(*folders, strict=True)]
    split = next((at for at, names in enumerate(levels) if _all_splits(names)), None)
    if split is not None and len(levels) == 1 and len(levels[0]) == 1:
        split = None
    free = [at for at, names in enumerate(levels) if len(names) > 1 and at != split]
    found = []
    for at, names in enumerate(levels):
        if at == split:
            found.append("{split}")
        elif at not in free:
            found.append(names[0])
        elif at == free[-1]:
            found.append("{class}")
        else:
            found.append("{folder}" if at == free[0] else f"{{folder{free.index(at) + 1}}}")
    return found


def _all_splits(names: Iterable[str]) -> bool:
    return all(meaning_of_split(name) for name in names)


def file_groups(paths: Sequence[str]) -> list[Group]:
    """Files of one format by pattern: several splits, the parts of one table, many of a folder."""
    buckets: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        buckets[_with_split(path)].append(path)
    lone = [bucket[0] for bucket in buckets.values() if len(bucket) == 1]
    groups = [Group(pattern, tuple(found)) for pattern, found in buckets.items() if len(found) > 1]
    folders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in lone:
        folder, _, name = path.rpartition("/")
        folders[(folder, name.rpartition(".")[2])].append(path)
    for (folder, ending), found in folders.items():
        if len(found) > _MANY:
            pattern = f"{_escaped(folder)}/{{name}}.{ending}" if folder else f"{{name}}.{ending}"
            groups.append(Group(pattern, tuple(found)))
        else:
            groups += [Group(_escaped(path), (path,)) for path in found]
    return sorted(groups, key=lambda group: group.paths[0])


def _with_split(path: str) -> str:
    """A pattern that the same file of another split has too, and the other parts of a sharded table."""
    folder, slash, name = path.rpartition("/")
    parts = [
        "{split}" if meaning_of_split(part) else _escaped(part)
        for part in (folder.split("/") if slash else ())
    ]
    stem, dot, ending = name.partition(".")
    part = _PART_OF.search(stem)
    if part:
        stem = stem[: part.start()]
    tail = ("*" if part else "") + dot + _escaped(ending)
    found = None if "{split}" in parts else _SPLIT.search(stem)
    if found:
        middle = f"{_escaped(stem[: found.start()])}{{split}}{_escaped(stem[found.end() :])}"
    else:
        middle = _escaped(stem)
    seen = False
    for at, one in enumerate(parts):  # a field may occur twice only with the same text
        if one == "{split}":
            parts[at] = "{split}" if not seen else _escaped(folder.split("/")[at])
            seen = True
    return "/".join([*parts, middle + tail])


def _escaped(text: str) -> str:
    return text if re.fullmatch(r"\{\w+\}", text) else text.replace("{", "{{").replace("}", "}}")
