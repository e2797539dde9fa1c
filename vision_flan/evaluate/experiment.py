"""The tables and figures of the paper as data: `experiments/*.yaml`, which models compare by which scores.

A row names a run of `runs.yaml`, which says how the model comes about. A file of your own has the same keys,
and may have `runs` of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from vision_flan.errors import Location, VflanError
from vision_flan.spec.text import own_yaml
from vision_flan.train.config import Config
from vision_flan.train.recipe import load as load_recipe

FOLDER = Path(__file__).parent / "experiments"
_NOT_EXPERIMENTS = ("runs", "columns", "sizes")
T = TypeVar("T")


class ExperimentError(VflanError):
    """An experiment is not as its file should say it."""


@dataclass(frozen=True)
class RunSpec:
    """How a model comes about: by `recipe`, by an `exchange` of a part, or it is published: `model`.

    Attributes:
        overrides: what is different from the recipe.
        exchange: the run whose projector (`projector`) or LLM (`llm`, with `prompt`) is replaced.
        model: a folder or Hub id.
    """

    name: str
    recipe: str = ""
    overrides: tuple[str, ...] = ()
    exchange: str = ""
    projector: str = ""
    llm: str = ""
    prompt: str = ""
    model: str = ""

    def config(self, more: Sequence[str] = ()) -> Config | None:
        """The resolved recipe; None of a run that is not trained."""
        return load_recipe(self.recipe, (*self.overrides, *more)) if self.recipe else None

    @property
    def folder(self) -> Path:
        """Where the run is: the trainer's own name for it."""
        config = self.config()
        return config.folder if config else Path("runs") / self.name

    @property
    def weights(self) -> str:
        """The model, for `from_pretrained`."""
        if self.model:
            return self.model
        return str(self.folder / "hf" if self.recipe else self.folder)


@dataclass(frozen=True)
class Row:
    """A model of a table, or a point of a figure.

    Attributes:
        series, x: of a figure: the line, and where on it.
        paper: the paper's figures by column.
    """

    name: str
    run: RunSpec
    paper: Mapping[str, float]
    series: str = ""
    x: float | None = None


@dataclass(frozen=True)
class Column:
    """What a column shows.

    Attributes:
        score: the benchmark.
        part, value: of a value that is not the benchmark's headline.
        judge: how the name of the paper's judge begins.
        prompt: `ours` where the paper prints no prompt, or not which images it took.
    """

    name: str
    title: str
    score: str
    part: str = ""
    value: str = ""
    judge: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Attributes:
        x: what the axis of a figure counts; `log`: logarithmic.
        path: of a file of your own.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    runs: Mapping[str, RunSpec]
    x: str = ""
    log: bool = False
    path: Path | None = None

    @property
    def benchmarks(self) -> list[str]:
        """The scores it needs."""
        return list(dict.fromkeys(column.score for column in self.columns))

    @property
    def is_figure(self) -> bool:
        """Whether it is drawn."""
        return self.name.startswith("figure") or bool(self.x)


def names() -> list[str]:
    """The experiments of the paper, tables first, in the paper's order."""
    found = [path.stem for path in FOLDER.glob("*.yaml") if path.stem not in _NOT_EXPERIMENTS]
    return sorted(found, key=lambda name: (name.startswith("figure"), len(name), name))


def load(name: str) -> Experiment:
    """An experiment by name, or by the path of a file of your own.

    Raises:
        ExperimentError: there is none, or the file does not say one.
    """
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if not path.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"experiments: {', '.join(names())}"
        raise ExperimentError(f"no experiment {name!r}", hint=hint)
    tree = _mapping(path, {"title", "columns", "rows", "runs", "x", "log"}, ("title", "columns", "rows"))
    where = Location(path)
    runs = {**shipped_runs(), **_runs(_of(dict, tree.get("runs") or {}, "runs", where), path)}
    columns = tuple(_column(text, where) for text in _of(list, tree["columns"], "columns", where))
    rows = tuple(_row(row, runs, columns, where) for row in _of(list, tree["rows"], "rows", where))
    if not rows or not columns:
        raise ExperimentError("no rows or no columns", where=where)
    return Experiment(
        path.stem,
        str(tree["title"]),
        columns,
        rows,
        runs,
        str(tree.get("x", "")),
        bool(tree.get("log", False)),
        None if path.parent == FOLDER else path,
    )


@cache
def shipped_runs() -> dict[str, RunSpec]:
    """The runs of the paper."""
    path = FOLDER / "runs.yaml"
    return _runs(_mapping(path, None, ()), path)


@cache
def columns() -> dict[str, Column]:
    """Every column a table may have."""
    tree = _mapping(FOLDER / "columns.yaml", None, ())
    found = {}
    for name, keys in tree.items():
        assert isinstance(keys, dict)
        found[name] = Column(
            **{key: str(value) for key, value in {"name": name, "score": name, **keys}.items()}
        )
    return found


def _mapping(path: Path, allowed: set[str] | None, needed: Sequence[str]) -> dict[str, object]:
    tree = own_yaml(path, ExperimentError)
    where = Location(path)
    found = {str(key): value for key, value in _of(dict, tree, "an experiment", where).items()}
    if allowed is not None:
        _refuse_unknown(found, allowed, where)
    missing = [key for key in needed if key not in found]
    if missing:
        raise ExperimentError(f"no key {missing[0]!r}", where=where)
    return found


def _refuse_unknown(tree: Mapping[str, object], allowed: set[str], where: Location) -> None:
    unknown = sorted(set(tree) - allowed)
    if unknown:
        raise ExperimentError(
            f"unknown key {unknown[0]!r}", where=where, hint=f"keys: {', '.join(sorted(allowed))}"
        )


def _of(kind: type[T], value: object, what: str, where: Location) -> T:
    if not isinstance(value, kind):
        form = {"dict": "a mapping", "list": "a list"}.get(kind.__name__, kind.__name__)
        raise ExperimentError(f"{what} is {value!r}, not {form}", where=where)
    return value


_RUN_KEYS = {"recipe", "set", "exchange", "projector", "llm", "prompt", "model"}


def _runs(tree: Mapping[str, object], path: Path) -> dict[str, RunSpec]:
    where, found = Location(path), {}
    for name, value in tree.items():
        keys = {str(key): part for key, part in _of(dict, value, f"run {name}", where).items()}
        _refuse_unknown(keys, _RUN_KEYS, where)
        overrides = tuple(map(str, _of(list, keys.pop("set", []), f"{name}.set", where)))
        spec = RunSpec(name, overrides=overrides, **{key: str(part) for key, part in keys.items()})
        if sum(map(bool, (spec.recipe, spec.exchange, spec.model))) != 1:
            raise ExperimentError(f"run {name} needs one of recipe, exchange and model", where=where)
        if spec.exchange and bool(spec.projector) == bool(spec.llm):
            raise ExperimentError(f"run {name} exchanges one of projector and llm", where=where)
        near = path.parent / spec.recipe
        found[name] = _replaced(spec, str(near)) if spec.recipe and near.is_file() else spec
    return found


def _replaced(spec: RunSpec, recipe: str) -> RunSpec:
    """A recipe that lies beside the experiment."""
    return RunSpec(spec.name, recipe, spec.overrides)


def _column(name: object, where: Location) -> Column:
    found = columns().get(str(name))
    if found is None:
        raise ExperimentError(f"no column {name!r}", where=where, hint=f"columns: {', '.join(columns())}")
    return found


def _row(value: object, runs: Mapping[str, RunSpec], columns: Sequence[Column], where: Location) -> Row:
    keys = {str(key): part for key, part in _of(dict, value, "a row", where).items()}
    _refuse_unknown(keys, {"name", "run", "paper", "series", "x"}, where)
    run = runs.get(str(keys.get("run")))
    if run is None:
        raise ExperimentError(f"no run {keys.get('run')!r}", where=where, hint=f"runs: {', '.join(runs)}")
    paper = {str(name): figure for name, figure in _of(dict, keys.get("paper") or {}, "paper", where).items()}
    _refuse_unknown(paper, {column.name for column in columns}, where)
    for name, figure in paper.items():
        if not isinstance(figure, int | float) or isinstance(figure, bool):
            raise ExperimentError(f"paper.{name} is {figure!r}, not a number", where=where)
    x = keys.get("x")
    if x is not None and (not isinstance(x, int | float) or isinstance(x, bool)):
        raise ExperimentError(f"x is {x!r}, not a number", where=where)
    series = str(keys.get("series", ""))
    name = keys.get("name") or (run.name if x is None else f"{series}, {x:,}")
    return Row(str(name), run, paper, series, x)
