"""Suites: which lmms-eval tasks generate the answers to each benchmark; `suites/*.yaml`, or your own file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vision_flan.errors import Location, VflanError, to_type
from vision_flan.evaluate.registry import BENCHMARKS
from vision_flan.spec.text import own_yaml

FOLDER = Path(__file__).parent / "suites"
_KEYS = {"include", "compiled", "set", "prompt", "tokens", "limit"}


class SuiteError(VflanError):
    """A suite is not as its file should say it."""


@dataclass(frozen=True)
class SuiteTask:
    """One lmms-eval task.

    Attributes:
        part: of the benchmark: split, dataset.
        include: a task of lmms-eval, below its folder of tasks.
        compiled: a task of a compiled folder; it has one of the two.
        set: keys of the lmms-eval task that are replaced.
        prompt: instead of the compiled row's.
        tokens: the most an answer may have (compiled).
        limit: the first so many questions, the same for all tasks of a benchmark; 0 for all.
    """

    benchmark: str
    part: str
    include: str = ""
    compiled: str = ""
    set: Mapping[str, object] = field(default_factory=dict)
    prompt: str = ""
    tokens: int = 64
    limit: int = 0

    @property
    def name(self) -> str:
        """What lmms-eval calls it."""
        return f"vflan_{self.benchmark}_{self.part}"

    def definition(self, tasks: Path, compiled: Path) -> dict[str, object]:
        """The lmms-eval task, without its functions.

        Args:
            tasks: lmms-eval's folder of tasks.
            compiled: the compiled folder.

        Raises:
            SuiteError: the task is in neither.
        """
        if self.include:
            path = tasks / self.include
            if not path.is_file():
                raise SuiteError(f"this lmms-eval has no task {self.include}", where=Location(path))
            return {"include": str(path), "task": self.name, **self.set}
        files = [str(path.resolve()) for path in sorted((compiled / self.compiled).glob("*.parquet"))]
        if not files:
            raise SuiteError(
                f"{self.compiled} is not compiled",
                where=Location(compiled),
                hint=to_type("vflan", "compile", "--task", self.compiled, "--limit", 0, "--out", compiled),
            )
        return {
            "task": self.name,
            "dataset_path": "parquet",
            "dataset_kwargs": {"data_files": {"test": files}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_target": "target",
            "generation_kwargs": {"max_new_tokens": self.tokens, "temperature": 0, "do_sample": False},
            **({"doc_to_text": self.prompt} if self.prompt else {}),
            **self.set,
        }


Suite = Mapping[str, Sequence[SuiteTask]]


def load_suite(name: str) -> Suite:
    """Benchmark -> its tasks.

    Raises:
        SuiteError: there is no such suite, or its file does not say one.
    """
    shipped = FOLDER / f"{name}.yaml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.yaml")))
        raise SuiteError(f"no suite {name!r}", hint=f"{known}, or a YAML file")
    tree = own_yaml(path, SuiteError)
    where = Location(path)
    found = {}
    for benchmark, parts in _mapping(tree, "a suite", where).items():
        if benchmark not in BENCHMARKS:
            hint = f"benchmarks: {', '.join(BENCHMARKS)}"
            raise SuiteError(f"no benchmark {benchmark!r}", where=where, hint=hint)
        of = _mapping(parts, benchmark, where)
        found[benchmark] = tuple(_task(benchmark, part, keys, where) for part, keys in of.items())
        if len({task.limit for task in found[benchmark]}) > 1:
            raise SuiteError(f"the tasks of {benchmark} have several limits", where=where)
    return found


def _mapping(value: object, what: str, where: Location) -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        raise SuiteError(f"{what} is {value!r}, not a mapping", where=where)
    return {str(key): part for key, part in value.items()}


def _task(benchmark: str, part: str, value: object, where: Location) -> SuiteTask:
    name = f"{benchmark}.{part}"
    keys = _mapping(value, name, where)
    unknown = sorted(set(keys) - _KEYS)
    if unknown:
        hint = f"keys: {', '.join(sorted(_KEYS))}"
        raise SuiteError(f"unknown key {name}.{unknown[0]}", where=where, hint=hint)
    texts = {key: str(keys[key]) for key in ("include", "compiled", "prompt") if key in keys}
    numbers = {}
    for key in {"tokens", "limit"} & keys.keys():
        number = keys[key]
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise SuiteError(f"{name}.{key} is {number!r}, not a count", where=where)
        numbers[key] = number
    changed = _mapping(keys["set"], f"{name}.set", where) if "set" in keys else {}
    task = SuiteTask(
        benchmark,
        part,
        texts.get("include", ""),
        texts.get("compiled", ""),
        changed,
        texts.get("prompt", ""),
        **numbers,
    )
    if bool(task.include) == bool(task.compiled):
        raise SuiteError(f"{name} needs one of include and compiled", where=where)
    return task
