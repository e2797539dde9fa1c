"""Recipes: strict YAML with bases, changed by `a.b=c` on the command line, checked, written and named.

A recipe is `recipes/<name>.yaml`, named by its stem, or any YAML file, named by its path. `base: <name>`
starts from another recipe. The resolved configuration is written beside the run, and reading that copy
gives the same run again.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from vision_flan.errors import Location
from vision_flan.spec.text import own_yaml
from vision_flan.train.config import CHOICES, Config, ConfigError, Range

RECIPES = Path(__file__).parent / "recipes"

#: Keys that do not change what is learned: another value resumes the same run.
FREE = ("name", "out", "parallel", "log", "checkpoint", "data.workers")
#: Keys whose files are compared by content, since a run may go on where they have another path.
PATHS = ("init.from", "init.llm", "init.vision", "init.projector", "data.root", "data.sources.*.root")

_NAME_LIMIT = 150


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load(recipe: str, overrides: Sequence[str] = ()) -> Config:
    """Reads a recipe with its bases, applies `a.b=c`, checks every key and value.

    Where `out` is empty it becomes `runs/<name>`, followed by what the overrides make different from the
    recipe, so that two runs of one recipe never share a folder.

    Raises:
        ConfigError: an unknown recipe, key or choice, or a value of the wrong type or out of its range.
    """
    tree, path = _read(recipe)
    plain = _checked(tree, path)
    if not overrides:
        return dataclasses.replace(plain, out=str(plain.folder))
    resolved = to_plain(plain)  # so that `data.sources.0` is there, whether or not the recipe names it
    assert isinstance(resolved, dict)
    for text in overrides:
        _override(resolved, text)
    config = _checked(resolved, path)
    return dataclasses.replace(config, out=config.out or f"runs/{config.name}{_difference(plain, config)}")


def dump(config: Config) -> str:
    """The resolved configuration as YAML; `load` of it gives an equal `Config`."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)


def flat(config: Config) -> dict[str, object]:
    """Every key in full, such as `data.sources.0.total`, and its value."""
    found: dict[str, object] = {}

    def walk(value: object, key: str) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                walk(part, f"{key}.{name}".lstrip("."))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, part in enumerate(value):
                walk(part, f"{key}.{number}")
        else:
            found[key] = value

    walk(to_plain(config), "")
    return found


def is_free(key: str) -> bool:
    """Whether another value of a key leaves the run the same."""
    return any(key == free or key.startswith(f"{free}.") for free in FREE)


def is_path(key: str) -> bool:
    """Whether a key names files that are compared by content."""
    return re.sub(r"\.\d+\.", ".*.", key) in PATHS


def _difference(plain: Config, config: Config) -> str:
    """`-tasks=187-per_task=500`: what differs from the recipe, for the folder's name."""
    before, after = flat(plain), flat(config)
    changed = {
        key: after.get(key)
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key) and not is_free(key) and not key.endswith("root")
    }
    short = {key: key.rsplit(".", 1)[-1] for key in changed}
    names = [name if list(short.values()).count(name) == 1 else key for key, name in short.items()]
    parts = [f"-{name}={_slug(value)}" for name, value in zip(names, changed.values(), strict=True)]
    text = "".join(parts)
    if len(text) <= _NAME_LIMIT:
        return text
    return f"{text[: _NAME_LIMIT - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _slug(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return re.sub(r"[^A-Za-z0-9.+_]+", "_", text).strip("_.") or "none"


def _read(recipe: str, seen: tuple[Path, ...] = ()) -> tuple[dict[str, object], Path]:
    path = Path(recipe) if recipe.endswith((".yaml", ".yml")) else RECIPES / f"{recipe}.yaml"
    if not path.is_file():
        raise ConfigError(f"no recipe {recipe!r}", hint=_near(recipe, recipe_names(), "recipes: "))
    if path in seen:
        raise ConfigError(f"recipe {recipe!r} is its own base", where=Location(path))
    tree = own_yaml(path, ConfigError) or {}
    if not isinstance(tree, dict):
        raise ConfigError("a recipe is a mapping of keys to values", where=Location(path))
    base = tree.pop("base", None)
    if base is not None:
        beside = path.parent / f"{base}.yaml"
        tree = _merge(_read(str(beside) if beside.is_file() else str(base), (*seen, path))[0], tree)
    tree.setdefault("name", path.stem)
    return tree, path


def _merge(base: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """`over` laid on `base`; mappings merge, lists and values replace."""
    merged = dict(base)
    merged.pop("name", None)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _override(tree: dict[str, object], text: str) -> None:
    """Applies one `a.b=c`; the value is YAML, a number between the dots is a place in a list."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is not key=value", hint="for instance train.lr=1e-5")
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"the value of {key!r} is not YAML: {value!r:.80}") from error
    *parents, last = key.split(".")
    node: object = tree
    for name in parents:
        if isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        elif isinstance(node, dict):
            node = node.setdefault(name, {})
        else:
            raise ConfigError(f"{key!r} leads through a value that has no parts")
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = parsed
    elif isinstance(node, dict):
        node[last] = parsed
    else:
        raise ConfigError(f"{key!r} leads through a value that has no parts")


def _checked(tree: Mapping[str, object], path: Path) -> Config:
    config = _build(Config, tree, "", path)
    assert isinstance(config, Config)
    _check(config, path)
    return config


def _build(kind: object, value: object, key: str, path: Path) -> object:
    """`value` as `kind`: a dataclass, a tuple of one type, a plain type, or a number with its range."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, key, path)
    if typing.get_origin(kind) is typing.Annotated:
        number_type, range_ = typing.get_args(kind)
        number = _scalar(number_type, value, key, path)
        assert isinstance(range_, Range) and isinstance(number, int | float)
        if number not in range_:
            raise ConfigError(f"{key} is {number}", where=Location(path), hint=f"{key} is {range_}")
        return number
    if isinstance(kind, types.GenericAlias):
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key!r} wants a list, not {value!r}", where=Location(path))
        return tuple(_build(kind.__args__[0], part, f"{key}.{n}", path) for n, part in enumerate(value))
    assert isinstance(kind, type)
    return _scalar(kind, value, key, path)


def _build_dataclass(kind: type, value: object, key: str, path: Path) -> object:
    if not isinstance(value, dict):
        raise ConfigError(f"{key!r} wants a mapping, not {value!r}", where=Location(path))
    hints = typing.get_type_hints(kind, include_extras=True)
    names = {name.rstrip("_"): name for name in hints}
    for given in value:
        if given not in names:
            full = f"{key}.{given}".lstrip(".")
            raise ConfigError(
                f"unknown key {full!r}",
                where=Location(path),
                hint=_near(str(given), list(names), "keys: "),
            )
    return kind(
        **{
            names[name]: _build(hints[names[name]], part, f"{key}.{name}".lstrip("."), path)
            for name, part in value.items()
        }
    )


_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _scalar(kind: type, value: object, key: str, path: Path) -> object:
    if value is None and kind is str:
        return ""
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # checkpointing: 2
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 2e-5 as text
        except (ValueError, OverflowError):
            pass
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    names_tasks = isinstance(value, list) and key.endswith(".tasks")
    hint = "`include` names tasks; `tasks` is how many of them to take" if names_tasks else ""
    raise ConfigError(f"{key!r} wants {_KINDS[kind]}, not {value!r}", where=Location(path), hint=hint)


def _check(config: Config, path: Path) -> None:
    """What no single range says: choices, and keys that must fit one another."""
    where = Location(path)
    for key, allowed in CHOICES.items():
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if value not in allowed:
            raise ConfigError(f"{key} is {value!r}", where=where, hint=_near(value, allowed, "choices: "))
    parallel, train, tokens = config.parallel, config.train, config.data.max_tokens
    how = parallel.checkpointing
    if how not in ("none", "selective", "full") and not (how.isdigit() and int(how)):
        hint = "choices: none, selective, full, or 2, 3, …"
        raise ConfigError(f"parallel.checkpointing is {how!r}", where=where, hint=hint)
    if parallel.max_tokens_per_rank < tokens:
        raise ConfigError(
            f"parallel.max_tokens_per_rank is {parallel.max_tokens_per_rank}, less than one sample of "
            f"data.max_tokens ({tokens})",
            where=where,
            hint=f"parallel.max_tokens_per_rank={tokens}",
        )
    if not config.data.sources:
        raise ConfigError("data.sources must not be empty", where=where)
    if train.lora.r and train.freeze_llm:
        raise ConfigError("train.lora.r adapts the LLM, and train.freeze_llm freezes it", where=where)
    if train.lora.r and not train.lora.targets:
        raise ConfigError("train.lora.targets must not be empty", where=where)


def _near(name: str, names: Sequence[str], label: str) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else label + ", ".join(name or "''" for name in names)


def to_plain(value: object) -> object:
    """A dataclass as mappings, lists and plain values, by the names YAML has."""
    if dataclasses.is_dataclass(value):
        return {f.name.rstrip("_"): to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [to_plain(part) for part in value] if isinstance(value, tuple) else value
