"""Whether a manifest that others may have written holds what cards, exports and publishing rely on.

A manifest comes from the Hub, or with a folder of somebody else. What is wrong with it is said where it is
read, with its file: a value of another type would fail much later, and a name would become a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

#: A name that becomes a folder or a file, and a part of a pattern of files.
_NAME = re.compile(r"\w[\w.+-]*")
#: A license text's file, as upstream calls it.
_FILE = re.compile(r"\w[\w.+ ()&,-]*")

Check = Callable[[object], bool]


def check_manifest(data: Mapping[str, object]) -> None:
    """Refuse a manifest whose values are not of their type, or whose names lead out of the folder.

    Raises:
        KeyError: something is not there.
        ValueError, TypeError: a value is not as it must be.
    """
    json.dumps(data, ensure_ascii=False).encode()  # half a character cannot be written again
    _each(data, _TOP, "")
    source = data["source"]
    assert isinstance(source, Mapping)
    _each(source, _SOURCE, "source.")
    lenders = source.get("sources") or []
    assert isinstance(lenders, list)
    for number, lender in enumerate(lenders):
        _each(lender, _LENDER, f"source.sources.{number}.")
    if use := source.get("use"):
        _each(use, _USE, "source.use.")
    attribution = data.get("attribution") or {}
    assert isinstance(attribution, Mapping)
    if attribution.get("sha256"):
        _each(attribution, {"bytes": (_whole, "a whole number"), "sha256": _TEXT}, "attribution.")
    for path in [shard["path"] for shard in data["shards"]]:  # type: ignore[attr-defined]
        parts = path.split("/")
        if "\\" in path or not path.isprintable() or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"the shard {path!r:.80} leads out of the folder")


def _each(data: object, checks: Mapping[str, tuple[Check, str]], place: str) -> None:
    if not isinstance(data, Mapping):
        raise TypeError(f"{place.rstrip('.')!r} is not a mapping")
    for name, (check, what) in checks.items():
        key = name.rstrip("?")
        if key not in data and name.endswith("?"):
            continue
        if not check(data[key]):
            raise TypeError(f"'{place}{key}' is not {what}: {data[key]!r:.60}")


def _text(value: object) -> bool:
    return isinstance(value, str)


def _name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _notices(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _FILE.fullmatch(name) is not None and isinstance(text, str) for name, text in value.items()
    )


def _drops(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(facts, list) and [*map(type, facts)] == [str, str] for facts in value.values()
    )


_TEXT = (_text, "text")
_MAPPING = (_mapping, "a mapping")
_TEXTS = (_list_of(_text), "a list of texts")
#: Key -> how it is checked, and what it is; a `?` marks those that older manifests may lack.
_TOP: Mapping[str, tuple[Check, str]] = {
    "task": (_name, "a task id"),
    "title": _TEXT,
    "alias": (_or_none(_text), "text"),
    "dataset": (_name, "a dataset id"),
    "category": _TEXT,
    "suites": _TEXTS,
    "split": (_name, "a name of a split"),
    "form": _TEXT,
    "spec_sha256": _TEXT,
    "versions": _MAPPING,
    "seed": (_whole, "a whole number"),
    "limit": (_or_none(_whole), "a whole number"),
    "image_check": _TEXT,
    "raw_files": (_list_of(_mapping), "a list of mappings"),
    "counts": _MAPPING,
    "shards": (_list_of(_mapping), "a list of mappings"),
    "num_bytes": (_whole, "a whole number"),
    "source": _MAPPING,
    "instruction?": _TEXT,
    "images?": _MAPPING,
    "contents?": _MAPPING,
    "attribution?": _MAPPING,
    "notices?": (_notices, "a mapping of file names to texts"),
    "drop_list?": (_drops, "a mapping of reasons and instances"),
}
_SOURCE: Mapping[str, tuple[Check, str]] = {
    "title": _TEXT,
    "homepage": _TEXT,
    "license": _MAPPING,
    "citation?": _TEXT,
    "access?": _TEXT,
    "sensitive?": _TEXTS,
    "languages?": _TEXTS,
    "sources?": (_or_none(_list_of(_mapping)), "a list of mappings"),
    "use?": (_or_none(_mapping), "a mapping"),
    "withdrawn?": (_or_none(_mapping), "a mapping"),
}
_LENDER: Mapping[str, tuple[Check, str]] = {
    "key": _TEXT,
    "title": _TEXT,
    "homepage": _TEXT,
    "license": (_or_none(_text), "text"),
    "citation?": (_or_none(_text), "text"),
}
_USE: Mapping[str, tuple[Check, str]] = {"train": _TEXT, "reason": _TEXT}
