"""JSON Schema (draft 2020-12) over documents, with findings a newcomer understands."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from vision_flan.spec.findings import Finding, at
from vision_flan.spec.text import Document

#: Unknown keys of one place that are shown, and faults of one file: more say no more.
_SHOWN, _MOST = 20, 200


@cache
def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of "dataset" or "task"; its properties stand in the order that specs keep."""
    text = resources.files("vision_flan.spec").joinpath(f"{kind}.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _is_integer(_: object, value: object) -> bool:
    """JSON Schema takes 1.0 and 1e300 for integers; what reads a spec does not."""
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)


def _matches(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    """The keyword `pattern`; Python's `$` would match before the end of a line too."""
    exact = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(instance, str) and not re.search(exact, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_STRICT = extend(Draft202012Validator, {"pattern": _matches}, type_checker=_TYPES)  # type: ignore[no-untyped-call]


@cache
def _validator(kind: str) -> Draft202012Validator:
    made: Draft202012Validator = _STRICT(schema(kind))
    return made


def check_schema(document: Document, kind: str) -> list[Finding]:
    """All schema findings of a document; `kind` is "dataset" or "task"."""
    if not isinstance(document.data, dict):
        return [at(document.place(), "schema", f"a {kind} spec is a mapping of keys to values")]
    found: list[Finding] = []
    for error in islice(_validator(kind).iter_errors(document.data), _MOST):
        found.extend(_explain(error, document))
    return sorted(set(found))


# jsonschema types an error's `instance` and `schema` as anything or unset: `Any` is no less precise
def _explain(error: Any, document: Document) -> Iterator[Finding]:
    if error.validator in ("oneOf", "anyOf"):
        best = _branch_meant(error)
        if best is not None:
            yield from _explain(best, document)
            return
    keys = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, document, keys)
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        names = ", ".join(missing)
        yield at(document.place(*keys), "schema", f"{_name(keys)} lacks {names}", f"add {names}")
    elif error.validator in ("oneOf", "anyOf"):
        choices = " or ".join("+".join(b.get("required", ["?"])) for b in error.validator_value)
        yield at(document.place(*keys), "schema", f"{_name(keys)} needs exactly one of: {choices}")
    elif error.validator == "not" and "enum" in error.validator_value:
        what = f"{_name(keys)}: {error.instance!r} is a name that cannot be used"
        yield at(document.place(*keys), "schema", what, _hint(error))
    elif error.validator == "not":
        yield at(document.place(*keys), "schema", f"{_name(keys)} does not go with another key here")
    else:
        yield at(document.place(*keys), "schema", f"{_name(keys)}: {_shorten(error.message)}", _hint(error))


def _branch_meant(error: Any) -> Any:
    """The error from the branch of a oneOf that the author probably meant."""
    branches: dict[object, list[Any]] = {}
    for context in error.context or ():
        branches.setdefault(context.schema_path[0], []).append(context)
    for errors in branches.values():
        if all(e.validator not in ("required", "type", "additionalProperties") for e in errors):
            return errors[0]
    for errors in branches.values():
        if not any(e.validator in ("required", "type") for e in errors):
            return errors[0]
    return None


def _unknown_keys(error: Any, document: Document, keys: tuple[str | int, ...]) -> Iterator[Finding]:
    known = list(error.schema.get("properties", {}))
    unknown = [name for name in error.instance if name not in known]
    for name in unknown[:_SHOWN]:
        near = difflib.get_close_matches(name[:100], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "known keys: " + ", ".join(sorted(known))
        yield at(
            document.place(*keys, name), "schema", f"{_name(keys)} has no key {_shorten(repr(name))}", hint
        )
    if len(unknown) > _SHOWN:
        place = document.place(*keys, unknown[_SHOWN])
        yield at(place, "schema", f"{_name(keys)} has {len(unknown) - _SHOWN:,} more keys like these")


def _hint(error: Any) -> str:
    if error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), [str(v) for v in error.validator_value], n=1)
        if near:
            return f"did you mean {near[0]!r}?"
        return "one of: " + ", ".join(str(v) for v in error.validator_value)
    description = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    return str(description)


def _name(keys: tuple[str | int, ...]) -> str:
    return ".".join(str(key) for key in keys) or "the spec"


def _shorten(message: str, limit: int = 200) -> str:
    return message if len(message) <= limit else message[:limit] + " ..."
